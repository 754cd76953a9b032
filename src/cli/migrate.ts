import { UsageError } from '../engine/errors.ts'
import { type MigrationOptions, migrate, migrationStatus, whoRuns } from '../engine/postgres/migrate.ts'
import { type InTheWay, namesOf } from '../engine/postgres/migration-rules.ts'
import { type MigrationStatus, projectMigrations } from '../engine/postgres/migration-status.ts'
import { type Config, loadConfig } from '../settings/config.ts'
import { CommandFailed } from './failure.ts'
import { type ActingOptions, actingOperator } from './operator-name.ts'
import { note, print } from './output.ts'

interface Options extends ActingOptions {
  readonly json?: boolean
  readonly force?: boolean
}

interface UpOptions extends Options {
  readonly new?: boolean
}

export async function up({ json, new: beside = false, ...acting }: UpOptions): Promise<void> {
  const { url, config, options } = database()
  const names = await migrate(url, 'up', { ...options, ...forced(config, acting), beside })
  if (json) return print(JSON.stringify({ applied: names }))
  for (const name of names) print(`applied ${name}`)
  if (names.length === 0) note('nothing to do: up to date')
}

interface DownOptions extends Options {
  readonly count: number
  readonly project?: boolean
}

export async function down({ json, count, project = false, ...acting }: DownOptions): Promise<void> {
  const { url, config, options } = database()
  if (project && options.project === undefined) {
    throw new UsageError('--project: there is no folder migrations/ of a project in the working directory')
  }
  const which = project ? options : { ...options, project: undefined }
  const names = await migrate(url, 'down', { ...which, count, ...forced(config, acting) })
  if (json) return print(JSON.stringify({ taken_back: names }))
  for (const name of names) print(`taken back ${name}`)
  if (names.length === 0) note('nothing to take back')
}

/** Absent: what runs is not failed on purpose. */
function forced(
  config: Config,
  { force, ...acting }: Omit<Options, 'json'>,
): Pick<MigrationOptions, 'force' | 'onForced'> {
  if (!force) return {}
  return {
    force: actingOperator(config, acting),
    onForced: inTheWay => note(`--force: these will fail: ${namesOf(inTheWay).join('; ')}`),
  }
}

export async function status({ json }: Options): Promise<void> {
  const { url, options } = database()
  const rows = await migrationStatus(url, options)
  const { running, inTheWay } = await whoRuns(url, options)
  for (const row of rows) print(json ? JSON.stringify(statusJson(row, inTheWay)) : statusLine(row))
  for (const { what } of running) note(`runs: ${what}`)
  for (const one of inTheWay) {
    note(`${one.migration} is not applied while these run (${one.because}): ${namesOf([one]).join('; ')}`)
  }
  if (rows.some(({ appliedAt }) => appliedAt === undefined)) {
    throw new CommandFailed('migrations are missing; run: holdfast migrate up')
  }
}

function statusJson({ name, appliedAt, known }: MigrationStatus, inTheWay: readonly InTheWay[]): object {
  const blockedBy = namesOf(inTheWay.filter(({ migration }) => migration === name))
  return { name, applied_at: appliedAt?.toISOString() ?? null, known, blocked_by: blockedBy }
}

function statusLine({ name, appliedAt, known }: MigrationStatus): string {
  const applied = appliedAt === undefined ? 'missing' : `applied ${appliedAt.toISOString()}`
  return `${name}  ${applied}${known ? '' : ' by a newer version'}`
}

/** With the schema of our tables, and the migrations of the project in the working directory. */
function database(): {
  readonly url: string
  readonly config: Config
  readonly options: { readonly schema: string; readonly project: string | undefined }
} {
  const config = loadConfig(process.env)
  const { direct, schema } = config.postgres
  return { url: direct.url, config, options: { schema, project: projectMigrations(process.cwd()) } }
}
