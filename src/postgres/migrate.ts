import { readdir } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PG_MIGRATE_LOCK_ID, runner } from 'node-pg-migrate'
import pg from 'pg'
import { StoreMisconfiguredError } from '../core/errors.ts'
import { toStoreError } from './errors.ts'
import { type Ask, requireMigrationRights, requireUtf8 } from './obstacles.ts'
import { query } from './pool.ts'

const DIRECTORY = fileURLToPath(new URL('../../migrations', import.meta.url))
const TABLE = 'pgmigrations'
const CONNECT_TIMEOUT_MS = 5_000
const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

export interface MigrationStatus {
  readonly name: string
  /** `undefined` while it is missing. */
  readonly appliedAt: Date | undefined
  /** False for one that a newer version of the service has applied: we have no file for it. */
  readonly known: boolean
}

/**
 * Applies what is missing, or takes back the last `count` (1 unless told), in one transaction: all or nothing. Several
 * replicas may do so at once: they wait for one another at an advisory lock, and the later ones find nothing to do.
 * @returns the names of what was applied or taken back, in that order
 * @throws StoreUnavailableError, StoreMisconfiguredError
 */
export async function migrate(
  url: string,
  direction: 'up' | 'down',
  { count }: { readonly count?: number } = {},
): Promise<string[]> {
  return await connected(url, async client => {
    const ask: Ask = async (text, values) => (await client.query(text, [...values])).rows
    if (direction === 'up') {
      await requireUtf8(ask)
      if ((await statusOf(client)).some(({ appliedAt }) => appliedAt === undefined)) await requireMigrationRights(ask)
    }
    const done = await runner({
      dbClient: client,
      dir: DIRECTORY,
      direction,
      migrationsTable: TABLE,
      schema: 'public',
      // The runner's own default is a transaction for each, whatever its types say.
      singleTransaction: true,
      advisoryLockMode: 'wait',
      logger: SILENT,
      ...(count === undefined ? {} : { count }),
    })
    return done.map(({ name }) => name)
  })
}

/** Every migration that we have or the database has, oldest first. @throws as {@link migrate} */
export async function migrationStatus(url: string): Promise<MigrationStatus[]> {
  return await connected(url, statusOf)
}

async function statusOf(client: pg.Client): Promise<MigrationStatus[]> {
  const names = await migrationNames()
  const { rows: tables } = await client.query<{ present: boolean }>(
    `SELECT to_regclass('${TABLE}') IS NOT NULL AS present`,
  )
  const { rows } = tables[0]?.present
    ? await client.query<{ name: string; run_on: Date }>(
        `SELECT name, run_on AT TIME ZONE current_setting('TimeZone') AS run_on FROM ${TABLE} ORDER BY id`,
      )
    : { rows: [] }
  const applied = new Map(rows.map(row => [row.name, row.run_on]))
  return [
    ...names.map(name => ({ name, appliedAt: applied.get(name), known: true })),
    ...rows
      .filter(row => !names.includes(row.name))
      .map(row => ({ name: row.name, appliedAt: row.run_on, known: false })),
  ]
}

/**
 * The migrations that the database lacks, oldest first: none when the service may start.
 * @throws StoreUnavailableError, StoreMisconfiguredError
 */
export async function missingMigrations(pool: pg.Pool): Promise<string[]> {
  const names = await migrationNames()
  const [table] = await query<{ present: boolean }>(pool, {
    text: `SELECT to_regclass('${TABLE}') IS NOT NULL AS present`,
  })
  if (!table?.present) return names
  const applied = await query<{ name: string }>(pool, { text: `SELECT name FROM ${TABLE}` })
  return names.filter(name => !applied.some(row => row.name === name))
}

/** Whether somebody applies migrations at this moment: then what is missing is about to come. @throws as {@link missingMigrations} */
export async function migrationUnderWay(pool: pg.Pool): Promise<boolean> {
  const [row] = await query<{ held: boolean }>(pool, {
    // How Postgres shows a lock on one bigint: in two halves.
    text: `SELECT EXISTS (
        SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
        WHERE datname = current_database() AND locktype = 'advisory' AND objsubid = 1 AND granted
          AND (classid::bigint << 32 | objid::bigint) = $1
      ) AS held`,
    values: [PG_MIGRATE_LOCK_ID],
  })
  return row?.held ?? false
}

/**
 * What stands in the way of a start that no retry cures.
 * @param missing of {@link missingMigrations}: only then must this user be able to apply them
 * @throws StoreMisconfiguredError with what to do; StoreUnavailableError
 */
export async function requireFitDatabase(pool: pg.Pool, missing: readonly string[] = []): Promise<void> {
  const ask: Ask = (text, values) => query(pool, { text, values: [...values] })
  await requireUtf8(ask)
  if (missing.length > 0) await requireMigrationRights(ask)
}

async function migrationNames(): Promise<string[]> {
  const files = await readdir(DIRECTORY)
  return files
    .filter(file => file.endsWith('.sql'))
    .map(file => basename(file, '.sql'))
    .sort()
}

async function connected<R>(url: string, work: (client: pg.Client) => Promise<R>): Promise<R> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'holdfast-migrate',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  })
  client.on('error', () => {}) // the query in hand rejects; nobody else needs to hear of it
  try {
    await client.connect()
    return await work(client)
  } catch (error) {
    // The runner wraps what it met while it made its own table, and complains of migrations out of order in plain text.
    const known = toStoreError(error)
    throw known === error || error instanceof pg.DatabaseError ? known : refused(error, known)
  } finally {
    await client.end().catch(() => {})
  }
}

const RUNNER_TEXTS =
  /^(Error loading migration files|Unable to ensure migrations table|Not run migration|Definitions of migrations)/

function refused(error: unknown, known: Error): Error {
  if (!(error instanceof Error) || !RUNNER_TEXTS.test(error.message)) return known
  return new StoreMisconfiguredError(`the migrations cannot be run: ${error.message}`, { cause: error })
}
