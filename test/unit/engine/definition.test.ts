import { isDeepStrictEqual } from 'node:util'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { checkDefinitions, isWellFormed } from '#src/engine/definition/check.ts'
import { compileStream, compileTables } from '#src/engine/definition/compile.ts'
import { planOf } from '#src/engine/definition/plan.ts'
import { defineStream, type StreamDefinition } from '#src/engine/definition.ts'
import { orders } from '#src/streams/orders/definition.ts'
import { aReturnValue, type Return, returnSample, returns } from '../../support/returns-definition.ts'

const names = { topic: 'returns', dlqTopic: 'returns.dlq', groupId: 'holdfast-returns', maxBytes: 100_000 }

/** A definition with something wrong, or something else right. */
function mistakesOf(over: Partial<StreamDefinition>): string[] {
  return checkDefinitions([{ ...(returns as StreamDefinition), ...over }])
}

/** A definition of a flat schema with these fields. */
function aDefinition(properties: Record<string, unknown>, over: Partial<StreamDefinition> = {}): StreamDefinition {
  const schema = { type: 'object', required: ['id'], properties: { id: { type: 'string' }, ...properties } }
  return { name: 'things', schema, key: '/id', tables: { things: {} }, ...over }
}

describe('the type of a value', () => {
  it('is inferred from a const schema', () => {
    expectTypeOf<Return['lines'][number]['price']>().toEqualTypeOf<number>()
    expectTypeOf<Return['reason']>().toEqualTypeOf<string | null | undefined>()
    defineStream({
      name: 'inferred',
      schema: { type: 'object', required: ['id'], properties: { id: { type: 'string' }, n: { type: 'integer' } } },
      key: '/id',
      tables: { inferred: {} },
      unusual(value) {
        expectTypeOf(value.id).toEqualTypeOf<string>()
        expectTypeOf(value.n).toEqualTypeOf<number | undefined>()
        return []
      },
    })
  })
})

describe('definitions without mistakes', () => {
  it('are those of orders and of returns, side by side', () => {
    expect(checkDefinitions([orders, returns])).toEqual([])
  })
})

