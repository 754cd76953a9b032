import { existsSync, realpathSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PG_MIGRATE_LOCK_ID, runner } from 'node-pg-migrate'
import pg from 'pg'
import { dispositionOf, StoreMisconfiguredError, StoreUnavailableError } from '../errors.ts'
import { toStoreError } from './errors.ts'
import { createHosts, findPrimary } from './hosts.ts'
import { type Ask, requireFitServer, requireMigrationRights } from './obstacles.ts'
import { query } from './pool.ts'
import { findPooling } from './pooling.ts'

/** Migrations of one origin. */
interface MigrationSet {
  readonly directory: string
  /** The table that holds the names of those that were applied. */
  readonly table: string
  /** Stands before their names, so that those of a project are not taken for ours. */
  readonly prefix: string
}

const OURS: MigrationSet = {
  directory: fileURLToPath(new URL('../../../migrations', import.meta.url)),
  table: 'pgmigrations',
  prefix: '',
}
/** The folder of a project with migrations of its own streams; also what their names begin with. */
const PROJECT_FOLDER = 'migrations'
const CONNECT_TIMEOUT_MS = 5_000

export interface MigrationStatus {
  /** Those of a project begin with the name of their folder: `migrations/0001_returns`. */
  readonly name: string
  /** `undefined` while it is missing. */
  readonly appliedAt: Date | undefined
  /** False for one that a newer version has applied: there is no file for it. */
  readonly known: boolean
}

export interface MigrationOptions {
  /** How many to apply or take back. Default: all, or the last. */
  readonly count?: number | undefined
  /** The folder of the project, as {@link projectMigrations} finds it. Default: only our own migrations. */
  readonly project?: string | undefined
}

/**
 * @param cwd the project, most often the working directory
 * @returns its folder `migrations`; `undefined` where there is none, or where it is that of Holdfast itself
 */
export function projectMigrations(cwd: string): string | undefined {
  const directory = resolve(cwd, PROJECT_FOLDER)
  if (!existsSync(directory)) return undefined
  return realpathSync(directory) === realpathSync(OURS.directory) ? undefined : directory
}

/**
 * Applies what is missing, ours and then the project's, or takes back the last `count` (default 1), the project's and then ours; each
 * of the two in one transaction: all or nothing. Several replicas may do so at once: they wait for one another at an advisory lock,
 * and the later ones find nothing to do.
 * @returns the names of what was applied or taken back, in that order
 * @throws StoreUnavailableError, StoreMisconfiguredError
 */
export async function migrate(
  url: string,
  direction: 'up' | 'down',
  { count, project }: MigrationOptions = {},
): Promise<string[]> {
  const sets = direction === 'up' ? setsOf(project) : setsOf(project).reverse()
  return await connected(url, async client => {
    // The lock that replicas wait at belongs to a session.
    if ((await findPooling(url)).lends === 'transaction') {
      throw new StoreMisconfiguredError(
        'migrations need a session of their own, and a pooler in front of Postgres lends it by the transaction',
        { remedy: 'set DATABASE_DIRECT_URL to the URL of the same database past the pooler' },
      )
    }
    const ask: Ask = async (text, values) => (await client.query(text, [...values])).rows
    if (direction === 'up') {
      await requireFitServer(ask)
      const status = await statusOf(client, sets)
      if (status.some(({ appliedAt }) => appliedAt === undefined)) await requireMigrationRights(ask)
    }
    const done: string[] = []
    for (const set of sets) {
      const left = count === undefined ? undefined : count - done.length
      if (left === 0 || (direction === 'down' && count === undefined && done.length > 0)) break
      done.push(...(await run(client, set, direction, left)))
    }
    return done
  })
}

async function run(
  client: pg.Client,
  { directory, table, prefix }: MigrationSet,
  direction: 'up' | 'down',
  count: number | undefined,
): Promise<string[]> {
  let under: string | undefined
  const logger = {
    // The only place where the library reports the current file.
    info(line: unknown) {
      under = /MIGRATION (\S+)/.exec(String(line))?.[1] ?? under
    },
    ...{ debug() {}, warn() {}, error() {} },
  }
  try {
    const done = await runner({
      dbClient: client,
      dir: directory,
      direction,
      migrationsTable: table,
      schema: 'public',
      // The runner's own default is a transaction for each, whatever its types say.
      singleTransaction: true,
      advisoryLockMode: 'wait',
      logger,
      ...(count === undefined ? {} : { count }),
    })
    return done.map(({ name }) => prefix + name)
  } catch (error) {
    if (prefix === '' && error instanceof pg.DatabaseError && isOwnWord(error)) {
      const what = direction === 'up' ? 'applied' : 'taken back'
      throw new StoreMisconfiguredError(`no migration was ${what}, because of ${under}: ${error.message}`)
    }
    const isOurs = prefix === '' || under === undefined
    if (isOurs || !(error instanceof pg.DatabaseError) || dispositionOf(toStoreError(error)) === 'retry') throw error
    throw new StoreMisconfiguredError(`the migration ${prefix}${under} failed: ${error.message}`, {
      cause: error,
      remedy: 'correct the file; none of the migrations of this folder was applied',
    })
  }
}

