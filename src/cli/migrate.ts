import { type MigrationStatus, migrate, migrationStatus, projectMigrations } from '../engine/postgres/migrate.ts'
import { loadConfig } from '../settings/config.ts'
import { CommandFailed } from './failure.ts'
import { note, print } from './output.ts'

interface Options {
  readonly json?: boolean
}

export async function up({ json }: Options): Promise<void> {
  const names = await migrate(databaseUrl(), 'up', { project: project() })
  if (json) return print(JSON.stringify({ applied: names }))
  for (const name of names) print(`applied ${name}`)
  if (names.length === 0) note('nothing to do: up to date')
}

export async function down({ json, count }: Options & { readonly count: number }): Promise<void> {
  const names = await migrate(databaseUrl(), 'down', { count, project: project() })
  if (json) return print(JSON.stringify({ taken_back: names }))
  for (const name of names) print(`taken back ${name}`)
  if (names.length === 0) note('nothing to take back')
}

export async function status({ json }: Options): Promise<void> {
  const rows = await migrationStatus(databaseUrl(), project())
  for (const row of rows) print(json ? JSON.stringify(statusJson(row)) : statusLine(row))
  if (rows.some(({ appliedAt }) => appliedAt === undefined)) {
    throw new CommandFailed('migrations are missing; run: holdfast migrate up')
  }
}

function statusJson({ name, appliedAt, known }: MigrationStatus): object {
  return { name, applied_at: appliedAt?.toISOString() ?? null, known }
}

function statusLine({ name, appliedAt, known }: MigrationStatus): string {
  const applied = appliedAt === undefined ? 'missing' : `applied ${appliedAt.toISOString()}`
  return `${name}  ${applied}${known ? '' : ' by a newer version'}`
}

function databaseUrl(): string {
  return loadConfig(process.env).postgres.direct.url
}

/** The migrations of the project in the working directory. */
function project(): string | undefined {
  return projectMigrations(process.cwd())
}
