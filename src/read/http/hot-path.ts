import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RequestTracing } from '../../engine/tracing.ts'
import type { Auth } from '../../http/auth.ts'
import { matchesEtag } from '../../http/etag.ts'
import type { HostGate } from '../../http/host-gate.ts'
import { SECURITY_HEADERS } from '../../http/security-headers.ts'
import type { ReadObserver, ValueCache } from '../read-side.ts'
import type { StreamReading } from './stream-reading.ts'
import { cacheStatus, JSON_CONTENT_TYPE, VALUE_CACHE_CONTROL } from './value-answer.ts'

export interface HotPathParts {
  readonly streams: readonly Pick<StreamReading, 'stream' | 'cache'>[]
  readonly auth: Auth
  readonly gate: HostGate
  readonly observer: ReadObserver
  readonly tracing: RequestTracing
  /** Called after each request that was answered here, however it ended. */
  readonly onDone: () => void
}

/** A segment and a key in plain characters, so that nothing of them has to be decoded. */
const PATH = /^\/([A-Za-z0-9._~-]+)\/([A-Za-z0-9._~:@!$&'()*+,;=-]+)$/

interface Served {
  readonly cache: ValueCache
  /** The route's pattern: the label of its metric, the same as Express would give it. */
  readonly route: string
  /** Fixed addresses beside the keys. */
  readonly others: ReadonlySet<string>
}

/**
 * Answers the most frequent request, `GET /ROUTE/KEY` for a value that is held in memory, without Express, whose stack costs more
 * than the rest of such an answer (bench/READ.md has the figures). Any other request (another method or address, no right to
 * read, not held) is left to Express, untouched.
 *
 * The answers are the same, header for header; a test compares them.
 * @returns whether it has answered
 */
export function createHotPath(parts: HotPathParts): (req: IncomingMessage, res: ServerResponse) => boolean {
  const { auth, gate, observer, tracing, onDone } = parts
  const served = servedBySegment(parts.streams)
  const always = [...SECURITY_HEADERS.flat(), 'Cache-Control', VALUE_CACHE_CONTROL]
  const alwaysWithBody = [...always, 'Content-Type', JSON_CONTENT_TYPE]

  return (req, res) => {
    if (req.method !== 'GET') return false
    const [url, segment, key] = PATH.exec(req.url ?? '') ?? []
    if (url === undefined || segment === undefined || key === undefined) return false
    const stream = served.get(segment)
    if (stream === undefined || stream.others.has(url) || !gate.knows(req) || !auth.check(req, 'read').ok) return false
    const startedMs = performance.now()
    const lookup = stream.cache.hit(key)
    if (lookup?.value === undefined) return false

    const closed = tracing.bind(() => {
      observer.observe({
        kind: 'http_served',
        method: 'GET',
        route: stream.route,
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

/** By the first segment of the path that links take. */
function servedBySegment(streams: HotPathParts['streams']): ReadonlyMap<string, Served> {
  const served = new Map<string, Served>()
  for (const { stream, cache } of streams) {
    const [route = ''] = stream.http.paths
    const segment = /^\/([^/]+)\/:\w+$/.exec(route)?.[1]
    const others = new Set([stream.http.create, stream.http.live])
    if (segment !== undefined) served.set(segment, { cache, route, others })
  }
  return served
}
