import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileTables } from '#src/engine/definition/compile.ts'
import type { StreamPlan } from '#src/engine/definition/plan.ts'
import { readLiveTables, type TableDifference, tableDifferences } from '#src/engine/postgres/live-tables.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import { requireTables } from '#src/engine/postgres/required-tables.ts'
import { serverFacts } from '#src/engine/postgres/table-rights.ts'
import { createTable, wantedTables } from '#src/engine/postgres/wanted-tables.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'

let database: MigratedDatabase
beforeAll(async () => {
  database = await migratedDatabase()
  await sql(`CREATE COLLATION of_any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})

async function sql(text: string) {
  return await database.pool.query(text)
}

let number = 0

/** The tables `NAME` and `NAME_lines` of a plan, created and then altered. */
async function altered(
  alter: (table: string) => string,
  tablesIn?: string,
): Promise<{ readonly name: string; readonly plan: StreamPlan }> {
  const name = `live_${number++}`
  const { plan } = compileTables({
    name,
    schema: {
      type: 'object',
      required: ['id', 'at', 'city', 'lines'],
      properties: {
        id: { type: 'string' },
        at: { type: 'string', format: 'date-time' },
        city: { type: 'string' },
        price: { type: 'number' },
        lines: { type: 'array', items: { type: 'object', properties: { n: { type: 'integer' } } } },
      },
    },
    key: '/id',
    ...(tablesIn === undefined ? {} : { tablesIn }),
    tables: {
      [name]: { columns: ['/at', '/city', { at: '/price', type: 'numeric(12,2)' }] },
      [`${name}_lines`]: { each: '/lines' },
    },
    list: { newest: '/at', by: ['/city'] },
  })
  for (const table of wantedTables(plan)) await sql(createTable(table).up)
  await sql(alter(name))
  return { name, plan }
}

async function differencesOf(plan: StreamPlan): Promise<TableDifference[]> {
  return tableDifferences(
    plan,
    await readLiveTables(async (text, values) => (await database.pool.query(text, [...values])).rows, plan),
  )
}

const key = (table: string, rest: string) =>
  `ALTER TABLE ${table} DROP CONSTRAINT ${table}_pkey; ALTER TABLE ${table} ADD PRIMARY KEY ${rest}`

describe('tables that are not as a definition needs them', () => {
  it.each<[string, (table: string) => string, RegExp, boolean]>([
    [
      'another type, of a column with an index',
      t => `ALTER TABLE ${t} ALTER city TYPE varchar(9)`,
      /has the type character varying\(9\)/,
      true,
    ],
    ['a missing column', t => `ALTER TABLE ${t} DROP price`, /there is no column \w+\.price \(numeric\(12,2\)\)/, true],
    [
      'a column that no record fills',
      t => `ALTER TABLE ${t}_lines ADD x text NOT NULL`,
      /_lines\.x is NOT NULL without a default/,
      true,
    ],
    [
      'a column that may not be absent',
      t => `ALTER TABLE ${t} ALTER price SET NOT NULL`,
      /price is NOT NULL, but the schema/,
      true,
    ],
    [
      'a key that is checked late',
      t => key(t, '(id) DEFERRABLE'),
      /the primary key \(id\) DEFERRABLE; the definition needs \(id\), which/,
      true,
    ],
    ['no key', t => `ALTER TABLE ${t}_lines DROP CONSTRAINT ${t}_lines_pkey`, /_lines has no primary key/, true],
    ['another key', t => key(t, '(id, at)'), /the primary key \(id, at\); the definition needs \(id\)/, true],
    [
      'a key with another order',
      t => `ALTER TABLE ${t} ALTER id TYPE text COLLATE "default"`,
      /collation default; a key needs "C"/,
      false,
    ],
    [
      'a key for which A is a',
      t => `ALTER TABLE ${t} ALTER id TYPE text COLLATE of_any_case`,
      /collation of_any_case/,
      true,
    ],
    [
      'a column that Postgres computes',
      t => `ALTER TABLE ${t} DROP price, ADD price numeric(12,2) GENERATED ALWAYS AS (1) STORED`,
      /price is GENERATED ALWAYS, and the definition fills it/,
      true,
    ],
    [
      'a column that Postgres counts',
      t => `ALTER TABLE ${t} DROP source_offset, ADD source_offset bigint GENERATED ALWAYS AS IDENTITY`,
      /source_offset is GENERATED ALWAYS/,
      true,
    ],
    ['a missing index', t => `DROP INDEX ${t}_by_city`, /no index on \("left"\(city, 128\), at DESC, id DESC\)/, false],
  ])('%s', async (_, alter, what, blocks) => {
    const { name, plan } = await altered(alter)
    const [first, ...others] = await differencesOf(plan)
    expect(first?.what).toMatch(what)
    expect(first?.blocks).toBe(blocks)
    expect(others.every(other => !other.blocks)).toBe(true)
    const started = requireTables(database.pool, name, plan)
    if (blocks) await expect(started).rejects.toThrow(what)
    else await started
    for (const { sql: fix } of [...(first ? [first] : []), ...others]) await sql(fix.up)
    expect(await differencesOf(plan)).toEqual([])
  })

  it.each<[string, (table: string) => string, RegExp]>([
    [
      'a view',
      t => `ALTER TABLE ${t} RENAME TO ${t}_old; CREATE VIEW ${t} AS SELECT * FROM ${t}_old`,
      /is a view, not a table/,
    ],
    ['a type', t => `DROP TABLE ${t}_lines; CREATE TYPE ${t}_lines AS (n int)`, /_lines is a type, not a table/],
    ['an index', t => `DROP TABLE ${t}_lines; CREATE INDEX ${t}_lines ON ${t} (at)`, /_lines is an index, not a table/],
    ['a missing table', t => `DROP TABLE ${t}_lines`, /there is no table public\.live_\d+_lines/],
    [
      'no partition',
      t => `DROP TABLE ${t}_lines; CREATE TABLE ${t}_lines (id text COLLATE "C" NOT NULL, position int NOT NULL, n bigint,
        PRIMARY KEY (id, position)) PARTITION BY HASH (id)`,
      /_lines is partitioned and has no partition/,
    ],
  ])('what is there instead of the table: %s', async (_, alter, what) => {
    const { name, plan } = await altered(alter)
    await expect(requireTables(database.pool, name, plan)).rejects.toThrow(what)
    expect((await differencesOf(plan)).map(difference => difference.what).join('; ')).toMatch(what)
  })

  it('a column that is to be jsonb keeps what it holds, and so does one that is taken back', async () => {
    const { name, plan } = await altered(
      t => `INSERT INTO ${t} VALUES ('a', '2026-03-01', 'Rome', 12.5, 'topic', 0, 0, 0, now())`,
    )
    const columns = plan.root.columns.map(column =>
      column.name === 'price' ? { ...column, type: 'jsonb' as const, ddl: 'jsonb' } : column,
    )
    const differences = await differencesOf({ ...plan, root: { ...plan.root, columns } })
    for (const { sql: change } of differences) await sql(change.up)
    const held = async () => (await sql(`SELECT pg_typeof(price)::text AS type, price::text FROM ${name}`)).rows
    expect(await held()).toEqual([{ type: 'jsonb', price: '12.50' }])
    for (const { sql: change } of differences) await sql(change.down)
    expect(await held()).toEqual([{ type: 'numeric', price: '12.50' }])
    expect(await differencesOf(plan)).toEqual([])
  })

  it('rights are asked for where the tables are, and USAGE of their schema is named', async () => {
    const role = `reader_${process.pid}`
    await sql('CREATE SCHEMA elsewhere')
    const { name, plan } = await altered(() => '', 'elsewhere')
    await sql(`CREATE ROLE ${role}`)
    const url = new URL(database.url)
    url.searchParams.set('options', `-c role=${role}`)
    const pool = createPool({ url: url.href, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
    const tables = [`elsewhere.${name}`, `elsewhere.${name}_lines`]

    const barred = await serverFacts(pool, [{ plan }])
    expect(barred).toMatchObject({ schemas: ['holdfast', 'elsewhere'], barred: ['elsewhere', 'holdfast'] })
    expect(barred.forbidden).toEqual(expect.arrayContaining(tables))
    await expect(requireTables(pool, name, plan)).rejects.toThrow(
      `the user ${role} may not use the schema elsewhere, in which the tables stand`,
    )

    await sql(`GRANT USAGE ON SCHEMA elsewhere TO ${role}`)
    const forbidden = await serverFacts(pool, [{ plan }])
    expect(forbidden.barred).toEqual(['holdfast'])
    expect(forbidden.forbidden).toEqual(expect.arrayContaining(tables))
    await requireTables(pool, name, plan)

    await sql(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA elsewhere TO ${role}`)
    expect((await serverFacts(pool, [{ plan }])).forbidden).not.toEqual(expect.arrayContaining([tables[0]]))
    await pool.end()
    await sql(`DROP OWNED BY ${role}; DROP ROLE ${role}; DROP SCHEMA elsewhere CASCADE`)
  })

  it('a table that only the search path finds is named with its schema and what to write', async () => {
    const { name, plan } = await altered(t => `CREATE SCHEMA former; ALTER TABLE ${t}_lines SET SCHEMA former`)
    const url = new URL(database.url)
    url.searchParams.set('options', '-c search_path=former,public')
    const pool = createPool({ url: url.href, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
    const started = requireTables(pool, name, plan)
    await expect(started).rejects.toThrow(`there is no table public.${name}_lines; search_path finds one of that name`)
    await expect(started).rejects.toThrow(
      "in the schema former, which no statement looks through: if it is meant, the definition needs tablesIn: 'former'",
    )
    await pool.end()
    await sql('DROP SCHEMA former CASCADE')
  })

  it('where all are there, tables that the search path finds instead are named, unless the definition chose its schema', async () => {
    const { name, plan } = await altered(t => `CREATE SCHEMA former; CREATE TABLE former.${t}_lines ()`)
    const url = new URL(database.url)
    url.searchParams.set('options', '-c search_path=former,public')
    const pool = createPool({ url: url.href, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
    expect(await requireTables(pool, name, plan)).toEqual([
      `search_path finds ${name}_lines in the schema former, which no statement looks through: if it is meant, the definition needs tablesIn: 'former'`,
    ])
    expect(await requireTables(database.pool, name, plan)).toEqual([])
    const chosen = await altered(t => `CREATE TABLE former.${t}_lines ()`, 'public')
    expect(await requireTables(pool, chosen.name, chosen.plan)).toEqual([])
    await pool.end()
    await sql('DROP SCHEMA former CASCADE')
  })
})
