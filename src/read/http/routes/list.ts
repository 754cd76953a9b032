import { type Request, type RequestHandler, type Response, Router } from 'express'
import { decodeCursor, encodeCursor } from '../../../engine/cursor.ts'
import { dispositionOf } from '../../../engine/errors.ts'
import type { PageQuery, Place, ValueList } from '../../../engine/value-sql.ts'
import { writePieces } from '../../../http/pieces.ts'
import { type Problem, sendProblem } from '../../../http/problem.ts'
import type { ValueCatalog } from '../../ports.ts'
import type { ReadStream, StreamReading } from '../stream-reading.ts'

const DEFAULT_LIMIT = 20
const MAX_LIMIT = 100
const MAX_TEXT_CHARACTERS = 1024
const MAX_CURSOR_CHARACTERS = 512
const RETRY_AFTER_SECONDS = '5'
/** Parameters that every list takes besides the columns of its stream. */
const PARAMETERS = ['from', 'to', 'limit', 'cursor'] as const

type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string }

/**
 * `GET /ROUTE?COLUMN=&from=&to=&limit=&cursor=`: whole values, newest first by the date that the stream's definition names, then by
 * key. `from` belongs to the range, `to` does not. `next` goes into `cursor` for the page after this one; values that arrive
 * meanwhile neither shift nor repeat what follows. A page of large values ends before its limit, and says where to go on.
 */
export function listRoute(parts: Pick<StreamReading, 'stream' | 'catalog'>, guard: readonly RequestHandler[]): Router {
  const router = Router({ caseSensitive: true })
  const { list } = parts.stream.queries
  router.get(parts.stream.http.list, ...guard, async (req, res) => {
    if (list === undefined) sendProblem(req, res, NO_LIST)
    else await serveList(parts, list, req, res)
  })
  return router
}

async function serveList(
  { stream, catalog }: Pick<StreamReading, 'stream' | 'catalog'>,
  list: ValueList,
  req: Request,
  res: Response,
): Promise<void> {
  const query = readQuery(req.query, list, stream)
  if (!query.ok) return void sendProblem(req, res, { status: 400, code: 'bad_query', detail: query.why })
  let page: Awaited<ReturnType<ValueCatalog['page']>>
  try {
    page = await catalog.page(query.value)
  } catch (error) {
    if (dispositionOf(error) !== 'retry') throw error
    return void sendProblem(req, res, STORE_AWAY)
  }
  const values = page.values.flatMap(({ json }, index) => (index === 0 ? [json] : [COMMA, json]))
  const next = page.next === undefined ? null : encodeCursor(page.next)
  const start = Buffer.from(`{${JSON.stringify(stream.http.many)}:[`)
  const pieces = [start, ...values, Buffer.from(`],"next":${JSON.stringify(next)}}`)]
  const size = pieces.reduce((sum, { length }) => sum + length, 0)
  res.writeHead(200, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': size,
    'Cache-Control': 'no-store',
  })
  if (req.method === 'HEAD') res.end()
  else if (size <= WHOLE_BYTES) res.end(Buffer.concat(pieces))
  // Large pages are written piece by piece, so that each value can be freed once it is sent, and none is copied.
  else await writePieces(res, pieces)
}

/** A usual page goes out at once. */
const WHOLE_BYTES = 64 * 1024
const COMMA = Buffer.from(',')

/** @param query parameters of the address; those of the list, and no others */
export function readQuery(query: Request['query'], list: ValueList, stream: ReadStream): Parsed<PageQuery> {
  const known = [...list.by, ...PARAMETERS]
  const given = new Map<string, string>()
  for (const [name, value] of Object.entries(query)) {
    if (!known.includes(name))
      return wrong(`${shortened(name)} is no parameter of this list. It takes ${known.join(', ')}.`)
    if (typeof value !== 'string') return wrong(`${name} may be given only once.`)
    // A form also sends the fields that were left empty.
    if (value !== '') given.set(name, value)
  }
  const by: Record<string, string> = {}
  for (const column of list.by) {
    const value = given.get(column)
    if (value === undefined) continue
    if ([...value].length > MAX_TEXT_CHARACTERS || value.includes('\0')) {
      return wrong(`${column} has at most ${MAX_TEXT_CHARACTERS} characters, none of them NUL.`)
    }
    by[column] = value
  }
  const dates: { from?: string | undefined; to?: string | undefined } = {}
  for (const name of ['from', 'to'] as const) {
    const text = given.get(name)
    if (text === undefined) continue
    dates[name] = readDate(text)
    if (dates[name] === undefined) {
      return wrong(`${name} must be a date-time with a zone, between 1970 and 9999, as in 2021-11-26T06:22:19Z.`)
    }
  }
  const limit = given.get('limit')
  if (limit !== undefined && !(/^\d{1,3}$/.test(limit) && Number(limit) >= 1 && Number(limit) <= MAX_LIMIT)) {
    return wrong(`limit must be a whole number from 1 to ${MAX_LIMIT}.`)
  }
  const cursor = given.get('cursor')
  const after = cursor === undefined ? undefined : fromCursor(cursor, list, stream)
  if (cursor !== undefined && after === undefined) {
    return wrong('cursor must be what "next" of the page before said.')
  }
  return {
    ok: true,
    value: { by, from: dates.from, to: dates.to, after, limit: limit === undefined ? DEFAULT_LIMIT : Number(limit) },
  }

  /** In a query a "+" that was not escaped means a space, and many forget to escape the one of a zone. */
  function readDate(text: string): string | undefined {
    return list.canonicalDate(text.replace(/ (?=\d\d:\d\d$)/, '+'))
  }
}

function wrong(why: string): { readonly ok: false; readonly why: string } {
  return { ok: false, why }
}

function shortened(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name)
}

function fromCursor(cursor: string, list: ValueList, { isKey }: ReadStream): Place | undefined {
  const [date, key, ...more] = decodeCursor(cursor, MAX_CURSOR_CHARACTERS) ?? []
  if (date === undefined || key === undefined || !isKey(key) || more.length > 0) return undefined
  const canonical = list.canonicalDate(date)
  return canonical === undefined ? undefined : [canonical, key]
}

const NO_LIST: Problem = {
  status: 404,
  code: 'no_list',
  detail:
    'This stream has no list: its definition names no date to sort by ("list"). Single values are read by their key.',
}

const STORE_AWAY: Problem = {
  status: 503,
  code: 'store_unavailable',
  detail: 'The database cannot be reached just now. Try again in a few seconds.',
  headers: { 'Retry-After': RETRY_AFTER_SECONDS },
}
