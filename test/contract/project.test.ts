import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { migrate, migrationStatus } from '#src/engine/postgres/migrate.ts'
import { missingMigrations, projectMigrations, requireMigrated } from '#src/engine/postgres/migration-status.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import { noteProcess } from '#src/engine/postgres/processes.ts'
import { migratedDatabase } from '../support/database.ts'
import { COMPILED } from '../support/service.ts'
import { freshDatabase, kafkaBrokers } from '../support/stack.ts'

/** A working directory with these migrations. @returns its folder of them */
function aProject(migrations: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-project-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'migrations'))
  for (const [name, sql] of Object.entries(migrations)) writeFileSync(join(folder, 'migrations', name), sql)
  return projectMigrations(folder) ?? 'none was found'
}

const up = (table: string) =>
  `-- Up Migration\nCREATE TABLE ${table} (id text PRIMARY KEY);\n-- Down Migration\nDROP TABLE ${table};\n`

it('migrations of a project come after ours, under names of their own, and are taken back by themselves', async () => {
  const url = await freshDatabase()
  const project = aProject({ '0001_returns.sql': up('returns'), '0002_visits.sql': up('visits') })

  const applied = await migrate(url, 'up', { project })
  expect(applied.slice(-2)).toEqual(['migrations/0001_returns', 'migrations/0002_visits'])
  expect(applied[0]).toBe('0001_order_tables')
  expect(await migrate(url, 'up', { project })).toEqual([])

  expect(await migrate(url, 'down', { project })).toEqual(['migrations/0002_visits'])
  const status = await migrationStatus(url, { project })
  expect(status.filter(({ appliedAt }) => appliedAt === undefined).map(({ name }) => name)).toEqual([
    'migrations/0002_visits',
  ])
  const pool = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
  onTestFinished(() => pool.end())
  expect(await missingMigrations(pool, project)).toEqual(['migrations/0002_visits'])
  expect(await missingMigrations(pool)).toEqual([])
  expect(await requireMigrated(pool, project)).toEqual(['migrations/0002_visits'])
  expect(await requireMigrated(pool)).toEqual([])
  // However many: never those of the other.
  expect(await migrate(url, 'down', { project, count: 2 })).toEqual(['migrations/0001_returns'])
  expect(await migrate(url, 'up', { project })).toEqual(['migrations/0001_returns', 'migrations/0002_visits'])
  expect(await migrate(url, 'down')).toEqual([applied.at(-3)])
  await pool.query('SELECT FROM visits')
  await expect(requireMigrated(pool, project)).rejects.toThrow(
    `lacks the migration ${applied.at(-3)}; run: holdfast migrate up`,
  )
})

it('migrate down leaves the tables of a project, which go with --project alone, and not under a process that runs', async () => {
  // Given a project whose table holds a row
  await using database = await migratedDatabase()
  const { url, pool } = database
  const project = aProject({ '0001_returns.sql': up('returns') })
  await migrate(url, 'up', { project })
  await pool.query("INSERT INTO returns VALUES ('r1')")
  const down = (...args: readonly string[]) =>
    command(dirname(project), { DATABASE_URL: url }, 'migrate', 'down', ...args)

  // When Holdfast goes back by more than its last migration
  const ours = await down('--count', '2')
  // Then the row is still there
  expect(ours).toMatchObject({ code: 0, stdout: expect.stringMatching(/^taken back 00.*\ntaken back 00.*\n$/) })
  expect((await pool.query('SELECT id FROM returns')).rows).toEqual([{ id: 'r1' }])

  // While a process runs, it may store into the table
  await migrate(url, 'up')
  const id = randomUUID()
  await noteProcess(pool, { id, migration: '0001_of_an_old_version', roles: ['consumer'], host: 'web', pid: 7 })
  // However long a command takes to start
  await pool.query(`UPDATE holdfast.processes SET seen_at = now() + interval '1 hour'`)
  const refused = await down('--project')
  expect(refused.code).toBe(1)
  expect(refused.stderr).toMatch(
    /no migration was taken back: migrations\/0001_returns is needed by what runs .*web, pid 7 \(consumer\).*--force/s,
  )
  expect((await pool.query('SELECT id FROM returns')).rows).toEqual([{ id: 'r1' }])

  await pool.query('DELETE FROM holdfast.processes')
  expect(await down('--project')).toMatchObject({ code: 0, stdout: 'taken back migrations/0001_returns\n' })
  await expect(pool.query('SELECT FROM returns')).rejects.toThrow('does not exist')
})

