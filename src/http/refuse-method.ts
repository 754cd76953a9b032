import type { RequestHandler } from 'express'
import { sendProblem } from './problem.ts'

/** Stands behind the routes of an address: what comes so far is a method that it does not take. */
export function refuseMethod(allow: string): RequestHandler {
  return (req, res) => {
    sendProblem(req, res, {
      status: 405,
      code: 'method_not_allowed',
      detail: `This address takes ${allow}.`,
      headers: { Allow: allow },
    })
  }
}
