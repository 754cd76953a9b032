import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Router } from 'express'

const PAGE = fileURLToPath(new URL('../../../web/docs.html', import.meta.url))
const SWAGGER_UI = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))
/** The package also holds source maps and other builds, 10 MB that are not served. */
const ASSETS = ['swagger-ui.css', 'swagger-ui-bundle.js']

/**
 * `GET /docs`: Swagger UI out of its npm package, reading `/openapi.json`. The page and what starts it are our own files
 * (`web/docs.html`, `web/docs.js`), because the package's page points at a document elsewhere.
 */
export function docsRoutes(): Router {
  const router = Router({ caseSensitive: true })
  router.get('/docs', async (_req, res) => {
    const page = await readFile(PAGE)
    res.writeHead(200, {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Length': page.length,
      'Cache-Control': 'no-cache',
    })
    res.end(page)
  })
  for (const name of ASSETS) {
    router.get(`/docs/${name}`, (_req, res) => {
      res.sendFile(join(SWAGGER_UI, name), { cacheControl: false, headers: { 'Cache-Control': 'no-cache' } })
    })
  }
  return router
}
