import type { Request, Response, Router } from 'express'
import { fromCursor, toCursor } from '../../core/dead-letter-cursor.ts'
import { type CheckResult, type DeadLetterRow, discardable, dlqPlaceOf } from '../../core/dead-letter-desk.ts'
import { UsageError } from '../../core/errors.ts'
import type { SourceRecord } from '../../core/record.ts'
import {
  type AdminGuard,
  type AdminParts,
  badQuery,
  bodyOf,
  createAdminRouter,
  filterOf,
  limitOf,
  operatorOf,
  parameter,
  Refusal,
  sendJson,
  sentence,
} from '../admin.ts'
import { count, flag, longText, optional, reason, text } from '../json-body.ts'
import { letterJson, maskedRecord, type ShownRecord, wholeRecord } from '../letter-answer.ts'

const PAGE = { preset: 50, most: 500 }
/** Results that are told one by one; beyond them they are only counted. */
const CHECK_RESULTS = 1_000
const CHECK_PRESET = 10_000
const CHECK_MOST = 1_000_000

type LetterParts = Pick<AdminParts, 'letters' | 'records' | 'check' | 'mask'>

/** `/admin/dead-letters…`, but for redrives: what there is, one of them, would it pass now, and setting aside for good. */
export function adminLetterRoutes(parts: LetterParts, guard: AdminGuard): Router {
  const { letters } = parts
  const { router, route } = createAdminRouter(guard)
  const queryFilter = (req: Request<object>) => filterOf(parameter(req, 'q') ?? '')

  route('/admin/dead-letters/groups', {
    get: async (req, res) => sendJson(res, 200, { groups: await letters.groups(queryFilter(req)) }),
  })
  route('/admin/dead-letters/arrivals', {
    get: async (req, res) => sendJson(res, 200, await letters.arrivals(queryFilter(req))),
  })
  route('/admin/dead-letters', {
    get: async (req, res) => {
      const cursor = parameter(req, 'cursor')
      const after = cursor === undefined ? undefined : fromCursor(cursor)
      if (cursor !== undefined && after === undefined) {
        throw badQuery('cursor must be what "next" of the page before said.')
      }
      const { rows, next } = await letters.page({ filter: queryFilter(req), limit: limitOf(req, PAGE), after })
      sendJson(res, 200, { dead_letters: rows, next: next === undefined ? null : toCursor(next) })
    },
  })
  route('/admin/dead-letters/check', {
    post: async (req, res) => {
      const { q, limit } = await bodyOf(req, { q: longText, limit: optional(count(1, CHECK_MOST)) })
      const counted = await checked(parts.check, filterOf(q), limit ?? CHECK_PRESET, res)
      if (counted !== undefined) sendJson(res, 200, counted)
    },
  })
  route('/admin/dead-letters/discard', {
    post: async (req, res) => {
      const members = { q: longText, because: reason, dry_run: optional(flag) }
      const { q, because, dry_run } = await bodyOf(req, members)
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
      const { action, because } = await bodyOf(req, { action: text, because: optional(text) })
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

async function letterOf(
  { letters, records, mask }: LetterParts,
  guard: AdminGuard,
  req: Request<{ id: string }>,
  res: Response,
): Promise<object> {
  const { id } = req.params
  const masked = parameter(req, 'masked') ?? 'false'
  if (masked !== 'true' && masked !== 'false') throw badQuery('masked must be true or false.')
  const letter = id.includes('\0') ? undefined : await letters.get(id)
  if (letter === undefined) {
    throw new Refusal({ status: 404, code: 'dead_letter_not_found', detail: 'There is no dead letter with this id.' })
  }
  const record = await recordOf(records, letter)
  let bytes: ShownRecord | undefined
  if (record !== undefined && masked === 'true') bytes = maskedRecord(record, mask)
  else if (record !== undefined) {
    // Before they are sent: what cannot be noted is not shown.
    await letters.noteRevealed(`id:${id}`, [id], operatorOf(guard, res, undefined))
    bytes = wholeRecord(record)
  }
  return letterJson(letter, bytes, await letters.history(id))
}

/** `undefined`: its bytes are not in the topic any more, or nobody has noted where they are. */
async function recordOf(records: LetterParts['records'], letter: DeadLetterRow): Promise<SourceRecord | undefined> {
  const place = dlqPlaceOf(letter)
  if (place === undefined) return undefined
  for await (const { record } of records.read([place])) return record
  return undefined
}

/** @returns `undefined` when nobody waits for the answer any more */
async function checked(
  check: LetterParts['check'],
  filter: Parameters<LetterParts['check']>[0]['filter'],
  limit: number,
  res: Response,
): Promise<object | undefined> {
  const counts = { checked: 0, passing: 0, failing: 0, gone: 0 }
  const results: CheckResult[] = []
  let complete = true
  // One more than asked for is what tells that there are more.
  for await (const result of check({ filter, limit: limit + 1 })) {
    if (res.destroyed) return undefined
    if (counts.checked === limit) {
      complete = false
      break
    }
    counts.checked += 1
    counts[result.passes === undefined ? 'gone' : result.passes ? 'passing' : 'failing'] += 1
    if (results.length < CHECK_RESULTS) results.push(result)
  }
  return {
    ...counts,
    complete,
    results: results.map(({ id, passes, violations }) => ({ id, passes: passes ?? null, violations })),
  }
}

function noSuchAction(detail: string): Refusal {
  return new Refusal({ status: 404, code: 'no_such_action', detail })
}
