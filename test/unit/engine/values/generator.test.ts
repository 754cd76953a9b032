import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { JsonSchema } from '#src/engine/definition.ts'
import { UsageError } from '#src/engine/errors.ts'
import type { GeneratedRecord, GeneratorOptions } from '#src/engine/generator.ts'
import { FORMATS } from '#src/engine/values/formats.ts'
import { createValues } from '#src/engine/values/values.ts'

const schema = {
  type: 'object',
  required: ['return_id', 'at', 'lines', 'currency'],
  properties: {
    return_id: { type: 'string', format: 'uuid' },
    at: { type: 'string', format: 'date-time' },
    currency: { type: 'string', pattern: '^[A-Z]{3}$' },
    total: { type: 'number', minimum: 0 },
    customer: { type: 'object', required: ['email'], properties: { email: { type: 'string', format: 'email' } } },
    lines: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        required: ['price'],
        properties: { price: { type: 'number' }, count: { type: 'integer' } },
      },
    },
    note: { type: ['string', 'null'] },
  },
} as const satisfies JsonSchema

const values = createValues<Record<string, unknown>>({
  schema,
  key: '/return_id',
  maxBytes: 1 << 20,
  columns: { '/total': 'numeric(12,2)', '/lines/*/price': 'numeric(10,1)' },
})
const usual: GeneratorOptions = { seed: 42, invalidRatio: 0.2, updatesRatio: 0.3 }

function generate(count: number, options: Partial<GeneratorOptions> = {}): GeneratedRecord[] {
  const generator = values.createGenerator({ ...usual, ...options })
  return Array.from({ length: count }, () => generator.next())
}

describe('generated records of any stream', () => {
  it('are the same bytes for the same seed, today and on any machine', () => {
    const hash = createHash('sha256')
    for (const { key, value } of generate(100)) hash.update(key).update(value ?? 'null')
    expect(hash.digest('hex').slice(0, 16)).toBe('0a16bd1b21c0f48b')
    expect(generate(20)).toEqual(generate(100).slice(0, 20))
  })

  it('are others for another seed, and no new one has the key of an earlier one', () => {
    const keys = [1, 2, 2 ** 33 + 1].flatMap(seed => generate(60, { seed, invalidRatio: 0, updatesRatio: 0 }))
    expect(new Set(keys.map(({ key }) => key.toString())).size).toBe(180)
  })

  it('are judged as they say, keep to their ratios, and update earlier keys', () => {
    const earlier = new Set<string>()
    const records = generate(400)
    const reasons = new Set<string>()
    for (const { key, value, kind, expect: reason } of records) {
      const verdict = values.validate({ key, value })
      if (verdict.ok) {
        expect([kind, verdict.key, verdict.unusual]).toEqual([
          earlier.has(verdict.key) ? 'update' : 'new',
          key.toString(),
          [],
        ])
        earlier.add(verdict.key)
      } else {
        expect([kind, verdict.rejection.reason]).toEqual(['invalid', reason])
        reasons.add(verdict.rejection.reason)
      }
    }
    const share = (kind: string) => records.filter(record => record.kind === kind).length / records.length
    expect(share('invalid')).toBeCloseTo(0.2, 0.5)
    expect(share('update')).toBeCloseTo(0.24, 0.5)
    expect([...reasons].sort()).toEqual(['empty_value', 'malformed_json', 'schema_violation'])
  })

  it('have every format that a schema may name', () => {
    const names = [...FORMATS.keys()].filter(name => !['int32', 'int64', 'float', 'double'].includes(name))
    const properties = Object.fromEntries(names.map(name => [name, { type: 'string', format: name }]))
    const schema = { type: 'object', required: ['id', ...names], properties: { ...properties, id: { type: 'string' } } }
    const generator = createValues({ schema, key: '/id', maxBytes: 1 << 20 }).createGenerator({
      ...usual,
      invalidRatio: 0,
    })
    for (let n = 0; n < 20; n++) expect(generator.next().kind).not.toBe('invalid')
  })

  it('say which rule no sample fits, and the way on', () => {
    const strange = {
      ...schema,
      properties: { ...schema.properties, note: { type: 'string', not: {} } },
      required: ['note', 'return_id'],
    }
    const { createGenerator } = createValues({ schema: strange, key: '/return_id', maxBytes: 1 << 20 })
    expect(() => createGenerator(usual).next()).toThrow(UsageError)
    expect(() => createGenerator(usual).next()).toThrow(/\/note must be text .*give the definition a "generator"/)
  })
})
