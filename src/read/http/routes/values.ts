import { type Request, type RequestHandler, type Response, Router } from 'express'
import type { DeadLetterHint, DeadLetterIndex } from '../../../engine/dead-letter-hint.ts'
import { dispositionOf } from '../../../engine/errors.ts'
import { matchesEtag } from '../../../http/etag.ts'
import { sendProblem } from '../../../http/problem.ts'
import type { Lookup } from '../../read-side.ts'
import { consoleUrl } from '../story.ts'
import type { StreamReading } from '../stream-reading.ts'
import { VALUE_CACHE_CONTROL as CACHE_CONTROL, cacheStatus, JSON_CONTENT_TYPE } from '../value-answer.ts'

const RETRY_AFTER_SECONDS = '5'

export interface ValueParts extends Pick<StreamReading, 'stream' | 'cache' | 'deadLetters'> {
  /** Whether the caller of a guarded route is an operator. */
  readonly isAdmin: (res: Response) => boolean
  /** This process serves one stream: then links to the console need not name it. */
  readonly isOnly: boolean
}

/**
 * `GET /ROUTE/KEY`, under each path of the stream. The cache holds the bytes of the answer, and this writes them as they are: it
 * parses, hashes and serializes nothing. `hot-path.ts` answers most requests for values in memory before they reach this.
 */
export function valueRoutes(parts: ValueParts, guard: readonly RequestHandler[]): Router {
  const { paths, query } = parts.stream.http
  const router = Router({ caseSensitive: true })
  for (const path of paths) {
    router.get(path, ...guard, (req, res) => serveValue(parts, Object.values(req.params)[0], req, res))
  }
  if (query !== undefined) {
    router.get(query.path, ...guard, (req, res) => serveValue(parts, req.query[query.parameter], req, res))
  }
  return router
}

async function serveValue(parts: ValueParts, key: unknown, req: Request<object>, res: Response): Promise<void> {
  const { cache, stream } = parts
  const { one, keyWord, keyRule, codes } = stream.http
  if (typeof key !== 'string' || !stream.isKey(key)) {
    sendProblem(req, res, { status: 400, code: codes.malformedKey, detail: keyRule })
    return
  }
  let lookup: Lookup
  try {
    lookup = await cache.get(key)
  } catch (error) {
    // Anything but "away" is for the error handler.
    if (dispositionOf(error) !== 'retry') throw error
    sendProblem(req, res, {
      status: 503,
      code: 'store_unavailable',
      detail: `The ${one} is not in memory, and the database cannot be reached just now. Try again in a few seconds.`,
      headers: { 'Retry-After': RETRY_AFTER_SECONDS, 'Cache-Status': 'holdfast; fwd=miss' },
    })
    return
  }
  const { value } = lookup
  if (value === undefined) {
    const hint = parts.isAdmin(res) ? await whyNot(parts.deadLetters, key) : undefined
    const url = hint === undefined ? undefined : consoleUrl(hint.id, parts.isOnly ? undefined : stream.name)
    sendProblem(req, res, {
      status: 404,
      code: codes.notFound,
      detail: `There is no ${one} with this ${keyWord}.`,
      deadLetter: hint === undefined || url === undefined ? undefined : { ...hint, url },
      headers: {
        'Cache-Control': CACHE_CONTROL,
        'Cache-Status': cacheStatus(lookup),
        ...(url === undefined ? {} : { Link: `<${url}>; rel="related"` }),
      },
    })
    return
  }
  const fresh = matchesEtag(req.headers['if-none-match'], value.etag)
  if (fresh) {
    res.writeHead(304, { ETag: value.etag, 'Cache-Control': CACHE_CONTROL, 'Cache-Status': cacheStatus(lookup) })
    res.end()
    return
  }
  res.writeHead(200, {
    'Content-Type': JSON_CONTENT_TYPE,
    'Content-Length': value.json.length,
    ETag: value.etag,
    'Cache-Control': CACHE_CONTROL,
    'Cache-Status': cacheStatus(lookup),
  })
  // Node leaves the body out of an answer to HEAD.
  res.end(value.json)
}

/** A missing value is a 404 also while the database cannot provide the reason. */
async function whyNot(deadLetters: DeadLetterIndex, key: string): Promise<DeadLetterHint | undefined> {
  try {
    return await deadLetters.ofKey(key)
  } catch (error) {
    if (dispositionOf(error) !== 'retry') throw error
    return undefined
  }
}