it('migrate down --project names what is missing where there is no project', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-no-project-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const { code, stderr } = await command(
    folder,
    { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' },
    'migrate',
    'down',
    '--project',
  )
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('no folder migrations/ of a project') })
})

it('a migration of a project that fails is named, and none of its folder is applied', async () => {
  const url = await freshDatabase()
  const project = aProject({ '0001_returns.sql': up('returns'), '0002_again.sql': up('returns') })
  await expect(migrate(url, 'up', { project })).rejects.toThrow(
    /the migration migrations\/0002_again failed: relation "returns" already exists.*correct the file/,
  )
  const missing = (await migrationStatus(url, { project })).filter(({ appliedAt }) => appliedAt === undefined)
  expect(missing.map(({ name }) => name)).toEqual(['migrations/0001_returns', 'migrations/0002_again'])
})

it('the migrations of Holdfast itself are not taken for those of a project', () => {
  expect(projectMigrations('.')).toBeUndefined()
  expect(projectMigrations(tmpdir())).toBeUndefined()
})

/** A command against this database alone. */
function stream(databaseUrl: string, ...args: readonly string[]) {
  return command(process.cwd(), { DATABASE_URL: databaseUrl }, 'stream', ...args)
}

async function command(cwd: string, settings: Readonly<Record<string, string>>, ...args: readonly string[]) {
  const env = { PATH: process.env.PATH, NO_COLOR: '1', ...COMPILED, ...settings }
  const run = promisify(execFile)(process.execPath, [resolve('src/cli/main.ts'), ...args], { cwd, env })
  const { stdout, stderr, code } = await run.then(
    said => ({ ...said, code: 0 }),
    (failure: { stdout: string; stderr: string; code: number }) => failure,
  )
  return { code, stdout, stderr }
}

it('stream check finds the tables of the migrations as the definition needs them', async () => {
  await using database = await migratedDatabase()
  const { code, stdout } = await stream(database.url, 'check')
  expect(stdout).toContain('✓ orders tables: orders, deliveries, payments, items are as the definition needs them\n')
  expect(code).toBe(0)
})

it('stream check names each difference with its fix, and stream migration is the SQL that removes them all', async () => {
  // Given tables that were changed by hand
  await using database = await migratedDatabase()
  await database.pool.query(`
    ALTER TABLE orders DROP COLUMN locale;
    ALTER TABLE orders ALTER COLUMN sm_id TYPE integer;
    ALTER TABLE orders ALTER COLUMN entry DROP NOT NULL;
    ALTER TABLE payments ADD COLUMN "by hand" text NOT NULL;
    ALTER TABLE payments DROP CONSTRAINT payments_pkey;
    ALTER TABLE deliveries ALTER COLUMN order_uid TYPE text COLLATE "default";
    DROP INDEX orders_customer;
    DROP TABLE items`)

  const { code, stdout } = await stream(database.url, 'check', '--json')
  expect(code).toBe(1)
  const findings = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
    .filter(({ ok }) => !ok)
  expect(findings.map(({ what }) => what)).toEqual([
    'orders.entry may be NULL, but the schema requires the field',
    'there is no column orders.locale (text)',
    'orders.sm_id has the type integer; the definition needs bigint',
    'orders has no index on ("left"(customer_id, 128), date_created DESC, order_uid DESC): each page of its list would sort the whole table',
    'deliveries.order_uid has the collation default; a key needs "C", which compares bytes',
    'payments.by hand is NOT NULL without a default, and the definition does not fill it',
    'payments has no primary key; the definition needs (order_uid)',
    'there is no table public.items',
  ])
  expect(findings.map(({ fix }) => fix)).toContain(
    'ALTER TABLE public.orders ALTER COLUMN sm_id TYPE bigint USING sm_id::bigint;',
  )

  // When the migration that is printed is applied, then nothing differs; and taken back, everything does again
  const migration = await stream(database.url, 'migration', 'orders')
  const down = await stream(database.url, 'migration', 'orders', '--down')
  await database.pool.query(migration.stdout.split('-- Down Migration')[0] ?? '')
  expect(await stream(database.url, 'check')).toMatchObject({ code: 0 })
  expect(await stream(database.url, 'migration', 'orders')).toMatchObject({
    ...{ code: 0, stdout: '', stderr: 'nothing to do: the tables of orders are as the definition needs them\n' },
  })
  await database.pool.query(down.stdout)
  expect((await stream(database.url, 'check', '--json')).stdout).toBe(stdout)
})

