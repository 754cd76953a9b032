import { randomUUID } from 'node:crypto'
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { StoreMisconfiguredError } from '#src/engine/errors.ts'
import { migrate, whoRuns } from '#src/engine/postgres/migrate.ts'
import { newestMigration, requireMigrated } from '#src/engine/postgres/migration-status.ts'
import { forgetProcess, noteProcess } from '#src/engine/postgres/processes.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'

const ALL = readdirSync(new URL('../../migrations/', import.meta.url))
  .map(file => file.replace(/\.sql$/, ''))
  .sort()
const OURS = fileURLToPath(new URL('../../migrations', import.meta.url))

/** The migrations of a later version: ours, and further ones by their names. */
function later(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  cpSync(OURS, directory, { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, `${name}.sql`), text)
  return directory
}

const TABLE = '-- Up Migration\nCREATE TABLE of_later ();\n-- Down Migration\nDROP TABLE of_later;\n'
const BREAKING = `-- breaks: versions before 99.1.0\n${TABLE}`

async function aDatabase(): Promise<MigratedDatabase> {
  const database = await migratedDatabase()
  onTestFinished(() => database[Symbol.asyncDispose]())
  return database
}

async function aProcess({ pool }: MigratedDatabase, pid = 7): Promise<string> {
  const id = randomUUID()
  await noteProcess(pool, { id, migration: await newestMigration(), roles: ['consumer', 'api'], host: 'web', pid })
  await goesOn(pool, id)
  return id
}

/** As if it said again and again that it runs, however long the test takes. */
async function goesOn(pool: MigratedDatabase['pool'], id: string): Promise<void> {
  await pool.query(`UPDATE holdfast.processes SET seen_at = now() + interval '1 hour' WHERE id = $1`, [id])
}

