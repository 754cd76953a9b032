import { Router } from 'express'
import type { ReadStream } from '../../read/http/stream-reading.ts'
import { openapiDocument } from '../openapi-document.ts'

/** `GET /openapi.json`: the document of this API, whole in one file, for the streams of this process. */
export function openapiRoute(streams: readonly ReadStream[]): Router {
  const router = Router({ caseSensitive: true })
  const body = Buffer.from(JSON.stringify(openapiDocument(streams)))
  router.get('/openapi.json', (_req, res) => {
    res.writeHead(200, {
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': body.length,
      'Cache-Control': 'no-cache',
    })
    res.end(body)
  })
  return router
}
