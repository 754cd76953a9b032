import type { RequestHandler } from 'express'
import type { HttpRefusal } from '../read/read-side.ts'
import { type Problem, sendProblem } from './problem.ts'

/** How many requests may be under way at once, by the role that they need. */
export interface WorkLimits {
  readonly read: number
  /** Lists and pages among those that read, each of which holds several megabytes until it is read. */
  readonly pages: number
  readonly write: number
  readonly admin: number
}

/**
 * Each role has a bound of its own, so that readers do not keep operators out. A request counts until its answer has been taken:
 * readers that do not read hold places and no further memory.
 */
export const WORK_LIMITS: WorkLimits = { read: 256, pages: 16, write: 128, admin: 64 }

const BUSY: Problem = {
  status: 503,
  code: 'busy',
  detail: 'As many requests of this kind are under way as this process takes. Try again in a moment.',
  headers: { 'Retry-After': '1' },
}

/** Lets `most` requests be under way at once, over all routes that it stands in front of. */
export function limitWork(most: number, onRefused: (reason: HttpRefusal) => void): RequestHandler {
  let underWay = 0
  return (req, res, next) => {
    if (underWay >= most) {
      onRefused('busy')
      sendProblem(req, res, BUSY)
      return
    }
    underWay += 1
    res.once('close', () => {
      underWay -= 1
    })
    next()
  }
}
