import { Router } from 'express'

/** `GET path`: the same document for as long as the process runs. */
export function fixedJsonRoute(path: string, document: object): Router {
  const router = Router({ caseSensitive: true })
  const body = Buffer.from(JSON.stringify(document))
  router.get(path, (_req, res) => {
    res.writeHead(200, {
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': body.length,
      'Cache-Control': 'no-cache',
    })
    res.end(body)
  })
  return router
}
