import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileStream } from '#src/engine/definition/compile.ts'
import type { StreamDefinition } from '#src/engine/definition.ts'
import { identifier } from '#src/engine/postgres/identifiers.ts'
import { readLiveTables, tableDifferences } from '#src/engine/postgres/live-tables.ts'
import { createTable, wantedTables } from '#src/engine/postgres/wanted-tables.ts'
import type { Stream } from '#src/engine/stream.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { createValueReader } from '#src/read/postgres/value-reader.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { aWork } from '../support/orders.ts'
import { aRecord } from '../support/records.ts'
import { aReturnValue, type Return, returnSample, returns } from '../support/returns-definition.ts'

let database: MigratedDatabase
let stream: Stream<Return>
beforeAll(async () => {
  database = await migratedDatabase()
  stream = await installed<Return>(returns)
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})

/** The stream of a definition, its tables created. */
async function installed<T>(definition: StreamDefinition<T>): Promise<Stream<T>> {
  const { name } = definition
  const made = compileStream<T>(definition, {
    ...{ topic: name, dlqTopic: `${name}.dlq`, groupId: 'holdfast' },
    maxBytes: 1_000_000,
  })
  for (const table of wantedTables(made.plan)) await database.pool.query(createTable(table).up)
  const store = createStreamSettlement({ pool: database.pool, stream: name, tables: made.tables })
  await store.startProgress('holdfast', { topic: name, partition: 0, nextOffset: 0n })
  return made
}

/** How many new keys a batch needs to go by COPY: both roads must write the same. */
const COPY = 1
const UPSERT = Number.POSITIVE_INFINITY

/** Settles these values as the next records of the stream. @returns how each ended */
async function settle<T>(of: Stream<T>, values: readonly unknown[], copyFrom = COPY) {
  const timestampMs = 1_700_000_000_000
  const { topic, name, tables, judge } = of
  const store = createStreamSettlement({ pool: database.pool, stream: name, tables, copyFrom })
  const [at] = await store.readProgress('holdfast', [{ topic, partition: 0 }])
  const from = at?.nextOffset ?? 0n
  const ready = values.map((value, index): ReadyRecord<T> => {
    const record = aRecord({ topic, offset: from + BigInt(index), timestampMs, text: JSON.stringify(value) })
    const verdict = judge(record)
    if (!verdict.ok) throw new Error(`not valid: ${verdict.rejection.message}`)
    return { record, origin: record, key: verdict.key, value: verdict.value }
  })
  const settlement = await store.settle(aWork(ready, { from, topic }))
  if (settlement.kind !== 'settled') throw new Error(`refused: ${JSON.stringify(settlement.culprits)}`)
  return { ready, counts: settlement.counts }
}

async function stored<T>(of: Stream<T>, key: string): Promise<unknown> {
  const value = await createValueReader(database.pool, of.queries).read(key)
  return value === undefined ? undefined : JSON.parse(value.json.toString())
}

/** All rows as Postgres writes them, but for what tells one batch from the next. @returns and no row is left */
async function taken({ plan, tableNames }: Stream): Promise<unknown[]> {
  const dumps = []
  for (const table of tableNames) {
    const without = table === plan.root.name ? " - 'source_offset' - 'stored_at'" : ''
    const text = `DELETE FROM ${identifier(table)} AS t RETURNING (to_jsonb(t)${without})::text AS row`
    dumps.push([table, (await database.pool.query(text)).rows.map(({ row }) => row).sort()])
  }
  return dumps
}

async function count(table: string, key: string): Promise<number> {
  const text = `SELECT count(*)::int AS n FROM ${identifier(table)} WHERE return_id = $1`
  return (await database.pool.query(text, [key])).rows[0].n
}

