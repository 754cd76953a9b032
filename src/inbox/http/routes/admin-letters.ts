import type { Request, Response, Router } from 'express'
import { UsageError } from '../../../engine/errors.ts'
import type { SourceRecord } from '../../../engine/record.ts'
import { listStart, toCursor } from '../../cursor.ts'
import { printFilter } from '../../filter.ts'
import { groupJson, rowJson } from '../../json.ts'
import {
  type CheckResult,
  type DeadLetterPlace,
  type DeadLetterRow,
  discardable,
  dlqPlaceOf,
  type LetterQuery,
} from '../../ports.ts'
import { type NamedFilter, type SearchedPage, searchesValues } from '../../search.ts'
import {
  type AdminGuard,
  type AdminParts,
  answerable,
  badQuery,
  bodyOf,
  createAdminRouter,
  filterOf,
  limitOf,
  operatorOf,
  type PatientGuard,
  parameter,
  Refusal,
  sendJson,
  sentence,
  whileConnected,
} from '../admin.ts'
import { letterJson, maskedRecord, type ShownRecord, wholeRecord } from '../letter-answer.ts'
import { listFormat, streamList } from '../letter-list.ts'

const PAGE = { preset: 50, most: 500 }
/** Limits of a list that is streamed. */
const WHOLE = { preset: Number.POSITIVE_INFINITY, most: 1_000_000_000 }
/** Results that are listed one by one; beyond them they are only counted. */
const CHECK_RESULTS = 1_000
const CHECK_PRESET = 10_000

type LetterParts = Pick<AdminParts, 'letters' | 'records' | 'check' | 'search' | 'stream' | 'traceUrl'>

/** `/admin/dead-letters…`, but for redrives: what there is, one of them, would it pass now, and setting aside for good. */
export function adminLetterRoutes(parts: LetterParts, guard: PatientGuard): Router {
  const { letters, search } = parts
  const { router, route } = createAdminRouter(guard)
  const searcher = (res: Response) => operatorOf(guard, res, 'a search in values')
  const queryFilter = (req: Request<object>, res: Response) =>
    answerable(parts, parameter(req, 'q') ?? '', searcher(res), res)

  route('/admin/dead-letters/groups', {
    get: async (req, res) => {
      const filter = await queryFilter(req, res)
      const groups = (await letters.groups(filter)).map(groupJson)
      sendJson(res, 200, { groups, filter: printFilter(filter) })
    },
  })
  route('/admin/dead-letters/arrivals', {
    get: async (req, res) => sendJson(res, 200, await letters.arrivals(await queryFilter(req, res))),
  })
  route('/admin/dead-letters/field-values', {
    get: async (_req, res) => sendJson(res, 200, await letters.fieldValues()),
  })
  route('/admin/dead-letters', {
    get: async (req, res) => {
      const format = listFormat(req)
      const limit = format === undefined ? limitOf(req, PAGE) : limitOf(req, WHOLE)
      const begins = startOf(parameter(req, 'sort'), parameter(req, 'cursor'))
      const filter = await search.named(filterOf(parameter(req, 'q') ?? ''))
      if (begins.after === undefined) await search.note(filter, searcher(res))
      const { signal, done } = whileConnected(res)
      const query = { filter, limit, ...begins, signal }
      try {
        if (format === undefined) sendJson(res, 200, pageJson(filter, await search.page(query)))
        else await streamList(search, query, format, req, res)
      } finally {
        done()
      }
    },
  })
  route('/admin/dead-letters/check', {
    post: async (req, res) => {
      const { q, limit = CHECK_PRESET, sort, cursor } = await bodyOf(req, 'CheckRequest')
      const begins = startOf(sort, cursor)
      const by = begins.after === undefined ? searcher(res) : undefined
      const query = { filter: await answerable(parts, q, by, res), limit, ...begins }
      const counted = await checked(parts.check(query), res)
      if (counted !== undefined) sendJson(res, 200, counted)
    },
  })
  route('/admin/dead-letters/discard', {
    post: async (req, res) => {
      const { q, because, dry_run } = await bodyOf(req, 'DiscardRequest')
      const filter = await answerable(parts, q, searcher(res), res)
      if (dry_run) {
        const { count, not_open } = discardable(await letters.groups(filter))
        const left_out = not_open === 0 ? {} : { not_open }
        return sendJson(res, 200, { discarded: count, action: null, left_out })
      }
      sendJson(res, 200, await letters.discard(filter, operatorOf(guard, res, because)))
    },
  })
  route('/admin/dead-letters/restore', {
    post: async (req, res) => {
      const { action, because } = await bodyOf(req, 'RestoreRequest')
      if (!/^\d{1,18}$/.test(action)) throw noSuchAction('An action is the number that a discard answered with.')
      try {
        sendJson(res, 200, await letters.restore(action, operatorOf(guard, res, because)))
      } catch (error) {
        throw error instanceof UsageError ? noSuchAction(sentence(error.message)) : error
      }
    },
  })
  route<{ id: string }>('/admin/dead-letters/:id', {
    get: async (req, res) => sendJson(res, 200, await letterOf(parts, guard, req, res)),
  })
  return router
}

