import { readFileSync } from 'node:fs'
import { Router } from 'express'

const SCHEMAS = new URL('../../../schemas/', import.meta.url)

/** `GET /openapi.json`: the document of this API, whole in one file. */
export function openapiRoute(): Router {
  const router = Router({ caseSensitive: true })
  const body = Buffer.from(JSON.stringify(openapiDocument()))
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

interface OpenapiDocument {
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

/** `schemas/openapi.json`, with the order's schema in the place that refers to its file. */
export function openapiDocument(): OpenapiDocument {
  const document = readJson('openapi.json') as OpenapiDocument
  // Inside the document it goes by its place there, and speaks the document's dialect (which is the same).
  const { $schema: _dialect, $id: _name, ...order } = readJson('order.schema.json') as Record<string, unknown>
  const schemas = { ...document.components.schemas, Order: order }
  return { ...document, components: { ...document.components, schemas } }
}

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(new URL(name, SCHEMAS), 'utf8'))
}
