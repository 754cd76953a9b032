import { PG_MIGRATE_LOCK_ID } from 'node-pg-migrate'
import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { examine } from '#src/cli/doctor-checks.ts'
import { migrate } from '#src/engine/postgres/migrate.ts'
import { missingMigrations, requireMigrated } from '#src/engine/postgres/migration-status.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import { VERSION } from '#src/version.ts'
import { holdfast } from '../support/cli.ts'
import { ALL_MIGRATIONS as ALL, anInstallationInPublic, BEFORE_OWN_SCHEMA } from '../support/installations.ts'
import { freshDatabase, freshTopics, kafkaBrokers } from '../support/stack.ts'

const BACK_TO_PUBLIC = { count: ALL.length - BEFORE_OWN_SCHEMA }

async function connected(url: string, name?: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, ...(name === undefined ? {} : { application_name: name }) })
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

/** As its streams leave it, once they have settled something. */
async function anInstallationInUse(url: string, schema: string): Promise<pg.Client> {
  await migrate(url, 'up', { schema })
  const client = await connected(url)
  await client.query(
    `INSERT INTO "${schema}".stream_progress (topic, partition, group_id, first_offset, next_offset) VALUES ('orders', 0, 'g', 0, 9)`,
  )
  return client
}

/** As an error has it, and as a command prints it. */
const MISTYPED =
  /schema hodlfast \(PG_SCHEMA\) holds no installation .* an installation in the schema holdfast(?:; s|\s+S)et PG_SCHEMA=holdfast/

it('a mistyped PG_SCHEMA makes no second installation, and every command names the one that there is', async () => {
  const databaseUrl = await freshDatabase()
  const client = await anInstallationInUse(databaseUrl, 'holdfast')
  const mistyped = { ...freshTopics(), brokers: kafkaBrokers(), databaseUrl, env: { PG_SCHEMA: 'hodlfast' } }

  const refused = await holdfast(mistyped, 'migrate', 'up').catch((error: { code: number; stderr: string }) => error)
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(MISTYPED) })
  expect(refused.stderr).toContain('holdfast migrate up --new')
  expect((await client.query(`SELECT to_regnamespace('hodlfast') AS made`)).rows).toEqual([{ made: null }])
  const pool = createPool({ url: databaseUrl, schema: 'hodlfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
  onTestFinished(() => pool.end())
  await expect(requireMigrated(pool)).rejects.toThrow(MISTYPED)
  const env = { KAFKA_BROKERS: kafkaBrokers(), DATABASE_URL: databaseUrl, HTTP_PORT: '0', PG_SCHEMA: 'hodlfast' }
  const found = await Array.fromAsync(examine(env))
  expect(found.find(({ name }) => name === 'migrations')).toMatchObject({
    ok: false,
    detail: expect.stringContaining('an installation in the schema holdfast'),
    fix: expect.stringContaining('set PG_SCHEMA=holdfast'),
  })

  // On purpose, and again from a job that always says so.
  const { stdout } = await holdfast(mistyped, 'migrate', 'up', '--new', '--json')
  expect(JSON.parse(stdout)).toEqual({ applied: ALL })
  expect(JSON.parse((await holdfast(mistyped, 'migrate', 'up', '--json')).stdout)).toEqual({ applied: [] })
  const again = await Array.fromAsync(examine(env))
  expect(again.find(({ name }) => name === 'migrations')?.detail).toBe(
    'up to date in the schema hodlfast; this database has other installations, in holdfast',
  )
})

it('first installations are made side by side, also by several replicas at once, and an upgrade asks nothing', async () => {
  const url = await freshDatabase()
  const up = (schema: string) => migrate(url, 'up', { schema, beside: false })
  const applied = await Promise.all([up('one'), up('two'), up('one')])
  expect(applied.map(({ length }) => length).sort((a, b) => a - b)).toEqual([0, ALL.length, ALL.length])
  await anInstallationInUse(url, 'one')
  await migrate(url, 'down', { schema: 'two' })
  expect(await up('two')).toEqual(ALL.slice(-1))

  const former = await freshDatabase()
  const client = await anInstallationInUse(former, 'other')
  await client.query('DROP TABLE orders, deliveries, payments, items')
  await anInstallationInPublic(former)
  expect(await migrate(former, 'up', { beside: false })).toEqual(ALL.slice(BEFORE_OWN_SCHEMA))
})