describe('a mistake of a definition is named with its place', () => {
  const root = { returns: {} }
  it.each<[string, Partial<StreamDefinition>, string]>([
    [
      'a pointer that the schema does not have',
      { tables: { returns: { columns: ['/custmer_id'] } } },
      'stream returns: tables.returns.columns[0]: the schema has no /custmer_id: the value declares return_id, created_at',
    ],
    [
      'a pointer that ends halfway',
      { tables: { returns: { columns: ['/customer/name'] } } },
      'stream returns: tables.returns.columns[0]: the schema has no /customer/name: /customer declares id, email, since',
    ],
    [
      'a pointer that is none',
      { tables: { returns: { columns: ['total' as '/total'] } } },
      'stream returns: tables.returns.columns[0]: "total" is no JSON Pointer: it begins with "/"',
    ],
    [
      'a key that is not required',
      { key: '/reason' },
      'stream returns: key: /reason must be required by the schema and not null, because every value has a key',
    ],
    ['a key that is no string', { key: '/total' }, 'stream returns: key: /total must be a string, not number'],
    ['a key that is nowhere', { key: '/uid' }, 'stream returns: key: the schema has no /uid'],
    [
      'two columns with one name',
      { tables: { returns: { columns: ['/total', { at: '/weight_kg', as: 'total' }] } } },
      'stream returns: tables.returns: there are two columns "total"',
    ],
    [
      'a column with the name of one of the engine',
      { tables: { returns: { columns: [{ at: '/total', as: 'stored_at' }] } } },
      'stream returns: tables.returns: there are two columns "stored_at"',
    ],
    [
      'no root table',
      { tables: { return_addresses: { at: '/address' } } },
      'stream returns: tables: there must be exactly one root table, but there is none: one table has neither "at" nor "each"',
    ],
    [
      'two root tables',
      { tables: { returns: {}, more: {} } },
      'stream returns: tables: there must be exactly one root table, but there are returns, more: give "at" or "each" to the others',
    ],
    [
      'a column without a type',
      aDefinition({ any: {} }, { tables: { things: { columns: ['/any'] } } }),
      'stream things: tables.things.columns[0]: the column has no type: /any has no type in the schema',
    ],
    [
      'a type that is not known',
      { tables: { returns: { columns: [{ at: '/total', type: 'money' }] } } },
      'stream returns: tables.returns.columns[0]: the type "money" is not known; known are text, bigint',
    ],
    [
      'a type that cannot hold the field',
      { tables: { returns: { columns: [{ at: '/total', type: 'bigint' }] } } },
      'stream returns: tables.returns.columns[0]: a column of the type bigint cannot hold /total, which is number',
    ],
    [
      'a table whose name Postgres cannot hold',
      { tables: { ...root, ['x'.repeat(64)]: { at: '/address' } } },
      'the name of the table has 64 bytes, and Postgres keeps 63',
    ],
    [
      'a table without a name',
      { tables: { ...root, '': { at: '/address' } } },
      'stream returns: tables.: the name of the table is empty',
    ],
    [
      'a column whose name holds NUL',
      { tables: { returns: { columns: [{ at: '/total', as: 'a\0b' }] } } },
      'the name of the column "a\\u0000b" holds NUL, which Postgres cannot',
    ],
    [
      'a table of the engine',
      { tables: { ...root, dead_letters: { at: '/address' } } },
      'stream returns: tables.dead_letters: Holdfast has a table of this name for itself; choose another',
    ],
    [
      'a table that Postgres would look for among its own',
      { tables: { ...root, pg_class: { at: '/address' } } },
      'stream returns: tables.pg_class: names that begin with "pg_" belong to Postgres itself; choose another',
    ],
    ...['excluded', 'kept', 'written'].map((name): [string, Partial<StreamDefinition>, string] => [
      `a table that would be taken for a part of a statement: ${name}`,
      { tables: { ...root, [name]: { at: '/address' } } },
      `stream returns: tables.${name}: statements of Holdfast have a part of this name; choose another`,
    ]),
    [
      'a schema of its tables that is none',
      { tablesIn: 5 as never },
      'stream returns: tablesIn: must be a text, not 5',
    ],
    [
      'a schema whose name Postgres would cut',
      { tablesIn: 'x'.repeat(64) },
      'stream returns: tablesIn: the name of the schema has 64 bytes, and Postgres keeps 63',
    ],
    ...['pg_temp', 'information_schema'].map((tablesIn): [string, Partial<StreamDefinition>, string] => [
      `a schema of Postgres itself: ${tablesIn}`,
      { tablesIn },
      `stream returns: tablesIn: the schema "${tablesIn}" is one of Postgres itself; choose another`,
    ]),
    [
      'a reserved route',
      { route: 'admin' },
      'stream returns: route: "admin" is an address of Holdfast itself; give the stream another one with "route"',
    ],
    ['a route with a dot', { route: 'openapi.json' }, 'stream returns: route: "openapi.json" must be letters'],
    [
      'a schema that cannot be compiled',
      aDefinition({ n: { type: 'string', pattern: '(' } }),
      'stream things: schema: #/properties/n/pattern "(" is no regular expression',
    ],
    [
      'a $ref that leads nowhere',
      aDefinition({ n: { $ref: '#/$defs/none' } }),
      'stream things: schema: #/properties/n its $ref "#/$defs/none" leads nowhere',
    ],
    [
      'a keyword that is not supported',
      aDefinition({ n: { type: 'array', prefixItems: [] } }),
      'stream things: schema: #/properties/n/prefixItems is not supported',
    ],
    [
      'a list by something that has no order',
      { list: { newest: '/is_express' } },
      'stream returns: list.newest: /is_express must be a date, a date-time or a number, not boolean',
    ],
    [
      'a list by a field that may be absent',
      { list: { newest: '/received_on' } },
      'stream returns: list.newest: /received_on must be required by the schema and not null',
    ],
    [
      'a list by a place without a column',
      { list: { newest: '/created_at', by: ['/address/city'] } },
      'stream returns: list.by[0]: /address/city must be a column of the root table returns',
    ],
    [
      'an array as an object',
      { tables: { ...root, return_lines: { at: '/lines' } } },
      'stream returns: tables.return_lines: /lines must be an object in the schema',
    ],
    [
      'entries that are no objects',
      { tables: { ...root, return_tags: { each: '/tags' } } },
      'the entries of /tags must be objects in the schema; else keep the array in a jsonb column',
    ],
    [
      'a column outside of its table',
      { tables: { ...root, return_addresses: { at: '/address', columns: ['/total'] } } },
      'tables.return_addresses.columns[0]: /total is not below /address',
    ],
    [
      'a computed column without its type',
      { tables: { returns: { columns: [{ as: 'n', from: () => 1 } as never] } } },
      'tables.returns.columns[0]: a column without "at" needs "as" (its name), "type" and "from" (a function of the value)',
    ],
    [
      'a misspelt member',
      { keeps: 'value' } as never,
      'stream returns: keeps: a definition has no such member; it has name, topic',
    ],
    [
      'a misspelt member of a table',
      { tables: { returns: { colums: ['/total'] } as never } },
      'stream returns: tables.returns.colums: a table has no such member; it has at, each, columns, position',
    ],
    [
      'a misspelt member of a column',
      { tables: { returns: { columns: [{ at: '/total', tpye: 'numeric' } as never] } } },
      'stream returns: tables.returns.columns[0].tpye: a column has no such member; it has at, as, type, from',
    ],
    [
      'a misspelt member of the list',
      { list: { newest: '/created_at', bye: [] } as never },
      'stream returns: list.bye: "list" has no such member; it has newest, by',
    ],
    [
      'a table that is none',
      { tables: { returns: null as never } },
      'stream returns: tables.returns: must be an object, not null',
    ],
    [
      'columns that are no list',
      { tables: { returns: { columns: '/total' as never } } },
      'stream returns: tables.returns.columns: must be a list, not "/total"',
    ],
    [
      'a column that is the whole value',
      { tables: { returns: { columns: ['' as never] } } },
      'stream returns: tables.returns.columns[0]: must be a column',
    ],
    [
      'a whole value under another name',
      { keep: 'whole' as never },
      'stream returns: keep: must be "value", not "whole"',
    ],
    ['facts that are no function', { unusual: [] as never }, 'stream returns: unusual: must be a function, not a list'],
    [
      'a path without a parameter',
      { http: { paths: ['/return'] } },
      'stream returns: http.paths[0]: must be a path with one parameter, as "/returns/:id", not "/return"',
    ],
    [
      'a path that Express cannot read',
      { http: { paths: ['/return/{*key'] } },
      'stream returns: http.paths[0]: must be a path with one parameter',
    ],
    [
      'a reserved path',
      { http: { paths: ['/metrics/:key'] } },
      'stream returns: http: "metrics" is an address of Holdfast itself; choose another path',
    ],
    ['a name that is no name', { name: 'no name' }, 'name: "no name" must be a letter, then letters'],
  ])('%s', (_, over, expected) => {
    expect(mistakesOf(over).join('\n')).toContain(expected)
  })

  it('whatever stands for a member, in a sentence', () => {
    const mistaken = [null, 5, '', true, {}, [], [null], Symbol('s'), 1n, () => []]
    const allowed: Readonly<Record<string, readonly unknown[]>> = {
      ...{ name: [], topic: [], route: [], key: [], keep: [], list: [], tablesIn: [] },
      ...{ tables: [{}], http: [{}], settings: [{}], batch: [{}], retry: [{}], storm: [{}] },
      ...{ personal: [[]], unusualKinds: [[]], unusual: [mistaken.at(-1)], generator: [mistaken.at(-1)] },
    }
    for (const [member, values] of Object.entries(allowed)) {
      for (const value of mistaken) {
        const isAllowed = values.some(one => isDeepStrictEqual(one, value))
        const definition = { ...(returns as StreamDefinition), [member]: value }
        expect([member, value, isWellFormed(definition)]).toEqual([member, value, isAllowed])
      }
    }
  })

  it('and all of them at once', () => {
    const definition = { key: '/uid', route: 'metrics', tables: { returns: { columns: ['/a', '/b'] } } } as const
    expect(mistakesOf(definition)).toHaveLength(6)
  })

  it('also between two streams', () => {
    const other = { ...(returns as StreamDefinition), name: 'refunds', route: 'orders' }
    expect(checkDefinitions([orders, returns, other])).toEqual([
      'stream refunds: the route "orders" is already that of the stream orders; choose another',
      ...Object.keys(returns.tables).map(
        table => `stream refunds: the table "${table}" is already that of the stream returns; choose another`,
      ),
    ])
    expect(checkDefinitions([orders, { ...(returns as StreamDefinition), route: 'order' }])).toEqual([
      'stream returns: the route "order" is already that of the stream orders; choose another',
    ])
  })

  it('but not the tables of two streams that stand in schemas of their own', () => {
    const other = { ...(returns as StreamDefinition), name: 'refunds', tablesIn: 'shop' }
    expect(checkDefinitions([returns, other])).toEqual([])
    expect(checkDefinitions([other, { ...other, name: 'repairs' }])[0]).toBe(
      `stream repairs: the table "shop.${Object.keys(returns.tables)[0]}" is already that of the stream refunds; choose another`,
    )
  })

  it('also where there is no definition at all', () => {
    expect(checkDefinitions([null as never, {} as never]).join('\n')).toMatch(
      /streams\[0\] is no definition.*\n.*streams\[1\]: name: undefined must be/,
    )
  })
})

