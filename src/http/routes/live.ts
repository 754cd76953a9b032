import { type RequestHandler, Router } from 'express'
import type { LiveFeed } from '../live-feed.ts'
import { sendProblem } from '../problem.ts'

/** `GET /orders/live`: the orders that this process stores from now on, as they come. Must stand before `/orders/:uid`. */
export function liveRoutes(feed: LiveFeed, guard: readonly RequestHandler[]): Router {
  const router = Router({ caseSensitive: true })
  router.get('/orders/live', ...guard, (req, res) => {
    if (req.method === 'HEAD') {
      res.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store' })
      res.end()
      return
    }
    if (feed.watch(res)) {
      res.locals.streamingSinceMs = performance.now()
      return
    }
    sendProblem(req, res, {
      status: 503,
      code: 'too_many_watchers',
      detail: 'As many pages watch the orders as this process serves. Try again later.',
      headers: { 'Retry-After': '30' },
    })
  })
  return router
}
