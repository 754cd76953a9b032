import { existsSync, realpathSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PG_MIGRATE_LOCK_ID } from 'node-pg-migrate'
import type pg from 'pg'
import { StoreMisconfiguredError, StoreUnavailableError } from '../errors.ts'
import { identifier } from './identifiers.ts'
import { otherwiseInstalled } from './installations.ts'
import { type Ask, FORMER_SCHEMA, hasTable, homeOf } from './migration-home.ts'
import { requireNotBroken } from './migration-rules.ts'
import { requireFitServer, requireMigrationRights } from './obstacles.ts'
import { query, schemaOf } from './pool.ts'
import { MIGRATION_TABLES } from './schema.ts'

/** Migrations of one origin. */
export interface MigrationSet {
  readonly directory: string
  /** The table that holds the names of those that were applied. */
  readonly table: string
  /** Stands before their names, so that those of a project are not taken for ours. */
  readonly prefix: string
  /** Where what they name stands: ours in our schema, and, until migration 0022 moves it, in `public`. */
  readonly searchPath: (schema: string) => string[]
}

export const OURS: MigrationSet = {
  directory: fileURLToPath(new URL('../../../migrations', import.meta.url)),
  table: MIGRATION_TABLES.ours,
  prefix: '',
  searchPath: schema => [schema, FORMER_SCHEMA],
}
/** The folder of a project with migrations of its own streams; also what their names begin with. */
const PROJECT_FOLDER = 'migrations'

export interface MigrationStatus {
  /** Those of a project begin with the name of their folder: `migrations/0001_returns`. */
  readonly name: string
  /** `undefined` while it is missing. */
  readonly appliedAt: Date | undefined
  /** False for one that a newer version has applied: there is no file for it. */
  readonly known: boolean
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

export function setsOf(project: string | undefined, directory = OURS.directory): MigrationSet[] {
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

export async function statusOf(ask: Ask, sets: readonly MigrationSet[], schema: string): Promise<MigrationStatus[]> {
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
export async function appliedIn(ask: Ask, home: string, table: string): Promise<{ name: string; run_on: Date }[]> {
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

export async function migrationNames(directory: string): Promise<string[]> {
  const files = await readdir(directory)
  return files
    .filter(file => file.endsWith('.sql'))
    .map(file => basename(file, '.sql'))
    .sort()
}