describe('tables that are made from a definition', () => {
  it('are what the definition needs, by its own migration', async () => {
    const live = await readLiveTables(
      async (text, values) => (await database.pool.query(text, [...values])).rows,
      stream.plan,
    )
    expect(tableDifferences(stream.plan, live)).toEqual([])
  })

  it('give back what was sent, byte for byte', async () => {
    const { ready } = await settle(stream, [returnSample])
    const value = await createValueReader(database.pool, stream.queries).read(returnSample.return_id)
    expect(value?.json.toString()).toBe(stream.json(ready[0]?.value as Return).toString())
    expect(JSON.parse(value?.json.toString() ?? '')).toEqual(returnSample)
  })

  it('hold decimals, dates and computed columns as Postgres does', async () => {
    await settle(stream, [returnSample])
    const { rows } = await database.pool.query(
      `SELECT total::text, to_char(received_on, 'YYYY-MM-DD') AS day, line_count, tags, customer_since, pg_typeof(total)::text AS type
       FROM returns WHERE return_id = $1`,
      [returnSample.return_id],
    )
    expect(rows).toEqual([
      {
        total: '129.95',
        day: '2026-03-04',
        line_count: 2,
        tags: ['shoes', 'spring'],
        customer_since: 2019,
        type: 'numeric',
      },
    ])
  })

  it('hold nothing of an earlier version that had more', async () => {
    const key = returnSample.return_id
    await settle(stream, [returnSample])
    expect([await count('return_pickups', key), await count('return_lines', key)]).toEqual([1, 2])
    const { pickup: _, tags: __, ...rest } = returnSample
    const smaller = { ...rest, lines: returnSample.lines.slice(0, 1) }
    await settle(stream, [smaller])
    expect([await count('return_pickups', key), await count('return_lines', key)]).toEqual([0, 1])
    expect(await stored(stream, key)).toEqual(smaller)
    await settle(stream, [returnSample])
    expect(await stored(stream, key)).toEqual(returnSample)
  })

  it('keep the newer version, and tell a stale record from a new one', async () => {
    const key = '00000000-0000-4000-8000-000000000001'
    await settle(stream, [aReturnValue({ return_id: key, total: 1 })])
    const { tables, topic } = stream
    const store = createStreamSettlement({ pool: database.pool, stream: 'returns', tables })
    await store.startProgress('holdfast', { topic, partition: 1, nextOffset: 0n })
    const record = aRecord({ topic, partition: 1, offset: 0n, timestampMs: 5, text: '{}' })
    const late = { record, origin: record, key, value: aReturnValue({ return_id: key, total: 2 }) }
    const settlement = await store.settle(aWork([late], { from: 0n, topic, partition: 1 }))
    expect(settlement).toMatchObject({ kind: 'settled', counts: { stale: 1, written: 0 } })
    expect(await stored(stream, key)).toMatchObject({ total: 1 })
  })

  it('are paged newest first, and by a column of the list', async () => {
    const keys = [1, 2, 3].map(n => `11111111-0000-4000-8000-00000000000${n}`)
    const values = keys.map((return_id, n) => {
      const customer = { id: n === 1 ? 'pages-b' : 'pages-a', email: 'a@example.com' }
      return aReturnValue({ return_id, created_at: `2030-01-0${n + 1}T00:00:00Z`, customer })
    })
    await settle(stream, values)
    const reader = createValueReader(database.pool, stream.queries)
    const all = { from: undefined, to: undefined, after: undefined, limit: 2 }
    const first = await reader.page({ ...all, by: {} })
    expect(first.values.map(({ key }) => key)).toEqual([keys[2], keys[1]])
    const next = await reader.page({ ...all, by: {}, after: first.next })
    expect(next.values[0]?.key).toBe(keys[0])
    const own = await reader.page({ ...all, by: { customer_id: 'pages-a' } })
    expect(own.values.map(({ key }) => key)).toEqual([keys[2], keys[0]])
    const bounded = await reader.page({ ...all, by: {}, from: '2030-01-02T00:00:00Z', to: '2030-01-03T00:00:00Z' })
    expect(bounded.values.map(({ key }) => key)).toEqual([keys[1]])
  })

  it('may have any names that Postgres can hold', async () => {
    const names = { 'a "table"': 'select', таблица: 'SELECT', user: "it's" }
    const [root, one, many] = Object.keys(names) as [string, string, string]
    const part = { type: 'object', required: ['x'], properties: { x: { type: 'string' }, 'y z': { type: 'integer' } } }
    const odd = await installed<Record<string, unknown>>({
      name: 'odd',
      schema: {
        type: 'object',
        required: ['Key "1"', 'order', 'many'],
        properties: {
          'Key "1"': { type: 'string' },
          order: { type: 'integer' },
          one: part,
          many: { type: 'array', items: part },
        },
      },
      key: '/Key "1"',
      tables: {
        [root]: { columns: ['/order', { at: '/order', as: "sel'ect\\" }] },
        [one]: { at: '/one', columns: [{ at: '/one/x', as: 'default' }, '/one/y z'] },
        [many]: { each: '/many', position: 'limit', columns: [{ at: '/x', as: "it's" }, '/y z'] },
      },
      list: { newest: '/order' },
    })
    const value = { 'Key "1"': 'k', order: 7, one: { x: 'a', 'y z': 1 }, many: [{ x: 'b' }, { x: 'c', 'y z': 2 }] }
    await settle(odd, [value])
    expect(await stored(odd, 'k')).toEqual(value)
    const { one: _, ...less } = { ...value, many: [] }
    await settle(odd, [less])
    expect(await stored(odd, 'k')).toEqual(less)
  })

  it('may have names as long as Postgres allows, which its own names must not cut to the same', async () => {
    const [a, b] = [`${'ж'.repeat(31)}a`, `${'ж'.repeat(31)}b`]
    const fields = { [a]: { type: 'string' }, [b]: { type: 'integer' } }
    const long = await installed<Record<string, unknown>>({
      name: 'long',
      schema: {
        type: 'object',
        required: ['id', 'at', a, b],
        properties: {
          id: { type: 'string' },
          at: { type: 'string', format: 'date-time' },
          ...fields,
          one: { type: 'object', properties: fields },
          other: { type: 'object', properties: fields },
        },
      },
      key: '/id',
      tables: { ['t'.repeat(63)]: {}, long_one: { at: '/one' }, long_other: { at: '/other' } },
      list: { newest: '/at', by: [`/${a}`, `/${b}`] },
    })
    const value = {
      id: 'k',
      at: '2026-01-01T00:00:00Z',
      [a]: 'x',
      [b]: 1,
      one: { [a]: 'y', [b]: 2 },
      other: { [b]: 3 },
    }
    await settle(long, [value])
    expect(await stored(long, 'k')).toEqual(value)
  })

  it('may have fields with names that every object inherits', async () => {
    const names = ['constructor', 'toString', 'hasOwnProperty']
    const fields = Object.fromEntries(names.map(name => [name, { type: 'string' }]))
    const part = { type: 'object', properties: { ...fields, x: { type: 'string' } } }
    const inherited = await installed<Record<string, unknown>>({
      name: 'inherited',
      schema: {
        type: 'object',
        required: ['id', 'one', 'many'],
        properties: {
          id: { type: 'string' },
          ...fields,
          valueOf: part,
          one: part,
          many: { type: 'array', items: part },
        },
      },
      key: '/id',
      tables: {
        inherited: {},
        inherited_of: { at: '/valueOf' },
        inherited_one: { at: '/one' },
        inherited_many: { each: '/many' },
      },
    })
    const absent = { id: 'k', one: { x: 'a' }, many: [{ x: 'a' }] }
    const present = {
      id: 'l',
      toString: 'b',
      valueOf: { constructor: 'b' },
      one: { constructor: 'b' },
      many: [{ hasOwnProperty: 'b' }],
    }
    await settle(inherited, [absent, present])
    expect(await stored(inherited, 'k')).toEqual(absent)
    expect(await stored(inherited, 'l')).toEqual(present)
  })

  it('may have no list: then values are read by their keys, and a table may have more columns than a call has arguments', async () => {
    const wide = Object.fromEntries(Array.from({ length: 130 }, (_, n) => [`c${n}`, { type: 'integer' }]))
    const many = await installed<Record<string, unknown>>({
      name: 'wide',
      schema: {
        type: 'object',
        required: ['id'],
        properties: {
          id: { type: 'string' },
          rows: { type: 'array', minItems: 1, items: { type: 'object', properties: wide } },
        },
      },
      key: '/id',
      tables: { wide: {}, wide_rows: { each: '/rows' } },
    })
    const value = { id: 'w', rows: [Object.fromEntries(Object.keys(wide).map((name, n) => [name, n])), { c129: 1 }] }
    await settle(many, [value, { id: 'v' }])
    expect(await stored(many, 'w')).toEqual(value)
    expect(many.queries.list).toBeUndefined()
    const newest = createValueReader(database.pool, many.queries).newest(10)
    expect((await Array.fromAsync(newest)).map(({ key }) => key)).toEqual(['w', 'v'])
  })

  it('quote exactly the words that Postgres reserves', async () => {
    const { rows } = await database.pool.query('SELECT word, catcode FROM pg_get_keywords()')
    for (const { word, catcode } of rows) {
      const needsQuotes = catcode === 'R' || catcode === 'T'
      expect([word, identifier(word)]).toEqual([word, needsQuotes ? `"${word}"` : word])
    }
  })
})