it('one of two is not taken back past what it shares, nor past what the other has left in public', async () => {
  const url = await freshDatabase()
  await anInstallationInPublic(url)
  const client = await anInstallationInUse(url, 'holdfast')
  await migrate(url, 'up', { schema: 'shop' })
  const views = async () =>
    (await client.query(`SELECT count(*)::int AS views FROM pg_views WHERE schemaname = 'public'`)).rows
  const before = await views()
  expect(before).not.toEqual([{ views: 0 }])
  const theirs =
    /no migration was taken back, because of 0022_own_schema: public\.\w+ serves the version before of another installation/

  await expect(migrate(url, 'down', { schema: 'shop', ...BACK_TO_PUBLIC })).rejects.toThrow(theirs)
  // The table that the views stand beside is in the way by itself; an operator may have removed it.
  await client.query('ALTER TABLE holdfast.pgmigrations NO INHERIT public.pgmigrations; DROP TABLE public.pgmigrations')
  await expect(migrate(url, 'down', { schema: 'shop', ...BACK_TO_PUBLIC })).rejects.toThrow(theirs)
  expect(await views()).toEqual(before)

  await expect(migrate(url, 'down', { schema: 'shop', count: ALL.length })).rejects.toThrow(
    /0013_customer_index is about tables of the stream orders, which .* share \(holdfast\); .*DROP SCHEMA shop CASCADE/,
  )
  await expect(migrate(url, 'down', { count: ALL.length })).rejects.toThrow(/share \(shop\)/)
  expect((await client.query('SELECT FROM public.orders')).rowCount).toBe(0)

  // Under another name, the views still lead to its tables.
  await client.query('ALTER SCHEMA holdfast RENAME TO renamed')
  expect(await migrate(url, 'down', { schema: 'renamed', ...BACK_TO_PUBLIC })).toHaveLength(BACK_TO_PUBLIC.count)
  const pool = createPool({ url, schema: 'shop', max: 1, statementTimeoutMs: 10_000, name: 'test' })
  onTestFinished(() => pool.end())
  expect(await missingMigrations(pool)).toEqual([])
})

it('views left for the version before may be dropped by the statement of doctor, once nothing needs them', async () => {
  const url = await freshDatabase()
  await anInstallationInPublic(url)
  const client = await anInstallationInUse(url, 'holdfast')
  const found = async () => {
    const findings = await Array.fromAsync(
      examine({ KAFKA_BROKERS: kafkaBrokers(), DATABASE_URL: url, HTTP_PORT: '0' }),
    )
    return findings.find(({ name }) => name === 'views in public')
  }

  // Version 0.1.0 is known by the names of its sessions.
  const former = new pg.Client({ connectionString: url, application_name: 'holdfast-lanes' })
  await former.connect()
  expect(await found()).toEqual({
    ...{ name: 'views in public', ok: true },
    detail: expect.stringMatching(/^\d+ views left .* which still runs: 0\.1\.0/),
  })
  await former.end()
  const gone = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'holdfast-lanes'`
  await expect.poll(async () => (await client.query(gone)).rowCount, { timeout: 60_000 }).toBe(0)

  const droppable = await found()
  expect(droppable).toMatchObject({ ok: true, detail: expect.stringContaining('they may be dropped') })
  expect(droppable?.fix).toMatch(/^DROP VIEW public\.audit_log, public\..*;$/)
  await client.query(droppable?.fix ?? '')
  expect(await found()).toBeUndefined()
  expect((await client.query(`SELECT FROM pg_views WHERE schemaname = 'public'`)).rowCount).toBe(0)
  expect((await client.query('SELECT next_offset FROM holdfast.stream_progress')).rows).toEqual([{ next_offset: '9' }])
})

it('the session of a migration has the version in its name, as all others', async () => {
  const url = await freshDatabase()
  const client = await connected(url)
  await client.query(`SELECT pg_advisory_lock(${PG_MIGRATE_LOCK_ID})`)
  const waiting = migrate(url, 'up')
  const names = `SELECT application_name AS name FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
  await expect
    .poll(async () => (await client.query(names)).rows, { timeout: 60_000 })
    .toEqual([{ name: `holdfast-migrate/${VERSION}` }])
  await client.query('SELECT pg_advisory_unlock_all()')
  await waiting
})
