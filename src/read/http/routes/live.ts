import { type RequestHandler, Router } from 'express'
import { sendProblem } from '../../../http/problem.ts'
import type { StreamReading } from '../stream-reading.ts'

/** `GET /ROUTE/live`: the values that this process stores from now on. Must stand before `/ROUTE/KEY`. */
export function liveRoutes(
  { stream, feed }: Pick<StreamReading, 'stream' | 'feed'>,
  guard: readonly RequestHandler[],
): Router {
  const router = Router({ caseSensitive: true })
  router.get(stream.http.live, ...guard, (req, res) => {
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
      detail: 'As many pages watch this stream as this process serves. Try again later.',
      headers: { 'Retry-After': '30' },
    })
  })
  return router
}
