import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JsonSchema } from '#src/engine/definition.ts'
import { createValues, schemaProblems } from '#src/engine/values/values.ts'
import { measureCpuMs } from '../../../support/cpu-time.ts'

const schema = {
  type: 'object',
  required: ['id', 'at', 'lines'],
  properties: {
    id: { type: 'string', minLength: 2 },
    at: { type: 'string', format: 'date-time' },
    note: { type: ['string', 'null'], maxLength: 5 },
    total: { type: 'number' },
    count: { type: 'integer' },
    who: { $ref: '#/$defs/person' },
    lines: {
      type: 'array',
      minItems: 1,
      items: { type: 'object', required: ['sku'], properties: { sku: { type: 'string' }, price: { type: 'number' } } },
    },
    tags: { type: 'array', items: { type: 'string' } },
    extra: {},
    labels: { type: 'object', additionalProperties: { type: 'integer' } },
    constructor: { type: 'string' },
  },
  $defs: { person: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } } },
} as const satisfies JsonSchema

const columns = { '/total': 'numeric(12,2)', '/lines/*/price': 'numeric(4,1)', '/count': 'integer' }
const values = createValues<Record<string, unknown>>({ schema, key: '/id', maxBytes: 1 << 20, columns })
const good = { id: 'r-1', at: '2024-05-01T12:00:00+02:00', lines: [{ sku: 'a' }] }

const judge = (value: unknown) =>
  values.validate({
    key: Buffer.from('r-1'),
    value: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
  })

function violations(value: unknown): (readonly [string, string])[] {
  const verdict = judge(value)
  return verdict.ok ? [] : verdict.rejection.violations.map(({ pointer, keyword }) => [pointer, keyword] as const)
}

function accepted(value: unknown): Record<string, unknown> {
  const verdict = judge(value)
  if (!verdict.ok) throw new Error(verdict.rejection.message)
  return verdict.value
}

/** The good value's text with a number written as no JSON.stringify would. */
const withNumber = (name: string, digits: string) => `${JSON.stringify(good).slice(0, -1)},"${name}":${digits}}`

