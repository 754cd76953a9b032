import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ReadObserver, ValueCache } from '../core/read-side.ts'
import type { RequestTracing } from '../core/tracing.ts'
import type { Auth } from './auth.ts'
import { matchesEtag } from './etag.ts'
import type { HostGate } from './host-gate.ts'
import { cacheStatus, ORDER_CACHE_CONTROL, ORDER_CONTENT_TYPE } from './order-answer.ts'
import { SECURITY_HEADERS } from './security-headers.ts'

export interface HotPathParts {
  readonly cache: ValueCache
  readonly auth: Auth
  readonly gate: HostGate
  readonly observer: ReadObserver
  readonly tracing: RequestTracing
  /** Called after each request that was answered here, however it ended. */
  readonly onDone: () => void
}

/** The route's pattern: the label of its metric, the same whoever answers. */
const ROUTE = '/order/:uid'
const PATH = /^\/order\/([A-Za-z0-9_-]{1,64})$/

/**
 * Answers the one question that is asked all the time, `GET /order/UID` for an order that is held in memory, without
 * Express: its stack costs more than all the rest of such an answer (bench/READ.md has the figures). Whatever is not that plain
 * (another method or address, no right to read, not held) is left to Express, untouched.
 *
 * The answers are the same, header for header; a test holds them together.
 * @returns whether it has answered
 */
export function createHotPath(parts: HotPathParts): (req: IncomingMessage, res: ServerResponse) => boolean {
  const { cache, auth, gate, observer, tracing, onDone } = parts
  const always = [...SECURITY_HEADERS.flat(), 'Cache-Control', ORDER_CACHE_CONTROL]
  const alwaysWithBody = [...always, 'Content-Type', ORDER_CONTENT_TYPE]

  return (req, res) => {
    if (req.method !== 'GET') return false
    const uid = PATH.exec(req.url ?? '')?.[1]
    if (uid === undefined || !gate.knows(req) || !auth.check(req, 'read').ok) return false
    const startedMs = performance.now()
    const lookup = cache.hit(uid)
    if (lookup?.value === undefined) return false

    const closed = tracing.bind(() => {
      observer.observe({
        kind: 'http_served',
        method: 'GET',
        route: ROUTE,
        status: res.writableFinished ? res.statusCode : 499,
        seconds: (performance.now() - startedMs) / 1000,
      })
      onDone()
    })
    res.on('close', closed)
    const { json, etag } = lookup.value
    const status = cacheStatus(lookup)
    if (matchesEtag(req.headers['if-none-match'], etag)) {
      res.writeHead(304, always.concat('ETag', etag, 'Cache-Status', status))
      res.end()
    } else {
      const length = String(json.length)
      res.writeHead(200, alwaysWithBody.concat('ETag', etag, 'Cache-Status', status, 'Content-Length', length))
      res.end(json)
    }
    return true
  }
}
