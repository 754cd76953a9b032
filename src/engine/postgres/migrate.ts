import { PG_MIGRATE_LOCK_ID, runner } from 'node-pg-migrate'
import pg from 'pg'
import { VERSION } from '../../version.ts'
import { dispositionOf, StoreMisconfiguredError } from '../errors.ts'
import type { Operator } from '../operator.ts'
import { audit } from './audit.ts'
import { toStoreError } from './errors.ts'
import { onPrimary } from './hosts.ts'
import { requireNoOther, requireNotShared } from './installations.ts'
import { type Ask, hasTable, homeOf, leaveNoViews, makeSchema } from './migration-home.ts'
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
} from './migration-rules.ts'
import {
  appliedIn,
  type MigrationSet,
  type MigrationStatus,
  migrationNames,
  OURS,
  setsOf,
  statusOf,
} from './migration-status.ts'
import { requireFitServer, requireMigrationRights } from './obstacles.ts'
import { findPooling } from './pooling.ts'
import { type RunningProcess, runningProcesses } from './processes.ts'
import { DEFAULT_SCHEMA, inSchema } from './schema.ts'

const CONNECT_TIMEOUT_MS = 5_000

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

function askingOn(client: pg.Client): Ask {
  return async (text, values) => (await client.query(text, [...values])).rows
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