describe('a value of any stream', () => {
  it('has no problems in its schema', () => expect(schemaProblems(schema)).toEqual([]))

  it('keeps known fields in the order of the schema, instants in UTC, and maps of any name', () => {
    const sent = { ...good, unknown: 1, extra: { b: 1, a: [{ z: 0, y: -0 }] }, labels: { b: 1, a: 2 }, note: null }
    expect(values.json(accepted(sent)).toString()).toBe(
      '{"id":"r-1","at":"2024-05-01T10:00:00Z","note":null,"lines":[{"sku":"a"}],"extra":{"a":[{"y":0,"z":0}],"b":1},"labels":{"a":2,"b":1}}',
    )
  })

  it('has no field that only a prototype brings, and keeps what is called like one', () => {
    expect(accepted(good)).not.toHaveProperty('constructor', expect.anything())
    expect(Object.keys(accepted(good))).toEqual(['id', 'at', 'lines'])
    expect(accepted({ ...good, constructor: 'x' })).toMatchObject({ constructor: 'x' })
    const hostile = `${JSON.stringify(good).slice(0, -1)},"extra":{"__proto__":{"polluted":1}}}`
    expect(values.json(accepted(hostile)).toString()).toContain('"extra":{"__proto__":{"polluted":1}}')
    expect({}).not.toHaveProperty('polluted')
  })

  it.each([
    ['NUL in a text without any rule', { ...good, lines: [{ sku: 'a\0' }] }, [['/lines/0/sku', 'pattern']]],
    ['half a surrogate pair deep in what has no schema', { ...good, extra: [['\ud800']] }, [['/extra', 'pattern']]],
    ['NUL in a name there', { ...good, extra: { 'a\0': 1 } }, [['/extra', 'pattern']]],
    ['NUL in a name of a map', { ...good, labels: { 'a\0': 1 } }, [['/labels/*', 'pattern']]],
    ['half a surrogate pair in one', { ...good, labels: { 'a\ud800': 1, b: 2 } }, [['/labels/*', 'pattern']]],
    ['an integer that JSON rounds', { ...good, labels: { a: 2 ** 53 } }, [['/labels/*', 'maximum']]],
    ['an integer beyond its column', { ...good, count: 2 ** 31 }, [['/count', 'maximum']]],
    ['three decimals in a column of two', { ...good, total: 1.005 }, [['/total', 'scale']]],
    ['more digits than the column has', { ...good, total: 12_345_678_901 }, [['/total', 'precision']]],
    [
      'decimals in an entry',
      {
        ...good,
        lines: [
          { sku: 'a', price: 1 },
          { sku: 'b', price: 0.25 },
        ],
      },
      [['/lines/1/price', 'scale']],
    ],
    ['an infinite number where no rule is', withNumber('extra', '[1e400]'), [['/extra', 'maximum']]],
    ['digits that a double does not keep', withNumber('total', '1234567890.1200000000001'), [['/total', 'precision']]],
    ['a name of a map is not quoted', { ...good, labels: { 'Ann Smith': 'x' } }, [['/labels/*', 'type']]],
    ['two characters that are one', { ...good, id: '\u{20bb7}' }, [['/id', 'minLength']]],
    ['a key that is too long', { ...good, id: 'a'.repeat(1_025) }, [['/id', 'maxLength']]],
    ['what a $ref demands', { ...good, who: {} }, [['/who/name', 'required']]],
    [
      'arrays last',
      { ...good, lines: [{}], note: 'too long' },
      [
        ['/note', 'maxLength'],
        ['/lines/0/sku', 'required'],
      ],
    ],
  ])('is refused: %s', (_, value, expected) => expect(violations(value)).toEqual(expected))

  it.each([
    ['0.1', 0.1],
    ['12.50', 12.5],
    ['1e3', 1000],
    ['-0.00', 0],
    ['9999999999.99', 9999999999.99],
  ])('keeps the decimal %s exactly', (digits, number) => {
    expect(accepted(withNumber('total', digits)).total).toBe(number)
  })

  it('tells of digits that a double cannot keep, where a double is stored', () => {
    const verdict = judge(withNumber('extra', '0.12345678901234567891'))
    expect(verdict).toMatchObject({ ok: true, unusual: ['precision'] })
  })

  it('says at most ten violations, and soon, whatever holds them', () => {
    const many = Object.fromEntries(Array.from({ length: 40_000 }, (_, i) => [`k${i}`, 'x']))
    const closed = createValues({ schema: { ...schema, additionalProperties: false }, key: '/id', maxBytes: 1 << 20 })
    const value = Buffer.from(JSON.stringify({ ...many, ...good, note: 5 }))
    const cpuMs = measureCpuMs()
    expect(closed.validate({ key: null, value })).toMatchObject({
      rejection: {
        violations: [
          { pointer: '/note', keyword: 'type' },
          { pointer: '', keyword: 'additionalProperties' },
        ],
      },
    })
    expect(violations({ ...good, labels: many })).toHaveLength(10)
    expect(violations({ ...good, lines: Array(40_000).fill({}) })).toHaveLength(10)
    // Those of the schema and those of the columns together
    const nine = Object.fromEntries(Object.entries(many).slice(0, 9))
    const rounded = { sku: 'a', price: 1.23 }
    expect(violations({ ...good, labels: nine, lines: [rounded, rounded] })).toHaveLength(10)
    expect(cpuMs()).toBeLessThan(3_000)
  })

  it('is too deep where nothing else limits it, without running out of stack', () => {
    const deep = (levels: number) => withNumber('extra', '['.repeat(levels) + ']'.repeat(levels))
    expect(violations(deep(100_000))).toEqual([['', 'max_depth']])
    expect(violations(deep(32))).toEqual([['', 'max_depth']])
    expect(violations(deep(31))).toEqual([])
  })

  it.each([
    [{ ...good, lines: [] }, '/lines must have at least 1 item'],
    [{ ...good, id: 'x' }, '/id must have at least 2 characters'],
    [{ ...good, lines: {} }, '/lines must be an array'],
    [{ ...good, note: 5 }, '/note must be text or null'],
    [[], 'the value must be an object'],
    [{ ...good, at: 'soon' }, '/at must be a date and time with a zone (RFC 3339), between 1970 and 9999'],
  ])('says why in plain words: %j', (value, message) => {
    expect(judge(value)).toMatchObject({ ok: false, rejection: { message } })
  })

  it('has a key that its schema and a URL allow', () => {
    expect(['ab', 'a b', ''].map(values.isKey)).toEqual([true, true, false])
    expect(['a', 'a\0b', 'a'.repeat(1_025)].map(values.isKey)).toEqual([false, false, false])
  })

  it.each([
    ['r-1', []],
    ['r-2', ['key_mismatch']],
    ['Ж', ['key_mismatch']],
  ])('is held against the record of the key %s', (key, unusual) => {
    const verdict = values.validate({ key: Buffer.from(key), value: Buffer.from(JSON.stringify(good)) })
    expect(verdict).toMatchObject({ ok: true, unusual })
  })
})

