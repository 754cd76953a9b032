import { StoreMisconfiguredError } from '../errors.ts'
import { identifier } from './identifiers.ts'
import { type Ask, homeOf } from './migration-home.ts'
import { MIGRATION_TABLES, SHARED_TABLES } from './schema.ts'

interface Rights {
  readonly login: string
  readonly database: string
  readonly encoding: string
  /** Whether it is there. */
  readonly public: boolean
  readonly public_writable: boolean
  readonly own: boolean
  readonly own_writable: boolean
  readonly may_make: boolean
}

/** The oldest major version that the tests run against: see docs/requirements.md. */
export const OLDEST_POSTGRES = 14

/**
 * An older server would fail in the middle of the work, at the first statement that it does not know. A database of another encoding
 * takes some of the text and refuses the rest, or keeps bytes without knowing what they mean.
 * @throws StoreMisconfiguredError unless the server is of a version that the tests run against, or a later one, and the database is UTF8
 */
export async function requireFitServer(ask: Ask): Promise<void> {
  const [row] = (await ask(
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int / 10000 AS major,
        current_database() AS database, current_setting('server_encoding') AS encoding`,
    [],
  )) as (Pick<Rights, 'database' | 'encoding'> & { version: string; major: number })[]
  if (row === undefined) return
  if (row.major < OLDEST_POSTGRES) {
    throw new StoreMisconfiguredError(
      `the server is PostgreSQL ${row.version}, which is too old: it must be ${OLDEST_POSTGRES} or later`,
      { remedy: 'upgrade it (pg_upgrade keeps the data), or name another server in DATABASE_URL' },
    )
  }
  if (row.encoding === 'UTF8') return
  throw new StoreMisconfiguredError(
    `the database ${identifier(row.database)} has the encoding ${row.encoding}, which cannot hold every value: it must be UTF8`,
    {
      remedy: `make another one, as with: CREATE DATABASE holdfast_utf8 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0, and name it in DATABASE_URL`,
    },
  )
}

/**
 * What keeps this user from applying migrations, found before the first of them is tried: the library that runs them reports it
 * with a stack trace.
 * @throws StoreMisconfiguredError with the statement that gives the right
 */
export async function requireMigrationRights(ask: Ask, schema: string): Promise<void> {
  const writable = (name: string) => `coalesce(has_schema_privilege(to_regnamespace(${name}), 'CREATE')
          AND has_schema_privilege(to_regnamespace(${name}), 'USAGE'), false)`
  const [rights] = (await ask(
    `SELECT current_user AS login, current_database() AS database,
        to_regnamespace('public') IS NOT NULL AS public, ${writable("'public'")} AS public_writable,
        to_regnamespace(quote_ident($1)) IS NOT NULL AS own, ${writable('quote_ident($1)')} AS own_writable,
        has_database_privilege(current_database(), 'CREATE') AS may_make`,
    [schema],
  )) as Rights[]
  if (rights === undefined) return
  const user = identifier(rights.login)
  if (!rights.own && !rights.may_make) {
    throw new StoreMisconfiguredError(
      `the user ${user} may not create the schema ${schema} (PG_SCHEMA) in the database ${identifier(rights.database)}`,
      { remedy: `let the owner of the database run: CREATE SCHEMA ${identifier(schema)} AUTHORIZATION ${user}` },
    )
  }
  if (!rights.public) {
    throw new StoreMisconfiguredError(`the database ${identifier(rights.database)} has no schema public`, {
      remedy: `let the owner of the database run: CREATE SCHEMA public AUTHORIZATION ${user}`,
    })
  }
  for (const [name, isWritable] of [
    [schema, rights.own_writable || !rights.own],
    ['public', rights.public_writable],
  ] as const) {
    if (isWritable) continue
    const note = name === 'public' ? ' (since PostgreSQL 15 only its owner may)' : ''
    throw new StoreMisconfiguredError(`the user ${user} may not create tables in the schema ${name}${note}`, {
      remedy: `let the owner of the database run: GRANT USAGE, CREATE ON SCHEMA ${identifier(name)} TO ${user}`,
    })
  }
  // A table can only be altered by its owner; no GRANT replaces that.
  const [foreign] = (await ask(
    `SELECT pg_get_userbyid(relowner) AS owner, array_agg(relname::text ORDER BY relname) AS tables
      FROM pg_class
      WHERE relnamespace = to_regnamespace(quote_ident($1)) AND relkind IN ('r', 'p') AND relname = ANY ($2)
        AND NOT pg_has_role(relowner, 'USAGE')
      GROUP BY relowner LIMIT 1`,
    [await homeOf(ask, schema), [...SHARED_TABLES, ...Object.values(MIGRATION_TABLES)]],
  )) as { owner: string; tables: string[] }[]
  if (foreign === undefined) return
  const owner = identifier(foreign.owner)
  throw new StoreMisconfiguredError(
    `the tables ${foreign.tables.join(', ')} belong to the user ${owner}, and ${user} may not alter them`,
    { remedy: `run the migrations as ${owner}, or let it be shared: GRANT ${owner} TO ${user}` },
  )
}
