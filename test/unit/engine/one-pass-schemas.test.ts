import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkDefinitions } from '#src/engine/definition/check.ts'
import { compileStream } from '#src/engine/definition/compile.ts'
import type { StreamDefinition } from '#src/engine/definition.ts'
import type { Stream } from '#src/engine/stream.ts'
import { FORMATS } from '#src/engine/values/formats.ts'
import { judgeOnBothRoads } from '../../support/both-roads.ts'
import { rounds } from '../../support/effort.ts'

const names = { topic: 't', dlqTopic: 't.dlq', groupId: 'g', maxBytes: 1 << 20 }

type Schema = Readonly<Record<string, unknown>>
/** A field: its schema, what a column takes of it, and values that are mostly valid. */
interface Field {
  readonly schema: Schema
  readonly type?: string
  readonly values: fc.Arbitrary<unknown>
}

const text = fc
  .string({ unit: 'grapheme', maxLength: 12 })
  .filter(value => value.isWellFormed() && !value.includes('\0'))
const instant = fc
  .date({ min: new Date('1970-01-01'), max: new Date('2254-12-31'), noInvalidDate: true })
  .map(date => date.toISOString())
const spelt = fc
  .tuple(instant, fc.constantFrom('Z', '+03:00', '-11:30', '.1Z', '.123456Z', '.120+01:00'))
  .map(([date, zone]) => `${date.slice(0, 19)}${zone}`)
const day = instant.map(date => date.slice(0, 10))
const cents = fc.oneof(
  fc.integer({ min: -999_99, max: 999_99 }).map(n => n / 100),
  fc.constantFrom(0, 0.05, 100, 10.5),
)
const decimal = fc.oneof(
  cents,
  fc.tuple(fc.nat(999_999_999), fc.integer({ min: 0, max: 9 })).map(([digits, power]) => digits / 10 ** power),
  fc.constantFrom(1e-7, 123456.7, 0.000123, 1234567890123, -0.1),
)
const integer = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1 }))

/** Values that mostly fit, and sometimes not. */
function mostly(fit: fc.Arbitrary<unknown>, ...odd: readonly unknown[]): fc.Arbitrary<unknown> {
  return fc.oneof(
    { arbitrary: fit, weight: 30 },
    { arbitrary: fc.constantFrom(...odd, null, 5, 'x', 0.25, {}), weight: 1 },
  )
}

const field = (schema: Schema, values: fc.Arbitrary<unknown>, type?: string): fc.Arbitrary<Field> =>
  fc.constant({ schema, values, ...(type === undefined ? {} : { type }) })

const BRANCHES = {
  type: 'string',
  maxLength: 30,
  if: { minLength: 1 },
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema, in an object that is not awaited
  then: { format: 'email' },
  else: { const: '' },
}
const ZONED = ['2024-01-01T00:00:00z', '2024-01-01t00:00:00Z', '2024-01-01T00:00:00.1234567Z', '9999-12-31T23:59:59Z']
const NO_DATES = ['0000-01-01', '2023-02-29', '1900-02-29', '2024-13-01', '2024-1-01']
const DEEP = { type: 'array', items: { type: 'array', items: { type: 'number' } }, maxItems: 2 }
const OBJECT = {
  type: ['object', 'null'],
  properties: {
    b: { type: 'string' },
    a: { type: ['string', 'null'], format: 'date-time' },
    constructor: { type: 'string' },
  },
}