interface Case {
  readonly properties: Record<string, unknown>
  readonly required: readonly string[]
  readonly columns: readonly unknown[]
}

const text = fc
  .string({ unit: 'grapheme', maxLength: 12 })
  .filter(value => value.isWellFormed() && !value.includes('\0'))
const instant = fc
  .date({ min: new Date('1970-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
  .map(date => date.toISOString())
const integer = fc.integer({ min: -(2 ** 53) + 1, max: 2 ** 53 - 1 })
const double = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e300, max: 1e300 })
const json = fc
  .jsonValue({ maxDepth: 3, stringUnit: 'grapheme' })
  .filter(value => !JSON.stringify(value).includes('\\u'))

/** Fields by name: schema, column and values. */
const FIELDS = {
  text: [{ type: 'string' }, '/text', text],
  maybe: [{ type: ['string', 'null'] }, '/maybe', fc.option(text)],
  at: [{ type: 'string', format: 'date-time' }, '/at', instant],
  day: [{ type: 'string', format: 'date' }, '/day', instant.map(value => value.slice(0, 10))],
  ref: [{ type: 'string', format: 'uuid' }, { at: '/ref', type: 'uuid' }, fc.uuid()],
  whole: [{ type: 'integer' }, '/whole', integer],
  small: [{ type: 'integer' }, { at: '/small', type: 'integer' }, fc.integer()],
  real: [{ type: 'number' }, '/real', double],
  money: [{ type: 'number' }, { at: '/money', type: 'numeric(12,2)' }, fc.integer({ max: 1e9 }).map(n => n / 100)],
  exact: [
    { type: 'number' },
    { at: '/exact', type: 'numeric' },
    fc.oneof(integer, fc.float({ noNaN: true, noDefaultInfinity: true, min: -1, max: 1 })),
  ],
  flag: [{ type: 'boolean' }, '/flag', fc.boolean()],
  any: [{}, { at: '/any', type: 'jsonb' }, json],
  list: [{ type: 'array', items: { type: 'integer' } }, '/list', fc.array(integer, { maxLength: 4 })],
  open: [
    { type: 'object', additionalProperties: { type: 'string' } },
    '/open',
    fc.dictionary(
      text.filter(name => name !== '__proto__'),
      text,
    ),
  ],
} as const

const NAMES = Object.keys(FIELDS) as (keyof typeof FIELDS)[]

/** Some of the fields, some of them required. */
const someFields: fc.Arbitrary<Case> = fc
  .tuple(fc.subarray(NAMES, { minLength: 1 }), fc.subarray(NAMES))
  .map(([names, required]) => ({
    properties: Object.fromEntries(names.map(name => [name, FIELDS[name][0]])),
    required: required.filter(name => names.includes(name)),
    columns: names.map(name => FIELDS[name][1]),
  }))

function valueFor({ properties, required }: Case): fc.Arbitrary<Record<string, unknown>> {
  const fields = Object.keys(properties).map(name => {
    const values: fc.Arbitrary<unknown> = FIELDS[name as keyof typeof FIELDS][2]
    const some = required.includes(name) ? values : fc.option(values, { nil: undefined })
    return [name, some] as const
  })
  return fc.record(Object.fromEntries(fields)).map(value => JSON.parse(JSON.stringify(value)))
}

function below(base: string, columns: readonly unknown[]): unknown[] {
  return columns.map(column =>
    typeof column === 'string'
      ? `${base}${column}`
      : { ...(column as object), at: `${base}${(column as { at: string }).at}` },
  )
}

describe('whatever schema and values', () => {
  it('the value that is read back and the value from the validator give the same bytes, and COPY stores what the upsert does', async () => {
    let number = 0
    const shapes = fc.tuple(someFields, someFields, someFields, fc.boolean(), fc.boolean())
    const cases = shapes.chain(([root, one, many, oneRequired, keep]) =>
      fc.tuple(
        fc.constant({ root, one, many, oneRequired, keep }),
        fc.array(
          fc.tuple(
            valueFor(root),
            fc.option(valueFor(one), { freq: oneRequired ? 1e9 : 2 }),
            fc.array(valueFor(many), { maxLength: 3 }),
          ),
          { minLength: 1, maxLength: 8 },
        ),
      ),
    )
    await fc.assert(
      fc.asyncProperty(cases, async ([{ root, one, many, oneRequired, keep }, values]) => {
        number += 1
        const name = `case_${number}`
        const objectOf = ({ properties, required }: Case) => ({ type: 'object', properties, required })
        const made = await installed<Record<string, unknown>>({
          name,
          schema: {
            type: 'object',
            required: ['id', 'entries', ...(oneRequired ? ['part'] : []), ...root.required],
            properties: {
              id: { type: 'string' },
              ...root.properties,
              part: objectOf(one),
              entries: { type: 'array', items: objectOf(many) },
            },
          },
          key: '/id',
          tables: {
            [name]: { columns: root.columns },
            [`${name}_part`]: { at: '/part', columns: below('/part', one.columns) },
            [`${name}_entries`]: { each: '/entries', columns: many.columns },
          },
          ...(keep ? { keep: 'value' as const } : {}),
        } as StreamDefinition<Record<string, unknown>>)
        const sent = values.map(([own, part, entries], index) => {
          return { ...own, id: `k${index}`, entries, ...(part === null ? {} : { part }) }
        })
        const { ready } = await settle(made, sent)
        const { rows } = await database.pool.query(made.queries.many.text, [ready.map(({ key }) => key)])
        const served = new Map(
          rows.map(row => made.queries.toValue(row).stored).map(({ key, json }) => [key, `${json}`]),
        )
        for (const { key, value } of ready) expect(served.get(key)).toBe(made.json(value).toString())
        const byCopy = await taken(made)
        await settle(made, sent, UPSERT)
        expect(byCopy).toEqual(await taken(made))
        await database.pool.query(`DROP TABLE ${made.tableNames.join(', ')}`)
      }),
      { numRuns: 25 },
    )
  })
})
