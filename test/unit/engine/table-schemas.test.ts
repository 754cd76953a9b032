import { describe, expect, it } from 'vitest'
import { compileStream } from '#src/engine/definition/compile.ts'
import { createInParts, divideTable } from '#src/engine/postgres/hash-partitions.ts'
import { type LiveTable, tableDifferences } from '#src/engine/postgres/live-tables.ts'
import { checksOf } from '#src/engine/postgres/proof-checks.ts'
import { checksSince } from '#src/engine/postgres/proof-checks-since.ts'
import { createTable, wantedTables } from '#src/engine/postgres/wanted-tables.ts'
import { addStatement } from '#src/inbox/postgres/reindex-sql.ts'
import { orders } from '#src/streams/orders/definition.ts'
import { aReadyOrder } from '../../support/orders.ts'

const names = { topic: 'orders', dlqTopic: 'orders.dlq', groupId: 'holdfast', maxBytes: 100_000 }
const inShop = (tablesIn: string) => compileStream({ ...orders, tablesIn }, names)

/** An index of ours has another definition, a column is missing, and the key is checked late. */
const differing: LiveTable = {
  kind: 'table',
  columns: new Map(),
  primaryKey: { constraint: 'a_key', columns: ['position'], deferrable: true },
  indexes: [{ name: 'orders_newest', columns: '(stored_at)' }],
  partitioned: true,
  withoutPartitions: true,
}

/** Every text that names a table of the stream. */
function textsOf({ tables, queries, plan }: ReturnType<typeof inShop>): string[] {
  const { beforeCopy } = tables
  const records = [aReadyOrder()]
  const page = { by: { customer_id: 'c' }, from: undefined, to: undefined, after: undefined, limit: 1 }
  const wanted = wantedTables(plan)
  const live = { tables: new Map(wanted.map(({ name }) => [name, differing])), elsewhere: new Map(), barred: undefined }
  const none = { ...live, tables: new Map() }
  const migrations = [
    ...[...tableDifferences(plan, live), ...tableDifferences(plan, none)].map(({ sql }) => sql),
    ...wanted.flatMap(table => [
      createTable(table),
      createInParts(table, plan.key.column, 2),
      divideTable(table, differing, plan.key.column, 2),
    ]),
  ]
  return [
    ...[tables.upsert(records), tables.trim(records), beforeCopy.known(['a'])].map(statement => statement?.text ?? ''),
    ...[beforeCopy.lock, beforeCopy.obstacle.text, ...tables.copies(records, 0n).map(({ text }) => text)],
    ...[queries.one, queries.many, queries.newest, queries.origin, queries.page(page)].map(({ text }) => text),
    ...[...checksOf(plan), ...checksSince(plan, '2026-01-01')].map(({ text }) => text),
    ...[addStatement(plan), ...migrations.flatMap(({ up, down }) => [up, down])],
  ]
}

describe('the tables of a stream', () => {
  const anywhere =
    /\b(?:FROM|JOIN|INTO|UPDATE|ONLY|COPY|TABLE|OF|ON|INDEX) "?(?:orders|deliveries|payments|items)(?:_\w+)?\b(?! ON )/

  it.each(['public', 'shop', 'The "Shop"'])('are named with their schema in every statement: %s', tablesIn => {
    expect(textsOf(inShop(tablesIn)).filter(text => anywhere.test(text))).toEqual([])
  })

  it('are written, read and made by the same statements in each schema, but for its name', () => {
    const without = (schema: string) => textsOf(inShop(schema)).map(text => text.replaceAll(`${schema}.`, ''))
    expect(without('shop')).toEqual(without('public'))
    expect(textsOf(inShop('The "Shop"'))[0]).toContain('INSERT INTO "The ""Shop""".orders AS stored')
  })

  it('have titles that name the schema where it is not the default', () => {
    expect(inShop('public').tableNames).toEqual(['orders', 'deliveries', 'payments', 'items'])
    expect(inShop('shop').tableNames[0]).toBe('shop.orders')
    expect(compileStream(orders, names).plan).toEqual(inShop('public').plan)
  })
})

describe('a table that is missing', () => {
  const { plan } = inShop('public')

  it('is named with its schema, and with the one in which the search path finds it', () => {
    const live = { tables: new Map(), elsewhere: new Map([['orders', 'shop']]), barred: undefined }
    expect(tableDifferences(plan, live).map(({ what }) => what)).toEqual([
      "there is no table public.orders; search_path finds one of that name in the schema shop, which no statement looks through: if it is meant, the definition needs tablesIn: 'shop'",
      ...['deliveries', 'payments', 'items'].map(name => `there is no table public.${name}`),
    ])
  })

  it('is no matter of a right: USAGE on the schema is named once, with its GRANT', () => {
    const live = { tables: new Map(), elsewhere: new Map(), barred: 'app' }
    expect(tableDifferences(plan, live)[0]).toEqual({
      what: 'the user app may not use the schema public, in which the tables stand',
      blocks: true,
      sql: { up: 'GRANT USAGE ON SCHEMA public TO app;', down: 'REVOKE USAGE ON SCHEMA public FROM app;' },
    })
  })
})
