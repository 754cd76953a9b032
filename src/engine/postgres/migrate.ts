import { existsSync, realpathSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PG_MIGRATE_LOCK_ID, runner } from 'node-pg-migrate'
import pg from 'pg'
import { VERSION } from '../../version.ts'
import { dispositionOf, StoreMisconfiguredError, StoreUnavailableError } from '../errors.ts'
import type { Operator } from '../operator.ts'
import { audit } from './audit.ts'
import { toStoreError } from './errors.ts'
import { onPrimary } from './hosts.ts'
import { identifier } from './identifiers.ts'
import { otherwiseInstalled, requireNoOther, requireNotShared } from './installations.ts'
import { type Ask, FORMER_SCHEMA, hasTable, homeOf, leaveNoViews, makeSchema } from './migration-home.ts'
import { withLocks } from './migration-locks.ts'
import {
  breakingMigrations,
  brokenProcesses,
  type InTheWay,
  namesOf,
  needyProcesses,
  noteBreaking,
  processesWithStreams,
  requireNobodyInTheWay,
  requireNotBroken,
} from './migration-rules.ts'
import { requireFitServer, requireMigrationRights } from './obstacles.ts'
import { query, schemaOf } from './pool.ts'
import { findPooling } from './pooling.ts'
import { type RunningProcess, runningProcesses } from './processes.ts'
import { DEFAULT_SCHEMA, inSchema, MIGRATION_TABLES } from './schema.ts'

/** Migrations of one origin. */
interface MigrationSet {
  readonly directory: string
  /** The table that holds the names of those that were applied. */
  readonly table: string
  /** Stands before their names, so that those of a project are not taken for ours. */
  readonly prefix: string
  /** Where what they name stands: ours in our schema, and, until migration 0022 moves it, in `public`. */
  readonly searchPath: (schema: string) => string[]
}