describe('the verdict', () => {
  /** Schemas of the supported kind, each with values that fit it more often than not. */
  const place = fc.letrec<{ node: [JsonSchema, unknown] }>(tie => ({
    node: fc.oneof(
      { depthSize: 'small' },
      fc.tuple(
        fc.record({ type: fc.constant('string'), maxLength: fc.nat(5) }),
        fc.oneof(fc.string({ unit: 'binary' }), fc.constant('a\0')),
      ),
      fc.tuple(fc.constant({ type: 'integer' }), fc.oneof(fc.integer(), fc.constantFrom(2 ** 53, 1.5, '1'))),
      fc.tuple(
        fc.constant({ type: ['number', 'null'] }),
        fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constant(null)),
      ),
      fc.tuple(fc.constant({ type: 'boolean' }), fc.oneof(fc.boolean(), fc.constant(null))),
      fc.tuple(
        fc.constant({ type: 'string', format: 'date-time' }),
        fc.constantFrom('2024-01-01T00:00:00Z', '2024-02-30T00:00:00Z'),
      ),
      fc.tuple(fc.constant({}), fc.jsonValue({ maxDepth: 3 })),
      fc
        .array(tie('node'), { minLength: 1, maxLength: 3 })
        .map(
          nodes => [{ type: 'array', items: nodes[0]?.[0] }, nodes.map(([, value]) => value)] as [JsonSchema, unknown],
        ),
      fc
        .dictionary(fc.constantFrom('a', 'b', 'c', 'valueOf'), fc.tuple(tie('node'), fc.boolean(), fc.boolean()))
        .map(fields => {
          const all = Object.entries(fields)
          const present = all.filter(([, [, , absent]]) => !absent)
          return [
            {
              type: 'object',
              properties: Object.fromEntries(all.map(([name, [[node]]]) => [name, node])),
              required: all.filter(([, [, required]]) => required).map(([name]) => name),
            },
            Object.fromEntries(present.map(([name, [[, value]]]) => [name, value])),
          ] as [JsonSchema, unknown]
        }),
    ),
  })).node

  it('is that of a plain model of the rules, and a valid value comes back from its JSON as it is', () => {
    const seen = { ok: 0, refused: 0 }
    fc.assert(
      fc.property(place, ([node, content]) => {
        const whole = { type: 'object', required: ['key', 'x'], properties: { key: { type: 'string' }, x: node } }
        const { validate, json } = createValues<unknown>({ schema: whole, key: '/key', maxBytes: 1 << 20 })
        const value = Buffer.from(JSON.stringify({ key: 'k', x: content }))
        const verdict = validate({ key: Buffer.from('k'), value })
        expect(verdict.ok).toBe(fits(JSON.parse(value.toString()).x, node))
        seen[verdict.ok ? 'ok' : 'refused'] += 1
        if (!verdict.ok) return
        const bytes = json(verdict.value)
        const again = validate({ key: null, value: bytes })
        expect(again.ok && json(again.value).equals(bytes)).toBe(true)
      }),
      { numRuns: 60 },
    )
    expect(Math.min(seen.ok, seen.refused)).toBeGreaterThan(5)
  })
})

/** The rules once more, by recursion and without any library. */
function fits(value: unknown, node: JsonSchema): boolean {
  const types = [node.type ?? []].flat()
  if (types.length === 0) return isHeld(value)
  if (value === null) return types.includes('null')
  if (types.includes('string')) {
    if (typeof value !== 'string' || !value.isWellFormed() || value.includes('\0')) return false
    return node.format === undefined ? [...value].length <= Number(node.maxLength) : value === '2024-01-01T00:00:00Z'
  }
  if (types.includes('integer')) return Number.isSafeInteger(value)
  if (types.includes('number')) return typeof value === 'number'
  if (types.includes('boolean')) return typeof value === 'boolean'
  if (types.includes('array'))
    return Array.isArray(value) && value.every(entry => fits(entry, node.items as JsonSchema))
  if (typeof value !== 'object' || Array.isArray(value)) return false
  const object = value as Record<string, unknown>
  const properties = node.properties as Record<string, JsonSchema>
  // An object of any fields at all is kept whole.
  if (Object.keys(properties).length === 0) return isHeld(value)
  return (
    (node.required as string[]).every(name => Object.hasOwn(object, name)) &&
    Object.entries(properties).every(([name, inner]) => !Object.hasOwn(object, name) || fits(object[name], inner))
  )
}

function isHeld(value: unknown): boolean {
  return JSON.stringify(value).isWellFormed() && !/\\u(?:0000|d[89a-f])/.test(JSON.stringify(value))
}