/** Of each kind of place, with every keyword that a scan knows. */
const fields: fc.Arbitrary<Field> = fc.oneof(
  fc.tuple(fc.nat(3), fc.integer({ min: 3, max: 8 })).chain(([minLength, maxLength]) =>
    field(
      { type: 'string', minLength, maxLength },
      mostly(
        text.map(value => [...`${value}abc`].slice(0, maxLength).join('')),
        '',
        'я',
        '😀😀',
        'a\0',
      ),
    ),
  ),
  fc
    .constantFrom(
      '^[A-Z]{3}$',
      '^[a-z0-9_-]{1,5}$',
      '^[^ ]+$',
      '^a|b$',
      '^\\d*$',
      '^(?:ab)+$',
      '^[\\w.]{2,}$',
      '^.{1,3}$',
    )
    .chain(pattern =>
      field({ type: 'string', pattern }, mostly(fc.stringMatching(new RegExp(pattern)), 'ABC', 'я', 'ab', ' ', '"')),
    ),
  field({ type: 'string', format: 'email' }, mostly(fc.emailAddress(), 'a@b', 'a@-b.c')),
  field({ type: 'string', format: 'ipv4' }, mostly(fc.ipV4(), '1.2.3')),
  field({ type: 'string', format: 'date-time' }, mostly(fc.oneof(instant, spelt), ...ZONED)),
  field({ type: 'string', format: 'date-time' }, mostly(spelt), 'text'),
  field(
    { type: 'string', format: 'date' },
    mostly(fc.oneof(day, fc.constantFrom('0001-01-01', '2024-02-29')), ...NO_DATES),
  ),
  field({ type: 'string', format: 'uuid' }, mostly(fc.uuid(), 'urn:uuid:00000000-0000-4000-8000-000000000000')),
  field({ type: 'string', format: 'uuid' }, mostly(fc.uuid(), '00000000-0000-4000-8000-00000000000A'), 'uuid'),
  field(BRANCHES, mostly(fc.oneof(fc.emailAddress({ size: 'xsmall' }), fc.constant('')))),
  field({ type: ['string', 'null'], enum: ['a', 'яb', '"', null] }, mostly(fc.constantFrom('a', 'яb', '"', null), 'b')),
  field({ type: ['string', 'null'], enum: ['a'] }, mostly(fc.constant('a'), null)),
  field({ type: 'integer', minimum: 1, maximum: 2 ** 31 }, mostly(integer, 0, 2 ** 31 + 1, -1)),
  field({ type: 'integer', exclusiveMinimum: 0, exclusiveMaximum: 2 ** 31 }, mostly(integer, 0, 2 ** 31)),
  field({ type: 'integer' }, mostly(fc.maxSafeInteger(), 2 ** 53, 1e21)),
  field({ type: 'integer' }, mostly(fc.integer(), 2 ** 31, -(2 ** 31) - 1), 'integer'),
  field({ const: 7 }, mostly(fc.constant(7), 8), 'bigint'),
  field(
    { type: ['number', 'null'] },
    mostly(fc.option(fc.oneof(decimal, fc.double({ noNaN: true, noDefaultInfinity: true })))),
  ),
  field({ type: 'number' }, mostly(cents, 0.001, 1e10), 'numeric(12,2)'),
  field({ type: 'number' }, mostly(fc.constantFrom(0, 0.5, 999.9, -1), 0.25, 1000), 'numeric(4,1)'),
  field({ type: 'number' }, mostly(decimal), 'numeric'),
  field({ type: 'boolean' }, mostly(fc.boolean())),
  field({ type: ['boolean', 'null'], const: true }, mostly(fc.constant(true), false, null), 'boolean'),
  field(DEEP, mostly(fc.array(fc.array(decimal, { maxLength: 3 }), { maxLength: 2 }), [[], [], []])),
  field(
    OBJECT,
    mostly(
      fc.option(
        fc.record({ b: text, a: fc.option(spelt), constructor: text, z: fc.jsonValue() }, { requiredKeys: [] }),
      ),
    ),
    'jsonb',
  ),
)

interface Part {
  readonly properties: Record<string, Schema>
  readonly required: readonly string[]
  readonly columns: readonly unknown[]
  readonly values: fc.Arbitrary<Record<string, unknown>>
}

const parts: fc.Arbitrary<Part> = fc
  .array(fc.tuple(fields, fc.boolean(), fc.integer({ min: 1, max: 9 })), { minLength: 1, maxLength: 5 })
  .map(list => {
    const named = list.map(([field, required], index) => ({
      ...field,
      required,
      name: ['a', 'long_name', 'ü', 'b-c', 'f5'][index] as string,
    }))
    return {
      properties: Object.fromEntries(named.map(({ name, schema }) => [name, schema])),
      required: named.filter(({ required }) => required).map(({ name }) => name),
      columns: named.map(({ name, type }) => (type === undefined ? `/${name}` : { at: `/${name}`, type })),
      values: fc.record(Object.fromEntries(named.map(({ name, values }) => [name, values])), {
        requiredKeys: named.filter(({ required }) => required).map(({ name }) => name),
      }) as fc.Arbitrary<Record<string, unknown>>,
    }
  })

/** A column below the object of a table. */
function below(columns: readonly unknown[]): unknown[] {
  return columns.map(column =>
    typeof column === 'string'
      ? `/part${column}`
      : { ...(column as object), at: `/part${(column as { at: string }).at}` },
  )
}