describe('a value that is rebuilt from its tables', () => {
  const stream = compileStream<Return>(returns, names)

  it('is served from memory as it will be from the tables', () => {
    const served = JSON.parse(stream.json(aReturnValue()).toString())
    expect(served).toEqual(returnSample)
  })

  it('is whole when the tables hold every field, as those of orders do', () => {
    expect(compileTables(orders)).toMatchObject({ from: 'tables', dropped: [], merged: [] })
  })

  it('names what its tables cannot give back', () => {
    expect(stream.readBack).toEqual({ from: 'tables', dropped: [], merged: ['/reason: null is left out'] })
    const tables = { returns: { columns: ['/created_at'] } } as const
    const reduced = { ...returns, list: { newest: '/created_at' }, tables } as StreamDefinition
    expect(compileTables(reduced).dropped).toContain('/customer')
    expect(compileTables(reduced).dropped).toContain('/lines')
  })

  it('leaves out what it says, and nothing else', () => {
    const served = JSON.parse(stream.json(aReturnValue({ reason: null })).toString())
    const { reason: _, ...rest } = returnSample
    expect(served).toEqual(rest)
  })

  it('is served from the kept value where the tables do not hold all of it', () => {
    const kept = compileStream<Return>({ ...returns, keep: 'value' }, names)
    expect(kept.readBack).toEqual({ from: 'kept', dropped: [], merged: [] })
    expect(JSON.parse(kept.json(aReturnValue({ reason: null })).toString())).toEqual({ ...returnSample, reason: null })
  })
})