it('a migration that breaks what runs is refused with the names of the processes, and applied once they have ended', async () => {
  const database = await aDatabase()
  const { url, pool } = database
  const directory = later({ '9001_breaking': BREAKING })
  const [one, other] = [await aProcess(database, 7), await aProcess(database, 8)]

  await expect(migrate(url, 'up', { directory })).rejects.toThrow(
    /^no migration was applied: 9001_breaking breaks what runs \(versions before 99\.1\.0 .*: \S+ on web, pid 7 \(consumer, api\); \S+ on web, pid 8 /,
  )
  const { running, inTheWay } = await whoRuns(url, { directory })
  expect([running.length, inTheWay.map(({ migration }) => migration)]).toEqual([2, ['9001_breaking']])
  // It is noted by then, and nobody is kept from starting by what is not applied.
  expect(await requireMigrated(pool)).toEqual([])

  await forgetProcess(pool, one)
  // One that was killed says nothing any more.
  await pool.query(`UPDATE holdfast.processes SET seen_at = now() - interval '36 seconds' WHERE id = $1`, [other])
  expect(await migrate(url, 'up', { directory })).toEqual(['9001_breaking'])
})

it('a version that does not know a migration starts on it, unless that breaks it', async () => {
  const { url, pool } = await aDatabase()
  await migrate(url, 'up', { directory: later({ '9000_harmless': TABLE }) })
  expect(await requireMigrated(pool)).toEqual([])

  const directory = later({ '9000_harmless': TABLE, '9001_breaking': BREAKING.replaceAll('of_later', 'of_another') })
  await migrate(url, 'up', { directory })
  const refused = requireMigrated(pool)
  await expect(refused).rejects.toThrow(StoreMisconfiguredError)
  await expect(refused).rejects.toThrow(
    /the database has the migration 9001_breaking of a newer version: versions before 99\.1\.0 cannot work with it, and this is .*holdfast migrate down/,
  )

  await migrate(url, 'down', { directory })
  expect(await requireMigrated(pool)).toEqual([])
})

it('version 0.1.0, which does not note that it runs, is known by its sessions', async () => {
  const { url, pool } = await aDatabase()
  const session = new pg.Client({ connectionString: url, application_name: 'holdfast-lanes' })
  await session.connect()
  const directory = later({ '9001_breaking': BREAKING })
  await expect(migrate(url, 'up', { directory })).rejects.toThrow(/breaks what runs .*: 0\.1\.0.* \(1 session\)/)
  // Sessions of this version have its number in their names: this pool is none of them.
  expect((await whoRuns(url)).running).toHaveLength(1)

  // What came after it may be taken back under it, and no more.
  const names = (await pool.query('SELECT name FROM holdfast.pgmigrations ORDER BY id')).rows.map(row => row.name)
  const newer = names.length - 1 - names.indexOf('0021_operator_requests')
  await expect(migrate(url, 'down', { count: newer + 1 })).rejects.toThrow(
    /^no migration was taken back: 0021_operator_requests is needed by what runs .*: 0\.1\.0/,
  )
  expect(await migrate(url, 'down', { count: newer })).toHaveLength(newer)
  await session.end()
})

it('nothing is taken back that runs, but by force, which the audit log keeps', async () => {
  const database = await aDatabase()
  const { url, pool } = database
  const directory = later({ '9001_later': TABLE })
  await migrate(url, 'up', { directory })
  const id = randomUUID()
  await noteProcess(pool, { id, migration: '9001_later', roles: ['jobs'], host: 'web', pid: 9 })
  await goesOn(pool, id)

  await expect(migrate(url, 'down', { directory })).rejects.toThrow(
    /9001_later is needed by what runs .*web, pid 9 \(jobs\)/,
  )
  const told: string[] = []
  const force = { who: 'ada', because: 'a drill' }
  const onForced: NonNullable<Parameters<typeof migrate>[2]>['onForced'] = inTheWay => {
    told.push(...inTheWay.map(({ migration }) => migration))
  }
  expect(await migrate(url, 'down', { directory, force, onForced })).toEqual(['9001_later'])
  expect(told).toEqual(['9001_later'])
  const { rows } = await pool.query('SELECT who, what, filter, because, counts FROM holdfast.audit_log')
  expect(rows).toEqual([
    {
      ...{ who: 'ada', what: 'migrate_down_force', filter: '9001_later', because: 'a drill' },
      counts: { ran: [expect.stringContaining('on web, pid 9 (jobs)')] },
    },
  ])
  // What is not in the way is no matter of force.
  await forgetProcess(pool, id)
  await migrate(url, 'up', { directory, force })
  expect((await pool.query('SELECT FROM holdfast.audit_log')).rowCount).toBe(1)
})

it('who could write the tables before may write those that are new', async () => {
  const { url, pool } = await aDatabase()
  const role = `app_${randomUUID().slice(0, 8)}`
  await migrate(url, 'down', { count: ALL.length - ALL.indexOf('0023_running_processes') })
  await pool.query(`CREATE ROLE ${role}; GRANT SELECT, INSERT ON holdfast.consumer_starts TO ${role}`)
  await migrate(url, 'up')
  const { rows } = await pool.query(
    `SELECT has_table_privilege($1, 'holdfast.processes', 'SELECT') AND has_table_privilege($1, 'holdfast.processes', 'INSERT') AS may,
      has_table_privilege($1, 'holdfast.breaking_migrations', 'DELETE') AS may_not`,
    [role],
  )
  expect(rows).toEqual([{ may: true, may_not: false }])
  await pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
})

it('a migration that waits for a table lets those through that stand behind it, and is applied once the table is free', async () => {
  const { url, pool } = await aDatabase()
  const directory = later({
    '9001_locking': '-- Up Migration\nALTER TABLE stream_progress ADD COLUMN of_later text;\n-- Down Migration\n',
  })
  const reader = await pool.connect()
  onTestFinished(() => reader.release(true))
  await reader.query('BEGIN; LOCK TABLE holdfast.stream_progress IN ACCESS SHARE MODE')
  // The view shows the locks of all databases, and those of other tests are among them.
  const waiting = async () =>
    (
      await pool.query(`SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
    ).rowCount

  const applied = migrate(url, 'up', { directory })
  applied.catch(() => {})
  await expect.poll(waiting).toBe(1)
  await pool.query('UPDATE holdfast.stream_progress SET next_offset = next_offset WHERE false')
  // It waits by turns.
  await expect.poll(waiting).toBe(0)

  await reader.query('COMMIT')
  expect(await applied).toEqual(['9001_locking'])
})