const OURS: MigrationSet = {
  directory: fileURLToPath(new URL('../../../migrations', import.meta.url)),
  table: MIGRATION_TABLES.ours,
  prefix: '',
  searchPath: schema => [schema, FORMER_SCHEMA],
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
  /** The folder of the project, as {@link projectMigrations} finds it: applied after ours; taken back instead of ours. Default: only our own migrations. */
  readonly project?: string | undefined
  /** Of our own tables (PG_SCHEMA). */
  readonly schema?: string
  /** Does it although processes run that then fail. The audit log keeps who wanted it, and what ran. */
  readonly force?: Operator | undefined
  /** Is called with what runs, and in spite of which it is done. */
  readonly onForced?: ((inTheWay: readonly InTheWay[]) => void) | undefined
  /** Whether a new installation may be made where the database has one in another schema that is in use. Default: true. */
  readonly beside?: boolean
  /** Of our own migrations. Default: those of this version. */
  readonly directory?: string
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
 * Applies what is missing, ours and then the project's, each of the two in one transaction: all or nothing. Or takes back the last `count`
 * (default 1) of one of the two: whoever goes back to an earlier version of Holdfast must not drop the tables of a stream with it. Several
 * replicas may do so at once: they wait for one another at an advisory lock, and the later ones find nothing to do.
 * @returns the names of what was applied or taken back, in that order
 * @throws StoreUnavailableError, StoreMisconfiguredError
 */
export async function migrate(
  url: string,
  direction: 'up' | 'down',
  { count, project, schema = DEFAULT_SCHEMA, force, onForced, beside = true, directory }: MigrationOptions = {},
): Promise<string[]> {
  const sets = direction === 'up' ? setsOf(project, directory) : setsOf(project, directory).slice(-1)
  return await connected(url, async client => {
    // The lock that replicas wait at belongs to a session.
    if ((await findPooling(url)).lends === 'transaction') {
      throw new StoreMisconfiguredError(
        'migrations need a session of their own, and a pooler in front of Postgres lends it by the transaction',
        { remedy: 'set DATABASE_DIRECT_URL to the URL of the same database past the pooler' },
      )
    }
    const ask = askingOn(client)
    if (direction === 'up') {
      await requireFitServer(ask)
      const status = await statusOf(ask, sets, schema)
      if (status.some(({ appliedAt }) => appliedAt === undefined)) await requireMigrationRights(ask, schema)
    }
    // Held until the connection ends; the runner takes the same one, which a session may.
    await client.query(`SELECT pg_advisory_lock(${PG_MIGRATE_LOCK_ID})`)
    await leaveNoViews(ask, schema)
    if (direction === 'up') {
      if (!beside) await requireNoOther(ask, schema)
      await makeSchema(ask, schema)
    }
    const done: string[] = []
    for (const set of sets) {
      const left = count === undefined ? undefined : count - done.length
      if (left === 0) break
      const home = await homeOf(ask, schema)
      // There is nothing to take back, and the runner would make the table.
      if (direction === 'down' && !(await hasTable(ask, home, set.table))) continue
      const isOurs = set.prefix === ''
      if (isOurs || direction === 'down') {
        await requireFree(ask, set, direction, { schema, home, count: left, force, onForced })
      }
      done.push(...(await withLocks(ask, () => run(client, set, direction, { schema, home, count: left }))))
      // Once more, where the table for it is made by one of them.
      if (isOurs && direction === 'up') {
        await noteBreaking(ask, await homeOf(ask, schema), await breakingMigrations(set.directory))
      }
    }
    if (direction === 'down') await leaveNoViews(ask, schema)
    return done
  })
}

interface FreeOptions extends Pick<MigrationOptions, 'count' | 'force' | 'onForced'> {
  readonly schema: string
  readonly home: string
}

/** Nobody who runs, and no other installation, may be in the way. @throws StoreMisconfiguredError that names who is, unless it is forced */
async function requireFree(
  ask: Ask,
  { directory, table, prefix }: MigrationSet,
  direction: 'up' | 'down',
  { schema, home, count, force, onForced }: FreeOptions,
): Promise<void> {
  const isOurs = prefix === ''
  const applied = (await appliedIn(ask, home, table)).map(({ name }) => name)
  const breaking = await breakingMigrations(directory)
  // Before it is applied: a process that starts in the very moment in which it is committed finds it noted.
  if (direction === 'up') await noteBreaking(ask, home, breaking)
  const pending = (await migrationNames(directory)).filter(name => !applied.includes(name)).slice(0, count)
  const names = direction === 'up' ? pending : applied.slice(-(count ?? 1)).reverse()
  const inTheWay = await whoIsInTheWay()
  if (force === undefined) {
    requireNobodyInTheWay(direction, inTheWay)
    if (direction === 'down' && isOurs) await requireNotShared(ask, schema, names)
    return
  }
  if (inTheWay.length === 0) return
  onForced?.(inTheWay)
  if (!(await hasTable(ask, home, 'audit_log'))) return
  const ran = namesOf(inTheWay)
  const what = names.map(name => prefix + name).join(' ')
  const { text, values = [] } = audit('', `migrate_${direction}_force`, what, force, { ran })
  await ask(inSchema(home)(text), values)

  async function whoIsInTheWay(): Promise<InTheWay[]> {
    if (direction === 'up') {
      const broken = breaking.filter(({ name }) => names.includes(name))
      return await brokenProcesses(ask, home, broken)
    }
    if (isOurs) return await needyProcesses(ask, home, names)
    const ofProject = names.map(name => prefix + name)
    return await processesWithStreams(ask, home, ofProject)
  }
}

interface RunOptions {
  readonly schema: string
  /** Where the tables of migrations stand just now. */
  readonly home: string
  readonly count: number | undefined
}

async function run(
  client: pg.Client,
  { directory, table, prefix, searchPath }: MigrationSet,
  direction: 'up' | 'down',
  { schema, home, count }: RunOptions,
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
      schema: searchPath(schema),
      migrationsSchema: home,
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

function setsOf(project: string | undefined, directory = OURS.directory): MigrationSet[] {
  const ours = { ...OURS, directory }
  if (project === undefined) return [ours]
  const ofProject: MigrationSet = {
    directory: project,
    table: MIGRATION_TABLES.project,
    prefix: `${PROJECT_FOLDER}/`,
    searchPath: () => [FORMER_SCHEMA],
  }
  return [ours, ofProject]
}

/** Every migration that we, the project or the database have, oldest first. @throws as {@link migrate} */
export async function migrationStatus(
  url: string,
  { project, schema = DEFAULT_SCHEMA, directory }: Pick<MigrationOptions, 'project' | 'schema' | 'directory'> = {},
): Promise<MigrationStatus[]> {
  return await connected(url, client => statusOf(askingOn(client), setsOf(project, directory), schema))
}

/** Who runs on the database at this moment, and which missing migrations that keeps from being applied. @throws as {@link migrate} */
export async function whoRuns(
  url: string,
  { schema = DEFAULT_SCHEMA, directory = OURS.directory }: Pick<MigrationOptions, 'schema' | 'directory'> = {},
): Promise<{ readonly running: readonly RunningProcess[]; readonly inTheWay: readonly InTheWay[] }> {
  return await connected(url, async client => {
    const ask = askingOn(client)
    const home = await homeOf(ask, schema)
    const applied = (await appliedIn(ask, home, OURS.table)).map(({ name }) => name)
    const pending = (await breakingMigrations(directory)).filter(({ name }) => !applied.includes(name))
    return { running: await runningProcesses(ask, home), inTheWay: await brokenProcesses(ask, home, pending) }
  })
}

async function statusOf(ask: Ask, sets: readonly MigrationSet[], schema: string): Promise<MigrationStatus[]> {
  const status: MigrationStatus[] = []
  const home = await homeOf(ask, schema)
  for (const { directory, table, prefix } of sets) {
    const names = await migrationNames(directory)
    const rows = await appliedIn(ask, home, table)
    const applied = new Map(rows.map(row => [row.name, row.run_on]))
    const unknown = rows.filter(row => !names.includes(row.name))
    status.push(
      ...names.map(name => ({ name: prefix + name, appliedAt: applied.get(name), known: true })),
      ...unknown.map(row => ({ name: prefix + row.name, appliedAt: row.run_on, known: false })),
    )
  }
  return status
}

/** In the order in which they were applied; none where there is no such table. */
async function appliedIn(ask: Ask, home: string, table: string): Promise<{ name: string; run_on: Date }[]> {
  if (!(await hasTable(ask, home, table))) return []
  const text = `SELECT name, run_on AT TIME ZONE current_setting('TimeZone') AS run_on FROM ${identifier(home)}.${table} ORDER BY id`
  return (await ask(text, [])) as { name: string; run_on: Date }[]
}

/**
 * The migrations that the database lacks, oldest first: none when the service may start.
 * @param project as {@link projectMigrations} finds it: its migrations, too
 * @throws StoreUnavailableError, StoreMisconfiguredError
 */
export async function missingMigrations(pool: pg.Pool, project?: string): Promise<string[]> {
  const status = await statusOf(asking(pool), setsOf(project), schemaOf(pool))
  return status.filter(({ appliedAt }) => appliedAt === undefined).map(({ name }) => name)
}

function askingOn(client: pg.Client): Ask {
  return async (text, values) => (await client.query(text, [...values])).rows
}

function asking(pool: pg.Pool): Ask {
  return (text, values) => query(pool, { text, values: [...values] })
}

/** Whether another process applies migrations at this moment: then what is missing is about to come. @throws as {@link missingMigrations} */
async function migrationUnderWay(pool: pg.Pool): Promise<boolean> {
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
  await requireFitServer(asking(pool))
  if (missing.length > 0) await requireMigrationRights(asking(pool), schemaOf(pool))
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
  if ((await missingMigrations(pool, project)).length === 0) {
    await requireNotBroken(asking(pool), schemaOf(pool), await migrationNames(OURS.directory))
    return []
  }
  if (await migrationUnderWay(pool)) throw new StoreUnavailableError('migrations are being applied')
  // Another process may have committed them between those two questions.
  const ours = await missingMigrations(pool)
  const missing = project === undefined ? ours : await missingMigrations(pool, project)
  if (ours.length === 0) {
    await requireNotBroken(asking(pool), schemaOf(pool), await migrationNames(OURS.directory))
    return missing
  }
  const elsewhere = await otherwiseInstalled(asking(pool), schemaOf(pool))
  if (elsewhere !== undefined) throw new StoreMisconfiguredError(elsewhere.what, { remedy: elsewhere.remedy })
  const which = `${ours.length === 1 ? 'the migration' : 'the migrations'} ${ours.join(', ')}`
  throw new StoreMisconfiguredError(`the database lacks ${which}`, { remedy: 'run: holdfast migrate up' })
}

/** The name of the newest of our own migrations that this version has. */
export async function newestMigration(): Promise<string> {
  const names = await migrationNames(OURS.directory)
  return names.at(-1) ?? ''
}

async function migrationNames(directory: string): Promise<string[]> {
  const files = await readdir(directory)
  return files
    .filter(file => file.endsWith('.sql'))
    .map(file => basename(file, '.sql'))
    .sort()
}

async function connected<R>(url: string, work: (client: pg.Client) => Promise<R>): Promise<R> {
  const options = {
    application_name: `holdfast-migrate/${VERSION}`,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  }
  try {
    return await onPrimary(url, options, work)
  } catch (error) {
    // The runner wraps errors of creating its own table, and reports migrations out of order as plain text.
    const known = toStoreError(error)
    throw known === error || error instanceof pg.DatabaseError ? known : refused(error, known)
  }
}

const RUNNER_TEXTS =
  /^(Error loading migration files|Unable to ensure migrations table|Not run migration|Definitions of migrations)/

function refused(error: unknown, known: Error): Error {
  if (!(error instanceof Error) || !RUNNER_TEXTS.test(error.message)) return known
  return new StoreMisconfiguredError(`the migrations cannot be run: ${error.message}`, { cause: error })
}
