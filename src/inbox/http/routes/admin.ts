import { type RequestHandler, Router } from 'express'
import { sendProblem } from '../../../http/problem.ts'
import { type AdminGuard, type AdminParts, badQuery, parameter, Refusal } from '../admin.ts'
import { adminCauseRoutes } from './admin-causes.ts'
import { adminLetterRoutes } from './admin-letters.ts'
import { adminRedriveRoutes } from './admin-redrives.ts'
import { adminStreamRoutes } from './admin-stream.ts'

/** Below these everything is of one stream. */
const PATHS = ['dead-letters', 'replays', 'stream', 'timeline', 'automatic-redrive', 'audit', 'events'].map(
  path => `/admin/${path}`,
)

/**
 * Everything below `/admin/`: for the role admin, with a key only, so that a page of another site has nothing to forge. The
 * parameter `stream` selects the stream; the default is the first.
 */
export function adminRoutes(streams: readonly AdminParts[], guard: AdminGuard): Router {
  const router = Router({ caseSensitive: true })
  const routers = new Map(streams.map(parts => [parts.stream.name, routesOf(parts, guard)]))
  const preset = streams[0]?.stream.name ?? ''
  const choose: RequestHandler = (req, res, next) => {
    const chosen = routers.get(nameOf(req) ?? preset)
    if (chosen === undefined) next()
    else chosen(req, res, next)
  }
  router.use(choose)
  router.use(PATHS, ...guard.read, (req, res, next) => {
    if (routers.has(nameOf(req) ?? preset)) return next()
    const { problem } = badQuery(`stream must be one of ${[...routers.keys()].join(', ')}, and stand once.`)
    sendProblem(req, res, { ...problem, code: 'no_such_stream' })
  })
  return router
}

/** @returns what is no name of a stream when the parameter stands twice; `undefined` when it is not there */
function nameOf(req: Parameters<RequestHandler>[0]): string | undefined {
  try {
    return parameter(req, 'stream')
  } catch (error) {
    if (error instanceof Refusal) return ''
    throw error
  }
}

function routesOf(parts: AdminParts, guard: AdminGuard): Router {
  const router = Router({ caseSensitive: true })
  const patient = { ...guard, storeSilentMs: parts.storeSilentMs }
  // Redrives and causes stand before the letters, because `/admin/dead-letters/replays` is no letter's id.
  router.use(adminRedriveRoutes(parts, patient))
  router.use(adminCauseRoutes(parts, patient))
  router.use(adminLetterRoutes(parts, patient))
  router.use(adminStreamRoutes(parts, patient))
  return router
}