function pageJson(filter: NamedFilter, { rows, next, read, gone }: SearchedPage): object {
  return {
    dead_letters: rows.map(rowJson),
    next: next === undefined ? null : toCursor(next),
    filter: printFilter(filter),
    ...(searchesValues(filter) ? { searched: { read, gone } } : {}),
  }
}

/** @throws Refusal */
function startOf(sort: string | undefined, cursor: string | undefined): Pick<LetterQuery, 'sort' | 'after'> {
  const begins = listStart(sort, cursor)
  if (begins.ok) return begins.start
  throw badQuery(`${begins.what} ${begins.message}.`)
}

async function letterOf(
  { letters, records, stream, traceUrl }: LetterParts,
  guard: AdminGuard,
  req: Request<{ id: string }>,
  res: Response,
): Promise<object> {
  const { id } = req.params
  const masked = switchOf(req, 'masked', false)
  const withBytes = switchOf(req, 'bytes', true)
  const letter = id.includes('\0') ? undefined : await letters.get(id)
  if (letter === undefined) {
    throw new Refusal({ status: 404, code: 'dead_letter_not_found', detail: 'There is no dead letter with this id.' })
  }
  // Kafka, which has the bytes, may be unavailable; the index entry is returned all the same.
  if (!withBytes) return { ...rowJson(letter), history: await letters.history(id) }
  const record = await recordOf(records, letter)
  let bytes: ShownRecord | undefined
  if (record !== undefined && masked) bytes = maskedRecord(record, stream)
  else if (record !== undefined) {
    // Before they are sent: what cannot be noted is not shown.
    await letters.noteRevealed(`id:${id}`, [id], operatorOf(guard, res, undefined))
    bytes = wholeRecord(record)
  }
  return letterJson(letter, bytes, await letters.history(id), traceUrl)
}

/** @throws Refusal */
function switchOf<P>(req: Request<P>, name: string, preset: boolean): boolean {
  const given = parameter(req as Request<object>, name) ?? String(preset)
  if (given !== 'true' && given !== 'false') throw badQuery(`${name} must be true or false.`)
  return given === 'true'
}

/** `undefined`: its bytes are not in the topic any more, or their place is not noted. */
async function recordOf(records: LetterParts['records'], letter: DeadLetterRow): Promise<SourceRecord | undefined> {
  const place = dlqPlaceOf(letter)
  if (place === undefined) return undefined
  for await (const { record } of records.read([place])) return record
  return undefined
}

/** @returns `undefined` when the client has gone */
async function checked(pages: ReturnType<LetterParts['check']>, res: Response): Promise<object | undefined> {
  const counts = { checked: 0, passing: 0, failing: 0, gone: 0 }
  const results: CheckResult[] = []
  let next: DeadLetterPlace | undefined
  for await (const page of pages) {
    if (res.destroyed) return undefined
    for (const result of page.results) {
      counts.checked += 1
      counts[result.passes === undefined ? 'gone' : result.passes ? 'passing' : 'failing'] += 1
      if (results.length < CHECK_RESULTS) results.push(result)
    }
    next = page.next
  }
  return {
    ...counts,
    complete: next === undefined,
    next: next === undefined ? null : toCursor(next),
    results: results.map(({ id, passes, violations }) => ({ id, passes: passes ?? null, violations })),
  }
}

function noSuchAction(detail: string): Refusal {
  return new Refusal({ status: 404, code: 'no_such_action', detail })
}