describe('a value that its schema takes, and its columns do not', () => {
  it.each([
    ['more decimals than its column has', { total: 1.005 }, '/total'],
    [
      'a number beyond its column',
      { customer: { id: 'c', email: 'a@example.com', since: 3_000_000_000 } },
      '/customer/since',
    ],
  ])('is a dead letter: %s', (_, over, pointer) => {
    const stream = compileStream<Return>(returns, names)
    const value = Buffer.from(JSON.stringify(aReturnValue(over)))
    expect(stream.judge({ key: null, value })).toMatchObject({ ok: false, rejection: { pointer } })
  })

  it('is a dead letter: a uuid in upper case or as a URN, where the column is a uuid', () => {
    const definition = aDefinition(
      { ref: { type: 'string', format: 'uuid' } },
      { tables: { things: { columns: [{ at: '/ref', type: 'uuid' }] } } },
    )
    const stream = compileStream(definition, names)
    const judge = (ref: string) => stream.judge({ key: null, value: Buffer.from(JSON.stringify({ id: 'a', ref })) })
    expect(judge(returnSample.return_id)).toMatchObject({ ok: true })
    expect(judge(returnSample.return_id.toUpperCase())).toMatchObject({
      ok: false,
      rejection: { reason: 'schema_violation', error: 'uuid_case', pointer: '/ref' },
    })
    expect(judge(`urn:uuid:${returnSample.return_id}`)).toMatchObject({
      ok: false,
      rejection: { reason: 'schema_violation', error: 'uuid_form', pointer: '/ref' },
    })
  })

  it('is told from the others while it is validated, when a computed column fails on it', () => {
    const tables = { things: { columns: [{ as: 'n', type: 'bigint', from: () => 'one' }] } }
    const stream = compileStream(aDefinition({}, { tables }), names)
    expect(() => stream.judge({ key: null, value: Buffer.from('{"id":"a"}') })).toThrow(
      'the computed column n (bigint) gave a string',
    )
  })
})

it('a column may be NULL where its field may be absent or null', () => {
  const properties = { id: { type: 'string' }, always: { type: 'string' }, orNull: { type: ['string', 'null'] } }
  const schema = {
    type: 'object',
    required: ['id', 'always', 'orNull'],
    properties: { ...properties, maybe: properties.id },
  }
  const plan = planOf(aDefinition({}, { schema }), (_place, what) => expect.fail(what))
  expect(plan?.root.columns.map(({ name, nullable }) => [name, nullable])).toEqual([
    ['always', false],
    ['orNull', true],
    ['maybe', true],
  ])
})

describe('what one value of a stream is called', () => {
  const WHERE = { topic: 'returns', dlqTopic: 'returns.dlq', groupId: 'g' }
  const named = (more: object) =>
    compileStream({ ...returns, ...more } as StreamDefinition, { ...WHERE, maxBytes: 1_000_000 }).http.one
  it.each<[string, object, string]>([
    ['as its definition says', { http: { one: 'parcel' }, command: 'return' }, 'parcel'],
    ['by its word of the command line', { command: 'refund' }, 'refund'],
    ['by the title of its schema, as it stands in a sentence', {}, 'return'],
    ['by one that is an abbreviation', { schema: { ...returns.schema, title: 'SKU' } }, 'SKU'],
    [
      'a value, where the title is a sentence',
      { schema: { ...returns.schema, title: 'Goods that come back.' } },
      'value',
    ],
    ['a value, where there is no title', { schema: { ...returns.schema, title: undefined } }, 'value'],
  ])('%s', (_, more, word) => {
    expect(named(more)).toBe(word)
  })
})
