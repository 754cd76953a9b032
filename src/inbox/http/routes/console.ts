import { fileURLToPath } from 'node:url'
import { Router } from 'express'

const PAGE = fileURLToPath(new URL('../../../../web/admin.html', import.meta.url))

/**
 * `GET /admin`: the console. The page and its scripts (`web/console/`) hold no data, so they are served without a key; what they
 * show they ask of the routes below `/admin/`, with the key that the operator gives them.
 */
export function consoleRoute(): Router {
  const router = Router({ caseSensitive: true })
  router.get('/admin', (_req, res) => {
    res.sendFile(PAGE, { cacheControl: false, headers: { 'Cache-Control': 'no-cache' } })
  })
  return router
}
