import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runner } from 'node-pg-migrate'

const MIGRATIONS = fileURLToPath(new URL('../../migrations', import.meta.url))
/** Our migrations, the oldest first. */
export const ALL_MIGRATIONS = readdirSync(MIGRATIONS).map(file => file.replace(/\.sql$/, ''))
/** How many of them a version knew whose tables were in public. */
export const BEFORE_OWN_SCHEMA = ALL_MIGRATIONS.indexOf('0022_own_schema')

/** A database as a version before migration 0022 has left it: everything in public. */
export async function anInstallationInPublic(url: string, count = BEFORE_OWN_SCHEMA): Promise<void> {
  const log = { info() {}, warn() {}, error() {} }
  await runner({
    ...{ databaseUrl: url, dir: MIGRATIONS, migrationsTable: 'pgmigrations', schema: 'public', direction: 'up', count },
    ...{ singleTransaction: true, logger: log },
  })
}
