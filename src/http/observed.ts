import type { ErrorRequestHandler, Request, RequestHandler } from 'express'
import type { RequestTracing } from '../engine/tracing.ts'
import { HTTP_METHODS, type HttpMethod, type ReadObserver } from '../read/read-side.ts'
import { sendProblem } from './problem.ts'

/**
 * Reports each request once it is over, under the pattern of its route: a closed set. A route that streams sets
 * `res.locals.streamingSinceMs` (`performance.now()`): how long a client watches is no duration of a request.
 * @param onDone called after each request, however it ended
 */
export function timed(observer: ReadObserver, tracing: RequestTracing, onDone: () => void): RequestHandler {
  return (req, res, next) => {
    const startedMs = performance.now()
    const closed = tracing.bind(() => {
      const streamingSinceMs = res.locals.streamingSinceMs as number | undefined
      observer.observe({
        kind: 'http_served',
        method: methodOf(req.method),
        route: routeOf(req, res.statusCode),
        // 499: the client disconnected first (a convention of nginx); every client of an event stream disconnects eventually.
        status: res.writableFinished || streamingSinceMs !== undefined ? res.statusCode : 499,
        seconds: ((streamingSinceMs ?? performance.now()) - startedMs) / 1000,
      })
      onDone()
    })
    res.once('close', closed)
    next()
  }
}

function methodOf(method: string): HttpMethod {
  return HTTP_METHODS.find(known => known === method) ?? 'OTHER'
}

/** The pattern that matched, never the path: a closed set. */
function routeOf(req: Request, status: number): string {
  const route: unknown = req.route
  if (typeof route === 'object' && route !== null && 'path' in route) {
    if (typeof route.path === 'string') return route.path
    return 'unmatched'
  }
  return status < 400 ? 'static' : 'unmatched'
}

/** The last resort: what Express refused, and unexpected errors. */
export function failed(observer: ReadObserver): ErrorRequestHandler {
  return (error: unknown, req, res, _next) => {
    if (res.headersSent) {
      res.destroy()
      return
    }
    const status = refusalOf(error)
    if (status !== undefined) {
      sendProblem(req, res, { status, code: 'bad_request', detail: 'The request could not be understood.' })
      return
    }
    const traceId = sendProblem(req, res, {
      status: 500,
      code: 'internal_error',
      detail: 'Something went wrong on our side. The log has the cause under this trace_id.',
    })
    observer.observe({ kind: 'http_failed', route: routeOf(req, 500), traceId, error })
  }
}

/** Express marks what the client did wrong (a path that cannot be decoded, say) with a status below 500. */
function refusalOf(error: unknown): number | undefined {
  const status = error instanceof Error && 'status' in error ? error.status : undefined
  return typeof status === 'number' && status >= 400 && status < 500 ? status : undefined
}
