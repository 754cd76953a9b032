import { Ajv2020 } from 'ajv/dist/2020.js'
import { fullFormats } from 'ajv-formats/dist/formats.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkDefinitions } from '#src/engine/definition/check.ts'
import { compileTables } from '#src/engine/definition/compile.ts'
import { columnNames } from '#src/engine/definition/plan.ts'
import { InferenceError, inferSchema, inferStream } from '#src/engine/values/infer.ts'
import { schemaProblems } from '#src/engine/values/values.ts'
import { rounds } from '../../../support/effort.ts'

const one = {
  return_id: '6b1f0c9e-9a4b-4f47-9a55-1f2e3d4c5b6a',
  created_at: '2024-05-01T10:00:00Z',
  refund: 12.5,
  customer: { id: 'c1', name: 'Ann', email: 'ann@example.org' },
  address: { street: 'High Street 1', city: 'Leeds', geo: { lat: 53.8, lon: -1.5 } },
  lines: [{ sku: 'a', quantity: 1, product: { name: 'Lamp', brand: { id: 3 } } }],
  tags: ['late'],
}
const two = { ...one, return_id: '7b1f0c9e-9a4b-4f47-9a55-1f2e3d4c5b6a', refund: 3, note: 'broken' }

describe('a stream inferred from samples', () => {
  it('has a schema with formats, and requires what every sample has', () => {
    const { schema } = inferSchema([one, two])
    expect(schema.required).toEqual(['return_id', 'created_at', 'refund', 'customer', 'address', 'lines', 'tags'])
    expect(schema.properties).toMatchObject({
      return_id: { type: 'string', format: 'uuid' },
      created_at: { type: 'string', format: 'date-time' },
      refund: { type: 'number' },
      customer: { properties: { email: { format: 'email' } } },
      lines: { type: 'array', items: { properties: { quantity: { type: 'integer' } } } },
      note: { type: 'string' },
    })
  })

  it('proposes key, tables, order, restriction and personal places, and says what it assumed', () => {
    const { definition, assumptions } = inferStream('returns', [one, two])
    expect(definition).toMatchObject({
      name: 'returns',
      key: '/return_id',
      list: { newest: '/created_at', by: ['/customer/id'] },
      personal: ['/customer/name', '/customer/email', '/address'],
    })
    expect(definition.tables).toEqual({
      returns: {
        columns: [
          '/return_id',
          '/created_at',
          '/refund',
          { at: '/customer/id', as: 'customer_id' },
          { at: '/customer/name', as: 'customer_name' },
          { at: '/customer/email', as: 'customer_email' },
          '/tags',
          '/note',
        ],
      },
      returns_address: {
        at: '/address',
        columns: [
          '/address/street',
          '/address/city',
          { at: '/address/geo/lat', as: 'geo_lat' },
          { at: '/address/geo/lon', as: 'geo_lon' },
        ],
      },
      returns_lines: {
        each: '/lines',
        columns: [
          '/sku',
          '/quantity',
          { at: '/product/name', as: 'product_name' },
          { at: '/product/brand/id', as: 'product_brand_id' },
        ],
      },
    })
    for (const place of ['/refund', '/return_id', '/created_at', '/customer/email']) {
      expect(assumptions.join('\n')).toContain(place)
    }
  })

  it('takes a key in an object where there is none beside it, in the columns of the root table', () => {
    const sample = { header: { meta: { return_id: 'a' }, seq: 1 }, lines: [{ return_id: 'b' }] }
    expect(inferStream('returns', [sample]).definition).toMatchObject({
      key: '/header/meta/return_id',
      tables: {
        returns: {
          columns: [
            { at: '/header/meta/return_id', as: 'header_meta_return_id' },
            { at: '/header/seq', as: 'header_seq' },
          ],
        },
        returns_lines: { each: '/lines' },
      },
    })
    expect(inferStream('returns', [{ ...sample, code: 'c' }]).definition.key).toBe('/code')
  })

  it('keeps the whole value where a column could not tell an absent field from null', () => {
    expect(inferStream('returns', [one, { ...two, note: null }, { ...two, return_id: 'x', note: 'a' }])).toMatchObject({
      definition: { keep: 'value' },
    })
    expect(inferStream('returns', [one, two]).definition).not.toHaveProperty('keep')
  })

  it.each([
    ['no sample', [], /at least one/],
    ['a list', [[one]], /sample 1 is an array/],
    ['no text', [{ a: true }], /no field can be the key/],
    ['a numeric key', [{ id: 5 }], /\/id is a number/],
    ['a numeric key in an object', [{ header: { id: 5 } }], /\/header\/id is a number/],
    ['a text that may be absent', [{ header: { id: 'a' } }, { header: {} }], /no field can be the key/],
  ])('is refused for %s, with the way on', (_, samples, message) => {
    expect(() => inferStream('returns', samples)).toThrow(InferenceError)
    expect(() => inferStream('returns', samples)).toThrow(message)
  })

  it('can be compiled as it is proposed, whatever the names and values of the samples', () => {
    const name = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 5 }),
      fc.constantFrom('value', 'position', 'xmin', 'stored_at', 'a-b', 'A b', '__proto__', 'id', 'x'.repeat(70)),
    )
    const leaf = fc.oneof(fc.string(), fc.integer(), fc.double(), fc.boolean(), fc.constant(null))
    const node = fc.letrec<{ node: unknown }>(tie => ({
      node: fc.oneof(
        { depthSize: 'small' },
        leaf,
        fc.array(tie('node'), { maxLength: 3 }),
        fc.array(fc.dictionary(name, leaf, { maxKeys: 3 }), { maxLength: 3 }),
        fc.dictionary(name, tie('node'), { maxKeys: 3 }),
      ),
    })).node
    const samples = fc.array(fc.dictionary(name, node, { maxKeys: 5 }), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(samples, values => {
        const { definition } = inferStream(
          'returns',
          values.map((value, index) => ({ ...value, return_id: `r-${index}` })),
        )
        expect(schemaProblems(definition.schema)).toEqual([])
        expect(checkDefinitions([definition])).toEqual([])
        const { plan } = compileTables(definition)
        for (const table of [plan.root, ...plan.children]) {
          const names = columnNames(plan, table)
          expect(new Set(names).size).toBe(names.length)
          for (const column of names) expect(Buffer.byteLength(column)).toBeLessThanOrEqual(63)
        }
      }),
      { numRuns: rounds(20, 120) },
    )
  })

  it('accepts its samples, whatever JSON they are', () => {
    fc.assert(
      fc.property(fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { minLength: 1, maxLength: 5 }), values => {
        const samples: unknown[] = JSON.parse(JSON.stringify(values))
        const { schema } = inferSchema(samples)
        const ajv = new Ajv2020({
          allowUnionTypes: true,
          ownProperties: true,
          formats: { ...fullFormats, 'date-time': true },
        })
        const accepts = ajv.compile(schema)
        for (const sample of samples) expect([accepts(sample), accepts.errors]).toEqual([true, null])
      }),
      { numRuns: rounds(15, 80) },
    )
  })
})
