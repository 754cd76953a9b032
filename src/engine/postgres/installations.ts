import { StoreMisconfiguredError } from '../errors.ts'
import { identifier } from './identifiers.ts'
import { type Ask, FORMER_SCHEMA, hasTable, homeOf } from './migration-home.ts'
import { MIGRATION_TABLES } from './schema.ts'

/** An installation of Holdfast in a schema of this database. */
export interface Installation {
  readonly schema: string
  /** Whether its streams have settled records; also where this user may not look. */
  readonly inUse: boolean
}

/**
 * The installations of this database, but for the one in `schema`; none where that one stands in `public` still, because it is about to be
 * moved. They are known by two of our tables, which the catalog shows to users without any right on them, too.
 */
export async function otherInstallations(ask: Ask, schema: string): Promise<Installation[]> {
  const rows = (await ask(
    `SELECT nspname::text AS schema,
        has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(progress.oid, 'SELECT') AS readable
      FROM pg_namespace AS n
        JOIN pg_class AS done ON done.relnamespace = n.oid AND done.relname = $3 AND done.relkind = 'r'
        JOIN pg_class AS progress ON progress.relnamespace = n.oid AND progress.relname = 'stream_progress' AND progress.relkind = 'r'
      WHERE nspname NOT IN ($1, $2) ORDER BY nspname`,
    [schema, FORMER_SCHEMA, MIGRATION_TABLES.ours],
  )) as { schema: string; readable: boolean }[]
  const found: Installation[] = []
  for (const { schema: other, readable } of rows) {
    found.push({ schema: other, inUse: !readable || (await hasProgress(ask, other)) })
  }
  return found
}

async function hasProgress(ask: Ask, schema: string): Promise<boolean> {
  // In quotes: a name of ours without them is put into the schema of the pool that asks (schema.ts).
  const quoted = `"${schema.replaceAll('"', '""')}"`
  const [row] = (await ask(`SELECT EXISTS (SELECT FROM ${quoted}.stream_progress) AS some`, [])) as { some: boolean }[]
  return row?.some === true
}

/** Whether our migrations have ever been applied for this schema. */
export async function isInstalled(ask: Ask, schema: string): Promise<boolean> {
  return await hasTable(ask, await homeOf(ask, schema), MIGRATION_TABLES.ours)
}

/**
 * A second installation would read the topics from their start, and produce all dead letters again; so where there is one in use, the name of
 * the schema is taken for a mistake. Whether it is one cannot be told from what runs: migrations are often run without the settings of the streams.
 * @throws StoreMisconfiguredError with the schema that is meant, and the way to a second installation
 */
export async function requireNoOther(ask: Ask, schema: string): Promise<void> {
  if (await isInstalled(ask, schema)) return
  const used = (await otherInstallations(ask, schema)).filter(({ inUse }) => inUse)
  if (used.length === 0) return
  throw new StoreMisconfiguredError(notInstalled(schema, used), {
    remedy: `${goOn(used)}. To make another installation beside it on purpose, whose streams write other tables: holdfast migrate up --new`,
  })
}

/** Where there is no installation in the schema, and one elsewhere: what is wrong, and what to do. */
export async function otherwiseInstalled(
  ask: Ask,
  schema: string,
): Promise<{ readonly what: string; readonly remedy: string } | undefined> {
  if (await isInstalled(ask, schema)) return undefined
  const others = await otherInstallations(ask, schema)
  if (others.length === 0) return undefined
  return {
    what: notInstalled(schema, others),
    remedy: `${goOn(others)}, or make a new installation: holdfast migrate up --new`,
  }
}

function notInstalled(schema: string, others: readonly Installation[]): string {
  const names = others.map(other => identifier(other.schema)).join(', ')
  const where = others.length === 1 ? `an installation in the schema ${names}` : `installations in the schemas ${names}`
  return `the schema ${identifier(schema)} (PG_SCHEMA) holds no installation of Holdfast, and this database has ${where}`
}

function goOn([first, ...more]: readonly Installation[]): string {
  return `set PG_SCHEMA=${first?.schema}${more.length > 0 ? ' (or another of them)' : ''} to go on with it`
}

/** Those of our migrations that make or change tables of the stream `orders`, which all installations of a database share. */
const OF_SHARED_TABLES: ReadonlySet<string> = new Set([
  '0001_order_tables',
  '0004_orders_by_customer',
  '0013_customer_index',
])

/**
 * @param names of migrations that are to be taken back
 * @throws StoreMisconfiguredError where that would take tables of a stream from another installation
 */
export async function requireNotShared(ask: Ask, schema: string, names: readonly string[]): Promise<void> {
  const shared = names.find(name => OF_SHARED_TABLES.has(name))
  if (shared === undefined) return
  const others = (await otherInstallations(ask, schema)).map(other => identifier(other.schema))
  if (others.length === 0) return
  throw new StoreMisconfiguredError(
    `no migration was taken back: ${shared} is about tables of the stream orders, which the installations in this database share (${others.join(', ')})`,
    {
      remedy: `to remove this installation alone, stop its processes and run: DROP SCHEMA ${identifier(schema)} CASCADE; --force takes the migrations back all the same`,
    },
  )
}