/** Raised by a block of the file itself, which says what to do; the text of a trigger or function may quote a row. */
function isOwnWord({ code, where }: pg.DatabaseError): boolean {
  return code === 'P0001' && where?.startsWith('PL/pgSQL function inline_code_block ') === true
}

function setsOf(project: string | undefined): MigrationSet[] {
  if (project === undefined) return [OURS]
  return [OURS, { directory: project, table: 'pgmigrations_project', prefix: `${PROJECT_FOLDER}/` }]
}

/** Every migration that we, the project or the database have, oldest first. @throws as {@link migrate} */
export async function migrationStatus(url: string, project?: string): Promise<MigrationStatus[]> {
  return await connected(url, client => statusOf(client, setsOf(project)))
}

async function statusOf(client: pg.Client, sets: readonly MigrationSet[]): Promise<MigrationStatus[]> {
  const status: MigrationStatus[] = []
  for (const { directory, table, prefix } of sets) {
    const names = await migrationNames(directory)
    const { rows: tables } = await client.query<{ present: boolean }>(
      `SELECT to_regclass('${table}') IS NOT NULL AS present`,
    )
    const { rows } = tables[0]?.present
      ? await client.query<{ name: string; run_on: Date }>(
          `SELECT name, run_on AT TIME ZONE current_setting('TimeZone') AS run_on FROM ${table} ORDER BY id`,
        )
      : { rows: [] }
    const applied = new Map(rows.map(row => [row.name, row.run_on]))
    const unknown = rows.filter(row => !names.includes(row.name))
    status.push(
      ...names.map(name => ({ name: prefix + name, appliedAt: applied.get(name), known: true })),
      ...unknown.map(row => ({ name: prefix + row.name, appliedAt: row.run_on, known: false })),
    )
  }
  return status
}

/**
 * The migrations that the database lacks, oldest first: none when the service may start.
 * @param project as {@link projectMigrations} finds it: its migrations, too
 * @throws StoreUnavailableError, StoreMisconfiguredError
 */
export async function missingMigrations(pool: pg.Pool, project?: string): Promise<string[]> {
  const missing: string[] = []
  for (const { directory, table, prefix } of setsOf(project)) {
    const names = await migrationNames(directory)
    const [found] = await query<{ present: boolean }>(pool, {
      text: `SELECT to_regclass('${table}') IS NOT NULL AS present`,
    })
    const applied = found?.present ? await query<{ name: string }>(pool, { text: `SELECT name FROM ${table}` }) : []
    missing.push(...names.filter(name => !applied.some(row => row.name === name)).map(name => prefix + name))
  }
  return missing
}

/** Whether another process applies migrations at this moment: then what is missing is about to come. @throws as {@link missingMigrations} */
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
 * Refuses a database on which a start would fail however often it is tried.
 * @param missing of {@link missingMigrations}: only then must this user be able to apply them
 * @throws StoreMisconfiguredError with what to do; StoreUnavailableError
 */
export async function requireFitDatabase(pool: pg.Pool, missing: readonly string[] = []): Promise<void> {
  const ask: Ask = (text, values) => query(pool, { text, values: [...values] })
  await requireFitServer(ask)
  if (missing.length > 0) await requireMigrationRights(ask)
}

/**
 * Waits for nothing: whether the service may start on this database.
 * @param project as {@link projectMigrations} finds it
 * @returns migrations of the project that are missing. They keep nothing from starting: its tables are compared with the definitions, and
 *   may have been made by other means
 * @throws StoreMisconfiguredError with what to do; StoreUnavailableError, also while migrations are being applied
 */
export async function requireMigrated(pool: pg.Pool, project?: string): Promise<string[]> {
  await requireFitDatabase(pool)
  if ((await missingMigrations(pool, project)).length === 0) return []
  if (await migrationUnderWay(pool)) throw new StoreUnavailableError('migrations are being applied')
  // Another process may have committed them between those two questions.
  const ours = await missingMigrations(pool)
  const missing = project === undefined ? ours : await missingMigrations(pool, project)
  if (ours.length === 0) return missing
  const which = `${ours.length === 1 ? 'the migration' : 'the migrations'} ${ours.join(', ')}`
  throw new StoreMisconfiguredError(`the database lacks ${which}`, { remedy: 'run: holdfast migrate up' })
}

async function migrationNames(directory: string): Promise<string[]> {
  const files = await readdir(directory)
  return files
    .filter(file => file.endsWith('.sql'))
    .map(file => basename(file, '.sql'))
    .sort()
}

async function connected<R>(url: string, work: (client: pg.Client) => Promise<R>): Promise<R> {
  const client = new pg.Client({
    connectionString: await findPrimary(createHosts(() => url)),
    application_name: 'holdfast-migrate',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  })
  client.on('error', () => {}) // the current query rejects with it
  try {
    await client.connect()
    return await work(client)
  } catch (error) {
    // The runner wraps errors of creating its own table, and reports migrations out of order as plain text.
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
