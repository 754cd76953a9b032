import type { Request, RequestHandler, Response } from 'express'
import { type RateLimitRequestHandler, rateLimit } from 'express-rate-limit'
import type { HttpRefusal } from '../read/read-side.ts'
import type { AccessRole } from '../settings/access.ts'
import { addressOf } from './address.ts'
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
  /** In front of what needs no key: a client that guesses keys is slowed down there as well. */
  readonly limitBadKeys: RequestHandler
  /** Behind `require('write')`. */
  readonly limitWrites: RequestHandler
}

const MINUTE_MS = 60_000

/** What stands in front of routes: who may, and how often. Limits are counted in this process alone. */
export function createGuard(auth: Auth, limits: Limits, onRefused: (reason: HttpRefusal, req: Request) => void): Guard {
  /**
   * Only slows down guessing: a good key is let through whatever others at its address do, or other clients behind the same
   * proxy could lock all of them out.
   */
  const limited = (name: string, perMinute: number, keyOf: (req: Request, res: Response) => string) =>
    rateLimitOf(name, perMinute, keyOf, req => onRefused('too_many_requests', req))
  const badKeys = limited('bad-keys', limits.badKeysPerMinute, addressOf)
  const callerOf = (res: Response) => res.locals.caller as Caller | undefined

  return {
    require: role => (req, res, next) => {
      const access = auth.check(req, role)
      if (access.ok) {
        res.locals.caller = access.caller
        return next()
      }
      const { problem } = access
      onRefused(problem.code, req)
      if (problem.code !== 'bad_key') return void sendProblem(req, res, problem)
      return badKeys(req, res, () => sendProblem(req, res, problem))
    },
    limitBadKeys(req, res, next) {
      if (req.headers.authorization === undefined) return next()
      const access = auth.check(req, 'read')
      if (access.ok || access.problem.code !== 'bad_key') return next()
      onRefused('bad_key', req)
      return badKeys(req, res, next)
    },
    callerOf,
    limitWrites: limited('writes', limits.writesPerMinute, (req, res) => {
      const name = callerOf(res)?.name
      return name === undefined ? addressOf(req) : `key ${name}`
    }),
  }
}

function rateLimitOf(
  name: string,
  perMinute: number,
  keyGenerator: (req: Request, res: Response) => string,
  onRefused: (req: Request) => void,
): RateLimitRequestHandler {
  return rateLimit({
    windowMs: MINUTE_MS,
    limit: perMinute,
    identifier: name,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    keyGenerator,
    // The library warns of proxies that it is not configured for. Behind a proxy, callers need keys (see auth.ts).
    validate: false,
    handler: (req, res) => {
      onRefused(req)
      sendProblem(req, res, {
        status: 429,
        code: 'too_many_requests',
        detail: `More than ${perMinute} in a minute. Try again when the time in Retry-After is over.`,
        headers: { 'Retry-After': String(res.getHeader('Retry-After') ?? MINUTE_MS / 1000) },
      })
    },
  })
}