it('stream check says that something else has the name of a table', async () => {
  await using database = await migratedDatabase()
  await database.pool.query('ALTER TABLE items RENAME TO old_items; CREATE VIEW items AS SELECT * FROM old_items')
  const { code, stdout } = await stream(database.url, 'check', 'orders')
  expect(code).toBe(1)
  expect(stdout).toContain('✗ orders tables: items is a view, not a table\n')
})

it('a project brings a stream of its own: from a sample to tables, records and what commands say of it', async () => {
  // Given a folder with a sample, and a copy of the package that is not the one that runs
  const name = `r${randomUUID().slice(0, 8)}`
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-project-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'node_modules/holdfast'), { recursive: true })
  writeFileSync(join(folder, 'node_modules/holdfast/package.json'), '{"type":"module","exports":"./index.js"}')
  writeFileSync(join(folder, 'node_modules/holdfast/index.js'), "throw new Error('another copy')")
  const sample = {
    ...{ return_id: randomUUID(), created_at: '2026-03-01T10:00:00Z', refund: 19.99, note: null },
    ...{ customer: { id: 'c-17', name: 'A' }, lines: [{ sku: 's-1', quantity: 2 }] },
  }
  writeFileSync(join(folder, 'sample.json'), JSON.stringify(sample))
  const database = new URL(await freshDatabase())
  const settings = {
    ...{ KAFKA_BROKERS: kafkaBrokers(), KAFKA_TOPIC_PARTITIONS: '1', DATABASE_URL: database.href, HTTP_PORT: '0' },
    KAFKA_GROUP_ID: name,
  }
  const holdfast = (...args: readonly string[]) => command(folder, settings, ...args)

  expect(await holdfast('stream', 'init', name, '--from', 'sample.json')).toMatchObject({ code: 0 })
  const unmigrated = await holdfast('stream', 'check')
  expect(unmigrated).toMatchObject({ code: 1, stdout: expect.stringContaining(`the database has none of ${name}`) })
  // And a service that is started too early says what is missing, and what to do
  await migrate(database.href, 'up')
  const early = await holdfast('serve', '--roles', 'consumer')
  expect(early.code).not.toBe(0)
  const lines = `${early.stdout}${early.stderr}`.split('\n').filter(line => line.startsWith('{'))
  const logged = lines.map(line => JSON.parse(line))
  expect(logged.find(({ event }) => event === 'migrations_missing')).toMatchObject({
    migrations: [`migrations/0001_${name}`],
    msg: expect.stringContaining('holdfast migrate up'),
  })
  const migrated = await holdfast('migrate', 'up', '--json')
  expect(JSON.parse(migrated.stdout).applied.at(-1)).toBe(`migrations/0001_${name}`)
  expect(await holdfast('stream', 'check')).toMatchObject({ code: 0, stderr: 'no differences\n' })

  // Then its records are generated from its schema, and its topic is measured and checked like any other
  const produced = await holdfast('produce', '--count', '20', '--seed', '7', '--invalid', '10%', '--json')
  expect(JSON.parse(produced.stdout)).toMatchObject({ stream: name, produced: 20, failed: 0, seed: 7 })
  const lag = await holdfast('lag', '--json')
  expect(JSON.parse(lag.stdout)).toMatchObject({ stream: name, partition: 0, lag_records: 20 })
  expect(await holdfast('get', sample.return_id)).toMatchObject({
    ...{ code: 1, stderr: `error: there is no value with the key ${sample.return_id} in the stream ${name}\n` },
  })

  // When a column is NOT NULL that the schema lets be null, then doctor says so: records would be refused for it
  const pool = createPool({ url: database.href, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
  onTestFinished(() => pool.end())
  await pool.query(`ALTER TABLE ${name} ALTER COLUMN note SET NOT NULL`)
  const doctor = await holdfast('doctor', '--json')
  expect(doctor.stdout).toContain(`"name":"tables of ${name}","ok":false`)
  expect(doctor.stdout).toContain(`${name}.note is NOT NULL, but the schema does not require the field`)
})
