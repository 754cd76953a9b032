import type { Request, RequestHandler, Response } from 'express'
import { ipKeyGenerator, type RateLimitRequestHandler, rateLimit } from 'express-rate-limit'
import type { AccessRole } from '../core/access.ts'
import type { Auth, Caller } from './auth.ts'
import { sendProblem } from './problem.ts'

export interface Limits {
  /** Writes that one key, or one address without a key, may try in a minute. */
  readonly writesPerMinute: number
  /** Unknown keys from one address that are answered as such in a minute. */
  readonly badKeysPerMinute: number
}

export interface Guard {
  /** Lets only callers with that role through. */
  require(role: AccessRole): RequestHandler
  /** Who was let through. Only behind {@link Guard.require}. */
  callerOf(res: Response): Caller | undefined
  /** Behind `require('write')`. */
  readonly limitWrites: RequestHandler
}

const MINUTE_MS = 60_000

/** What stands in front of routes: who may, and how often. Limits are counted in this process alone. */
export function createGuard(auth: Auth, limits: Limits): Guard {
  /**
   * Only slows down who guesses: a good key is let through whatever others at its address do, or anybody behind the same
   * proxy could lock all of them out.
   */
  const badKeys = limited('bad-keys', limits.badKeysPerMinute, addressOf)
  const callerOf = (res: Response) => res.locals.caller as Caller | undefined

  return {
    require: role => (req, res, next) => {
      const access = auth.check(req, role)
      if (access.ok) {
        res.locals.caller = access.caller
        return next()
      }
      if (!access.badKey) return void sendProblem(req, res, access.problem)
      return badKeys(req, res, () => sendProblem(req, res, access.problem))
    },
    callerOf,
    limitWrites: limited('writes', limits.writesPerMinute, (req, res) => {
      const name = callerOf(res)?.name
      return name === undefined ? addressOf(req) : `key ${name}`
    }),
  }
}

/** An IPv6 network counts as one caller: whoever has one has all of its addresses. */
function addressOf(req: Request): string {
  return ipKeyGenerator(req.socket.remoteAddress ?? 'unknown')
}

function limited(
  name: string,
  perMinute: number,
  keyGenerator: (req: Request, res: Response) => string,
): RateLimitRequestHandler {
  return rateLimit({
    windowMs: MINUTE_MS,
    limit: perMinute,
    identifier: name,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    keyGenerator,
    // It warns of proxies that it is not told of. Whoever puts one in front gives its callers keys (see auth.ts).
    validate: false,
    handler: (req, res) => {
      sendProblem(req, res, {
        status: 429,
        code: 'too_many_requests',
        detail: `More than ${perMinute} in a minute. Try again when the time in Retry-After is over.`,
        headers: { 'Retry-After': String(res.getHeader('Retry-After') ?? MINUTE_MS / 1000) },
      })
    },
  })
}