const cases = fc
  .record({
    root: parts,
    one: parts,
    many: parts,
    oneRequired: fc.boolean(),
    keep: fc.boolean(),
    isClosed: fc.boolean(),
  })
  .chain(made => {
    const value = fc.tuple(
      text.filter(key => key !== ''),
      made.root.values,
      fc.option(made.one.values, { freq: made.oneRequired ? 1e6 : 2 }),
      fc.array(made.many.values, { maxLength: 3 }),
    )
    return fc.tuple(fc.constant(made), fc.array(value, { minLength: 1, maxLength: 10 }))
  })

describe('whatever schema, tables and values', () => {
  it('one pass makes the same as the validator, or leaves it to decide', { timeout: 120_000 }, () => {
    const runs = rounds(60, 300)
    const taken = { 'one pass': 0, validator: 0 }
    fc.assert(
      fc.property(cases, ([{ root, one, many, oneRequired, keep, isClosed }, values]) => {
        const definition = {
          name: 'things',
          schema: {
            type: 'object',
            required: ['id', 'entries', ...(oneRequired ? ['part'] : []), ...root.required],
            properties: {
              ...root.properties,
              id: { type: 'string' },
              part: { type: 'object', properties: one.properties, required: one.required },
              entries: {
                type: 'array',
                items: { type: 'object', properties: many.properties, required: many.required },
              },
            },
            ...(isClosed ? { additionalProperties: false } : {}),
          },
          key: '/id',
          tables: {
            things: {
              columns: [
                ...root.columns,
                { as: 'count', type: 'integer', from: (value: { entries: [] }) => value.entries.length },
              ],
            },
            things_part: { at: '/part', columns: below(one.columns) },
            things_entries: {
              each: '/entries',
              columns: [...many.columns, { as: 'same', type: 'jsonb', from: (_: unknown, entry: unknown) => entry }],
            },
          },
          ...(keep ? { keep: 'value' } : {}),
        } as unknown as StreamDefinition
        expect(checkDefinitions([definition])).toEqual([])
        const stream = compileStream(definition, names)
        expect(stream.onePass).toBeUndefined()
        for (const [id, own, part, entries] of values) {
          const value = { ...own, id, ...(part === null ? {} : { part }), entries }
          taken[judgeOnBothRoads(stream, { key: Buffer.from(id), value: Buffer.from(JSON.stringify(value)) })] += 1
        }
      }),
      { numRuns: runs },
    )
    // Both are well trodden, else the property proves little.
    expect(taken['one pass']).toBeGreaterThan(runs / 2)
    expect(taken.validator).toBeGreaterThan(runs / 2)
  })

  it.each([
    ['multipleOf', { n: { type: 'integer', multipleOf: 2 } }, '/n has the keyword multipleOf'],
    ['several types', { n: { type: ['integer', 'string'] } }, '/n takes values of several types'],
    ['any value', { n: {} }, '/n takes values of several types'],
    ['alternatives', { n: { type: 'string', anyOf: [{ minLength: 1 }] } }, '/n has the keyword anyOf'],
    ['a map', { n: { type: 'object', additionalProperties: { type: 'string' } } }, '/n takes fields of any name'],
    ['a field that is a number', { 7: { type: 'string' } }, '/7 has a number for a name, which JavaScript puts first'],
    [
      'unique entries',
      { n: { type: 'array', items: { type: 'string' }, uniqueItems: true } },
      '/n has the keyword uniqueItems',
    ],
    ['a key that is an instant', { id: { type: 'string', format: 'date-time' } }, 'the key is an instant'],
  ])('says why there is none for a schema with %s', (_, properties, why) => {
    const schema = { type: 'object', required: ['id'], properties: { id: { type: 'string' }, ...properties } }
    const stream: Stream = compileStream({ name: 's', schema, key: '/id', tables: { s: { columns: [] } } }, names)
    expect(stream.onePass).toBe(why)
    const value = Buffer.from('{"id":"2024-05-01T00:00:00Z"}')
    expect(stream.judge({ key: null, value })).toMatchObject({ ok: true, value: { id: '2024-05-01T00:00:00Z' } })
  })
})

it.each([
  '{"id":"a","o":{"x":1},"o":{}}',
  '{"id":"a","o":{"x":1},"o":null}',
  '{"id":"a","o":{"x":1,"x":2}}',
  '{"id":"a","l":[{"x":1}],"l":[{}]}',
  '{"id":"a","\\u006f":{"x":1}}',
])('fields that stand twice, or whose names have escapes, are left to the validator: %s', text => {
  const object = { type: ['object', 'null'], properties: { x: { type: 'integer' } } }
  const properties = { id: { type: 'string' }, o: object, l: { type: 'array', items: object } }
  const schema = { type: 'object', required: ['id'], properties }
  const columns = ['/o', '/l'].map(at => ({ at, type: 'jsonb' }) as { at: `/${string}`; type: string })
  const stream = compileStream({ name: 's', schema, key: '/id', tables: { s: { columns } } }, names)
  expect(judgeOnBothRoads(stream, { key: null, value: Buffer.from(text) })).toBe('validator')
})

