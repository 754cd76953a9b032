import { type MigrationStatus, migrate, migrationStatus, projectMigrations } from '../engine/postgres/migrate.ts'
import { loadConfig } from '../settings/config.ts'
import { CommandFailed } from './failure.ts'
import { note, print } from './output.ts'

interface Options {
  readonly json?: boolean
}

export async function up({ json }: Options): Promise<void> {
  const { url, options } = database()
  const names = await migrate(url, 'up', options)
  if (json) return print(JSON.stringify({ applied: names }))
  for (const name of names) print(`applied ${name}`)
  if (names.length === 0) note('nothing to do: up to date')
}

export async function down({ json, count }: Options & { readonly count: number }): Promise<void> {
  const { url, options } = database()
  const names = await migrate(url, 'down', { ...options, count })
  if (json) return print(JSON.stringify({ taken_back: names }))
  for (const name of names) print(`taken back ${name}`)
  if (names.length === 0) note('nothing to take back')
}

export async function status({ json }: Options): Promise<void> {
  const { url, options } = database()
  const rows = await migrationStatus(url, options)
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

/** With the schema of our tables, and the migrations of the project in the working directory. */
function database(): {
  readonly url: string
  readonly options: { readonly schema: string; readonly project: string | undefined }
} {
  const { direct, schema } = loadConfig(process.env).postgres
  return { url: direct.url, options: { schema, project: projectMigrations(process.cwd()) } }
}
