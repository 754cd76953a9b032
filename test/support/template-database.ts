import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { migrate } from '#src/engine/postgres/migrate.ts'

/** A database with all migrations, which new databases are copied from. Dropped at the end. */
export interface TemplateDatabase extends AsyncDisposable {
  readonly name: string
}

/** @param server the url of a database on the server, whose user may create others */
export async function createTemplate(server: string): Promise<TemplateDatabase> {
  const name = `test_template_${randomBytes(4).toString('hex')}`
  await run(server, `CREATE DATABASE ${name}`)
  await migrate(databaseOn(server, name), 'up')
  // Postgres refuses to copy a database while somebody is connected to it, as a worker of autovacuum may be.
  await run(server, `ALTER DATABASE ${name} ALLOW_CONNECTIONS false`)
  return { name, [Symbol.asyncDispose]: () => run(server, `DROP DATABASE ${name}`) }
}

/** @returns the url of another database on the same server, for the same user */
export function databaseOn(server: string, name: string): string {
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}

async function run(server: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
