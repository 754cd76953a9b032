import { existsSync, readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { openapiDocument } from '#src/http/openapi-document.ts'
import { VERSION } from '#src/version.ts'
import { orderStream } from '../../support/http-parts.ts'
import { aReturn, returnsStream } from '../../support/returns.ts'
import { startService, UID } from '../http/support.ts'

const SCHEMAS = new URL('../../../schemas/', import.meta.url)

interface Operation {
  readonly operationId: string
  readonly responses: Readonly<Record<string, object>>
}
interface Document {
  readonly info: { readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}
const source = JSON.parse(readFileSync(new URL('openapi.json', SCHEMAS), 'utf8')) as Document
const served = openapiDocument([orderStream]) as unknown as Document

function refsOf(document: object): string[] {
  return [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref = '']) => ref)
}

function targetOf(document: object, ref: string): unknown {
  const step = (part: unknown, name: string) =>
    typeof part === 'object' && part !== null ? Reflect.get(part, name) : undefined
  return ref.slice(2).split('/').reduce<unknown>(step, document)
}

/** Operations of a path by their method; what else a path holds (its common parameters) is none. */
function operationsOf(path: Readonly<Record<string, Operation>>): [string, Operation][] {
  return Object.entries(path).filter(([name]) => ['get', 'post', 'put', 'patch', 'delete'].includes(name))
}

function idsOf(document: Document): string[] {
  return Object.values(document.paths).flatMap(path => operationsOf(path).map(([, { operationId }]) => operationId))
}

describe('the OpenAPI document', () => {
  it('refers only to what there is, and to nothing outside once it is served', () => {
    const outside = refsOf(source).filter(ref => !ref.startsWith('#/'))
    expect(outside).toEqual(['order.schema.json'])
    for (const file of outside) expect(existsSync(new URL(file, SCHEMAS))).toBe(true)
    const refs = refsOf(served)
    expect(refs.length).toBeGreaterThan(50)
    for (const ref of refs) {
      expect(ref).toMatch(/^#\//)
      expect(targetOf(served, ref), ref).toBeDefined()
    }
  })

  it('holds only schemas that can be compiled', () => {
    const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, validateFormats: false })
    ajv.addVocabulary(['openapi', 'info', 'servers', 'tags', 'paths', 'components', 'security'])
    ajv.addSchema({ ...served, $id: 'openapi' })
    for (const name of Object.keys(served.components.schemas)) {
      expect(() => ajv.compile({ $ref: `openapi#/components/schemas/${name}` }), name).not.toThrow()
    }
  })

  it('names each operation once, and is of this version', () => {
    const ids = idsOf(served)
    expect(new Set(ids).size).toBe(ids.length)
    expect(served.info.version).toBe(VERSION)
  })

  it('describes only addresses that are served', async () => {
    await using service = await startService()
    for (const [template, item] of Object.entries(served.paths)) {
      // It never ends by itself.
      if (template === '/orders/live') continue
      for (const [method] of operationsOf(item)) {
        const path = template.replace('{uid}', UID).replace('{alert}', 'HoldfastLagHigh')
        const response = await service.get(path, { method: method.toUpperCase() })
        expect([404, 405], `${method} ${template}`).not.toContain(response.status)
      }
    }
  })

  it('is the file for orders, but for what the file refers to', () => {
    const { Order: _, ...schemas } = source.components.schemas
    expect(served).toMatchObject(
      JSON.parse(JSON.stringify({ ...source, components: { ...source.components, schemas } })),
    )
    expect(Object.keys(served.paths)).toEqual(Object.keys(source.paths))
  })

  it('describes another stream beside orders, or instead of them', () => {
    for (const streams of [[orderStream, returnsStream], [returnsStream]]) {
      const document = openapiDocument(streams) as unknown as Document
      const ofReturns = Object.keys(document.paths).filter(path => path.startsWith('/returns'))
      expect(ofReturns.sort()).toEqual(['/returns', '/returns/create', '/returns/live', '/returns/{key}'])
      expect('/orders' in document.paths).toBe(streams.length === 2)
      expect('OrderPage' in document.components.schemas).toBe(streams.length === 2)
      for (const ref of refsOf(document)) expect(targetOf(document, ref), ref).toBeDefined()
      const ids = idsOf(document)
      expect(new Set(ids).size).toBe(ids.length)
      const ajv = new Ajv2020({ strict: false, validateFormats: false })
      ajv.addSchema({ ...document, $id: 'openapi' })
      const isReturn = ajv.compile({ $ref: 'openapi#/components/schemas/Returns' })
      expect(isReturn(aReturn('r1'))).toBe(true)
      expect(isReturn({ ...aReturn('r1'), lines: [{ quantity: 'two' }] })).toBe(false)
    }
  })

  it('is what is served', async () => {
    await using service = await startService()
    const response = await service.get('/openapi.json')
    expect(await response.json()).toEqual(JSON.parse(JSON.stringify(served)))
  })
})
