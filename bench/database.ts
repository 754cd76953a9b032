/** A database for each contender and round. */
import pg from 'pg'
import { migrate } from '#src/engine/postgres/migrate.ts'
import type { EmbeddedPostgres } from '#tools/demo/servers/postgres.ts'

export interface BenchDatabase extends AsyncDisposable {
  readonly url: string
}

export interface DatabaseOptions {
  /** Whether it stays when it is disposed of. */
  readonly keep: boolean
  /** Makes its tables. Default: the migrations of the service. */
  readonly prepare?: (url: string) => Promise<void>
}

/** Creates a database with empty tables and runs a checkpoint, so that no contender pays for dirty pages of the one before. */
export async function freshDatabase(
  server: EmbeddedPostgres,
  name: string,
  { keep, prepare = migrated }: DatabaseOptions,
): Promise<BenchDatabase> {
  const url = await server.createDatabase(name)
  await prepare(url)
  await ask(url, 'CHECKPOINT')
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      if (!keep) await ask(server.url, `DROP DATABASE ${pg.escapeIdentifier(name)} WITH (FORCE)`)
    },
  }
}

/** The tables as the service needs them. */
export async function migrated(url: string): Promise<void> {
  await migrate(url, 'up')
}

/** @returns the rows of one statement, on a connection of its own. */
export async function ask<R extends pg.QueryResultRow>(
  url: string,
  text: string,
  values: unknown[] = [],
): Promise<R[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<R>(text, values)).rows
  } finally {
    await client.end()
  }
}
