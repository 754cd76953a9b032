import { type Request, type RequestHandler, type Response, Router } from 'express'
import { decodeCursor, encodeCursor } from '../../core/cursor.ts'
import { dispositionOf } from '../../core/errors.ts'
import type { PageQuery, Place } from '../../engine/value-sql.ts'
import type { ValueCatalog } from '../../read/ports.ts'
import { writePieces } from '../pieces.ts'
import { type Problem, sendProblem } from '../problem.ts'
import { UID } from '../uid.ts'

export interface ListParts {
  readonly catalog: ValueCatalog
  /** An RFC 3339 date-time in the domain's canonical form; `undefined` when it is none. */
  readonly canonicalInstant: (text: string) => string | undefined
}

const DEFAULT_LIMIT = 20
const MAX_LIMIT = 100
const MAX_CUSTOMER_CHARACTERS = 1024
const MAX_CURSOR_CHARACTERS = 512
const RETRY_AFTER_SECONDS = '5'

type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string }

/**
 * `GET /orders?customer_id=&from=&to=&limit=&cursor=`: whole orders, newest first by `date_created`, then `order_uid`.
 * `from` belongs to the range, `to` does not. `next` goes into `cursor` for the page after this one; orders that arrive
 * meanwhile neither shift nor repeat what follows. A page of large orders ends before its limit, and says where to go on.
 */
export function listRoute(parts: ListParts, guard: readonly RequestHandler[]): Router {
  const router = Router({ caseSensitive: true })
  router.get('/orders', ...guard, (req, res) => serveList(parts, req, res))
  return router
}

async function serveList({ catalog, canonicalInstant }: ListParts, req: Request, res: Response): Promise<void> {
  const query = readQuery(req.query, canonicalInstant)
  if (!query.ok) return void sendProblem(req, res, { status: 400, code: 'bad_query', detail: query.why })
  let page: Awaited<ReturnType<ValueCatalog['page']>>
  try {
    page = await catalog.page(query.value)
  } catch (error) {
    if (dispositionOf(error) !== 'retry') throw error
    return void sendProblem(req, res, STORE_AWAY)
  }
  const orders = page.values.flatMap(({ json }, index) => (index === 0 ? [json] : [COMMA, json]))
  const next = page.next === undefined ? null : encodeCursor(page.next)
  const pieces = [Buffer.from('{"orders":['), ...orders, Buffer.from(`],"next":${JSON.stringify(next)}}`)]
  const size = pieces.reduce((sum, { length }) => sum + length, 0)
  res.writeHead(200, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': size,
    'Cache-Control': 'no-store',
  })
  if (req.method === 'HEAD') res.end()
  else if (size <= WHOLE_BYTES) res.end(Buffer.concat(pieces))
  // Each order is let go of once it is on its way, and none is copied.
  else await writePieces(res, pieces)
}

/** A usual page goes out at once. */
const WHOLE_BYTES = 64 * 1024
const COMMA = Buffer.from(',')

function readQuery(query: Request['query'], canonicalInstant: ListParts['canonicalInstant']): Parsed<PageQuery> {
  const given: Record<string, string | undefined> = {}
  for (const name of ['customer_id', 'from', 'to', 'limit', 'cursor']) {
    const value = query[name]
    if (Array.isArray(value)) return wrong(`${name} may be given only once.`)
    // A form sends the fields that were left empty, too.
    given[name] = typeof value === 'string' && value !== '' ? value : undefined
  }
  const { customer_id, from, to, limit, cursor } = given
  if (customer_id !== undefined && ([...customer_id].length > MAX_CUSTOMER_CHARACTERS || customer_id.includes('\0'))) {
    return wrong(`customer_id has at most ${MAX_CUSTOMER_CHARACTERS} characters, none of them NUL.`)
  }
  const dates = { from: from && readDate(from), to: to && readDate(to) }
  for (const name of ['from', 'to'] as const) {
    if (given[name] !== undefined && dates[name] === undefined) {
      return wrong(`${name} must be a date-time with a zone, between 1970 and 9999, as in 2021-11-26T06:22:19Z.`)
    }
  }
  if (limit !== undefined && !(/^\d{1,3}$/.test(limit) && Number(limit) >= 1 && Number(limit) <= MAX_LIMIT)) {
    return wrong(`limit must be a whole number from 1 to ${MAX_LIMIT}.`)
  }
  const after = cursor === undefined ? undefined : fromCursor(cursor, canonicalInstant)
  if (cursor !== undefined && after === undefined) {
    return wrong('cursor must be what "next" of the page before said.')
  }
  return {
    ok: true,
    value: {
      by: customer_id === undefined ? {} : { customer_id },
      from: dates.from,
      to: dates.to,
      after,
      limit: limit === undefined ? DEFAULT_LIMIT : Number(limit),
    },
  }

  /** In a query a "+" that was not escaped means a space, and many forget to escape the one of a zone. */
  function readDate(text: string): string | undefined {
    return canonicalInstant(text.replace(/ (?=\d\d:\d\d$)/, '+'))
  }
}

function wrong(why: string): { readonly ok: false; readonly why: string } {
  return { ok: false, why }
}

function fromCursor(cursor: string, canonicalInstant: ListParts['canonicalInstant']): Place | undefined {
  const [date, uid, ...more] = decodeCursor(cursor, MAX_CURSOR_CHARACTERS) ?? []
  if (date === undefined || uid === undefined || !UID.test(uid) || more.length > 0) return undefined
  const canonical = canonicalInstant(date)
  return canonical === undefined ? undefined : [canonical, uid]
}

const STORE_AWAY: Problem = {
  status: 503,
  code: 'store_unavailable',
  detail: 'The database cannot be reached just now. Try again in a few seconds.',
  headers: { 'Retry-After': RETRY_AFTER_SECONDS },
}
