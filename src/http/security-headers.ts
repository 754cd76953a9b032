import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { RequestHandler } from 'express'
import helmet from 'helmet'

/** Headers of every answer: a browser runs and loads only what is ours, and no page frames it. */
export function securityHeaders(): RequestHandler & ReturnType<typeof helmet> {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        connectSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
      },
    },
  })
}

/** The same, written out, for answers that do without Express: they depend on nothing that is asked. */
export const SECURITY_HEADERS: readonly (readonly [name: string, value: string])[] = written()

function written(): [string, string][] {
  const headers: [string, string][] = []
  const req = new IncomingMessage(new Socket())
  const res = new ServerResponse(req)
  // Not `getHeaders()`, which has the names in lower case: on the wire they shall stand as Express writes them.
  res.setHeader = (name, value) => {
    headers.push([name, String(value)])
    return res
  }
  securityHeaders()(req, res, () => {})
  return headers
}
