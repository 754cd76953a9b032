import { type Request, type RequestHandler, type Response, Router } from 'express'
import { dispositionOf } from '../../core/errors.ts'
import type { Lookup, ValueCache } from '../../core/read-side.ts'
import type { DeadLetterHint, DeadLetterIndex } from '../../inbox/ports.ts'
import { matchesEtag } from '../etag.ts'
import { ORDER_CACHE_CONTROL as CACHE_CONTROL, cacheStatus, ORDER_CONTENT_TYPE } from '../order-answer.ts'
import { sendProblem } from '../problem.ts'
import { UID } from '../uid.ts'

const RETRY_AFTER_SECONDS = '5'

export interface OrderParts {
  readonly cache: ValueCache
  readonly deadLetters: DeadLetterIndex
  /** Whether the caller of a guarded route is an operator. */
  readonly isAdmin: (res: Response) => boolean
}

/**
 * `GET /order/:uid`, and the same as `GET /order?uid=` and `GET /orders/:uid`. What the cache holds are the bytes of the
 * answer, so this writes them as they are: no JSON, no hashing, no generic send. What is held in memory is mostly answered
 * before it comes to this, see `hot-path.ts`.
 */
export function orderRoutes(parts: OrderParts, guard: readonly RequestHandler[]): Router {
  const router = Router({ caseSensitive: true })
  const byPath = (req: Request<{ uid: string }>, res: Response) => serveOrder(parts, req.params.uid, req, res)
  router.get('/order/:uid', ...guard, byPath)
  router.get('/orders/:uid', ...guard, byPath)
  router.get('/order', ...guard, (req, res) => serveOrder(parts, req.query.uid, req, res))
  return router
}

async function serveOrder(parts: OrderParts, uid: unknown, req: Request<object>, res: Response): Promise<void> {
  const { cache } = parts
  if (typeof uid !== 'string' || !UID.test(uid)) {
    sendProblem(req, res, {
      status: 400,
      code: 'bad_uid',
      detail: 'An order uid has 1 to 64 characters: letters, digits, "_" and "-".',
    })
    return
  }
  let lookup: Lookup
  try {
    lookup = await cache.get(uid)
  } catch (error) {
    // Anything but "away" is for the error handler.
    if (dispositionOf(error) !== 'retry') throw error
    sendProblem(req, res, {
      status: 503,
      code: 'store_unavailable',
      detail: 'The order is not in memory, and the database cannot be reached just now. Try again in a few seconds.',
      headers: { 'Retry-After': RETRY_AFTER_SECONDS, 'Cache-Status': 'holdfast; fwd=miss' },
    })
    return
  }
  const { value } = lookup
  if (value === undefined) {
    const hint = parts.isAdmin(res) ? await whyNot(parts.deadLetters, uid) : undefined
    const url = hint === undefined ? undefined : consoleUrl(hint.id)
    sendProblem(req, res, {
      status: 404,
      code: 'order_not_found',
      detail: 'There is no order with this uid.',
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
    'Content-Type': ORDER_CONTENT_TYPE,
    'Content-Length': value.json.length,
    ETag: value.etag,
    'Cache-Control': CACHE_CONTROL,
    'Cache-Status': cacheStatus(lookup),
  })
  // Node leaves the body out of an answer to HEAD.
  res.end(value.json)
}

/** A hint, and no more: an order that is not there is a 404 also while nobody can say why. */
async function whyNot(deadLetters: DeadLetterIndex, uid: string): Promise<DeadLetterHint | undefined> {
  try {
    return await deadLetters.ofOrder(uid)
  } catch (error) {
    if (dispositionOf(error) !== 'retry') throw error
    return undefined
  }
}

/** Where the console shows a dead letter. */
function consoleUrl(id: string): string {
  return `/admin?letter=${encodeURIComponent(id)}`
}
