import type { Router } from 'express'
import type { Problem } from '../../../http/problem.ts'
import { readAuditFilter } from '../../audit-query.ts'
import { liftedJson, manualPauseJson } from '../../stream-ports.ts'
import {
  type AdminParts,
  badQuery,
  bodyOf,
  createAdminRouter,
  limitOf,
  operatorOf,
  type PatientGuard,
  parameter,
  Refusal,
  sendJson,
} from '../admin.ts'
import { TIMELINE_SPANS, type TimelineSpanName, USUAL_SPAN } from '../timeline.ts'

const AUDIT = { preset: 50, most: 500 }
const AUDIT_PARAMETERS = ['who', 'what', 'since', 'until'] as const

type StreamParts = Pick<AdminParts, 'overview' | 'timeline' | 'stored' | 'automatic' | 'letters' | 'feed'>

/** `/admin/stream…`, `/admin/timeline`, `/admin/automatic-redrive`, `/admin/audit` and `/admin/events`: how it goes, and who did what. */
export function adminStreamRoutes(parts: StreamParts, guard: PatientGuard): Router {
  const { router, route } = createAdminRouter(guard)
  route('/admin/stream', { get: async (_req, res) => sendJson(res, 200, await parts.overview()) })
  route('/admin/timeline', {
    get: async (req, res) => sendJson(res, 200, await parts.timeline(spanOf(parameter(req, 'span') ?? USUAL_SPAN))),
  })
  route('/admin/stream/resume', {
    post: async (req, res) => {
      const { partition, lift, because } = await bodyOf(req, 'ResumeRequest')
      sendJson(res, 200, liftedJson(await parts.stored.liftPauses(partition, lift, operatorOf(guard, res, because))))
    },
  })
  route('/admin/stream/pause', {
    post: async (req, res) => {
      const { partition, because } = await bodyOf(req, 'PauseRequest')
      const pause = await parts.stored.pause(partition, operatorOf(guard, res, because))
      sendJson(res, 200, { paused: { partition: pause.partition ?? null, ...manualPauseJson(pause) } })
    },
  })
  route('/admin/automatic-redrive', {
    post: async (req, res) => {
      const { on, because } = await bodyOf(req, 'AutomaticRedriveRequest')
      sendJson(res, 200, await parts.automatic.set(on, operatorOf(guard, res, because)))
    },
  })
  route('/admin/audit', {
    get: async (req, res) => {
      const before = parameter(req, 'before')
      if (before !== undefined && !/^\d{1,18}$/.test(before)) {
        throw badQuery('before must be what "next" of the page before said.')
      }
      const limit = limitOf(req, AUDIT)
      const texts = Object.fromEntries(AUDIT_PARAMETERS.map(name => [name, parameter(req, name)]))
      const read = readAuditFilter(texts, Date.now())
      if (!read.ok) throw badQuery(`${read.what} ${read.message}.`)
      // One more shows that there are more.
      const entries = await parts.letters.audit({ ...read.filter, limit: limit + 1, before })
      const audit = entries.slice(0, limit)
      sendJson(res, 200, { audit, next: entries.length > limit ? (audit.at(-1)?.id ?? null) : null })
    },
  })
  route('/admin/events', {
    get: async (req, res) => {
      if (req.method === 'HEAD') {
        res.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store' })
        res.end()
        return
      }
      if (!parts.feed.watch(res)) throw new Refusal(TOO_MANY)
      res.locals.streamingSinceMs = performance.now()
    },
  })
  return router
}

/** @throws Refusal */
function spanOf(given: string): TimelineSpanName {
  if (Object.hasOwn(TIMELINE_SPANS, given)) return given as TimelineSpanName
  throw badQuery(`span must be one of ${Object.keys(TIMELINE_SPANS).join(', ')}.`)
}

const TOO_MANY: Problem = {
  status: 503,
  code: 'too_many_watchers',
  detail: 'As many operators watch as this process serves. Try again later.',
  headers: { 'Retry-After': '30' },
}
