import type { Request, Response, Router } from 'express'
import { UsageError } from '../../../engine/errors.ts'
import type { SourceRecord } from '../../../engine/record.ts'
import { listStart, toCursor } from '../../cursor.ts'
import { groupJson, rowJson } from '../../json.ts'
import {
  type CheckResult,
  type DeadLetterPlace,
  type DeadLetterRow,
  discardable,
  dlqPlaceOf,
  type LetterQuery,
} from '../../ports.ts'
import {
  type AdminGuard,
  type AdminParts,
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
} from '../admin.ts'
import { letterJson, maskedRecord, type ShownRecord, wholeRecord } from '../letter-answer.ts'

const PAGE = { preset: 50, most: 500 }
/** Results that are listed one by one; beyond them they are only counted. */
const CHECK_RESULTS = 1_000
const CHECK_PRESET = 10_000

type LetterParts = Pick<AdminParts, 'letters' | 'records' | 'check' | 'stream' | 'traceUrl'>

/** `/admin/dead-letters…`, but for redrives: what there is, one of them, would it pass now, and setting aside for good. */
export function adminLetterRoutes(parts: LetterParts, guard: PatientGuard): Router {
  const { letters } = parts
  const { router, route } = createAdminRouter(guard)
  const queryFilter = (req: Request<object>) => filterOf(parameter(req, 'q') ?? '')

  route('/admin/dead-letters/groups', {
    get: async (req, res) => sendJson(res, 200, { groups: (await letters.groups(queryFilter(req))).map(groupJson) }),
  })
  route('/admin/dead-letters/arrivals', {
    get: async (req, res) => sendJson(res, 200, await letters.arrivals(queryFilter(req))),
  })
  route('/admin/dead-letters', {
    get: async (req, res) => {
      const { rows, next } = await letters.page({
        filter: queryFilter(req),
        limit: limitOf(req, PAGE),
        ...startOf(parameter(req, 'sort'), parameter(req, 'cursor')),
      })
      sendJson(res, 200, { dead_letters: rows.map(rowJson), next: next === undefined ? null : toCursor(next) })
    },
  })
  route('/admin/dead-letters/check', {
    post: async (req, res) => {
      const { q, limit = CHECK_PRESET, sort, cursor } = await bodyOf(req, 'CheckRequest')
      const query = { filter: filterOf(q), limit, ...startOf(sort, cursor) }
      const counted = await checked(parts.check(query), res)
      if (counted !== undefined) sendJson(res, 200, counted)
    },
  })
  route('/admin/dead-letters/discard', {
    post: async (req, res) => {
      const { q, because, dry_run } = await bodyOf(req, 'DiscardRequest')
      const filter = filterOf(q)
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