it.each([
  ['null where no list of values has it', { type: ['string', 'null'], enum: ['a'] }, 'text', 'null'],
  ['digits that a double does not keep', { type: 'integer' }, 'bigint', '9007199254740993'],
])('%s are left to the validator', (_, n, type, text) => {
  const schema = { type: 'object', required: ['id'], properties: { id: { type: 'string' }, n } }
  const columns = [{ at: '/n' as const, type }]
  const stream = compileStream({ name: 's', schema, key: '/id', tables: { s: { columns } } }, names)
  expect(judgeOnBothRoads(stream, { key: null, value: Buffer.from(`{"id":"a","n":${text}}`) })).toBe('validator')
})

it('a decimal is the same in columns of each kind, however it is written', () => {
  const number = { type: 'number' }
  const properties = { id: { type: 'string' }, a: number, b: number, c: number }
  const types = { a: 'numeric', b: 'double precision', c: 'jsonb' }
  const columns = Object.entries(types).map(([name, type]) => ({ at: `/${name}` as const, type }))
  const schema = { type: 'object', required: ['id'], properties }
  const stream = compileStream({ name: 's', schema, key: '/id', tables: { s: { columns } } }, names)
  const written = fc.stringMatching(/^-?(?:0|[1-9]\d{0,9})(?:\.\d{1,9})?$/)
  fc.assert(
    fc.property(written, text => {
      const value = Buffer.from(`{"id":"a","a":${text},"b":${text},"c":${text}}`)
      const isCertain = text.replace(/\D/g, '').length <= 15 && !/^-[0.]+$/.test(text)
      expect(judgeOnBothRoads(stream, { key: null, value })).toBe(isCertain ? 'one pass' : 'validator')
    }),
    {
      numRuns: rounds(1_000, 3_000),
      examples: [['500000001'], ['123456789012345'], ['0.000012345'], ['12340000.0'], ['-0.0']],
    },
  )
})

it('a fact of the definition is given the places that it reads, on both roads', () => {
  const given: unknown[] = []
  const schema = {
    type: 'object',
    required: ['id', 'lines', 'total'],
    properties: {
      id: { type: 'string' },
      total: { type: 'number' },
      lines: {
        type: 'array',
        items: {
          type: 'object',
          required: ['price', 'name'],
          properties: { price: { type: 'number' }, name: { type: 'string' } },
        },
      },
    },
  }
  const stream = compileStream(
    {
      ...{ name: 's', schema, key: '/id', tables: { s: {}, lines: { each: '/lines' } } },
      unusual(value: unknown) {
        given.push(value)
        return ['odd']
      },
      unusualKinds: ['odd'],
      unusualReads: ['/lines/*/price', '/total'],
    },
    names,
  )
  const value = Buffer.from('{"total":3.5,"id":"a","lines":[{"price":1,"name":"x"},{"name":"y","price":2}]}')
  const record = { key: Buffer.from('a'), value }
  expect(judgeOnBothRoads(stream, record)).toBe('one pass')
  const lean = { total: 3.5, lines: [{ price: 1 }, { price: 2 }] }
  expect(given).toEqual([lean, lean])
  expect(stream.judge(record)).toMatchObject({ unusual: ['odd'] })
})

it('knows an address by its bytes as the format does', () => {
  const schema = { type: 'object', required: ['id'], properties: { id: { type: 'string', format: 'email' } } }
  const stream = compileStream({ name: 's', schema, key: '/id', tables: { s: {} } }, names)
  const letters = fc.string({ unit: fc.constantFrom('a', 'B', '0', '.', '@', '-', '+', '_', ' ', 'é'), maxLength: 10 })
  const email = FORMATS.get('email') as RegExp
  fc.assert(
    fc.property(letters, id => {
      const road = judgeOnBothRoads(stream, { key: null, value: Buffer.from(JSON.stringify({ id })) })
      expect(road).toBe(email.test(id) ? 'one pass' : 'validator')
    }),
    {
      numRuns: rounds(1_000, 3_000),
      examples: [['a@b.c'], ['a@b-c.d'], ['a@b-.c'], ['a@-b.c'], ['.a@b.c'], ['a.@b.c'], ['a@b'], ['a@b.c.']],
    },
  )
})
