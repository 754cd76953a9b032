import { identifier } from './identifiers.ts'
import { MIGRATION_TABLES } from './schema.ts'

/** Runs one statement. @returns its rows */
export type Ask = (text: string, values: readonly unknown[]) => Promise<readonly unknown[]>

/** Where all of our tables stood before migration 0022, and where those of a stream stand. */
export const FORMER_SCHEMA = 'public'

const FIRST_MIGRATION = '0001_order_tables'

/**
 * Where an installation notes its migrations, and has its own tables: in its schema, or still in `public`. One in `public` is known by
 * the name of our first migration in the table that our runner makes there: other programs use the same runner, and have its table too. What
 * an installation that has moved leaves there for the version before (migration 0022) is known by its comment.
 * @returns `schema` as well where nothing is installed
 */
export async function homeOf(ask: Ask, schema: string): Promise<string> {
  if (await hasTable(ask, schema, MIGRATION_TABLES.ours)) return schema
  const [former] = (await ask(
    `SELECT EXISTS (
        SELECT FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'name'
        WHERE c.relnamespace = to_regnamespace($1) AND c.relname = $2 AND c.relkind = 'r' AND has_table_privilege(c.oid, 'SELECT')
          AND coalesce(obj_description(c.oid, 'pg_class'), '') NOT LIKE 'Holdfast: %'
      ) AS readable`,
    [FORMER_SCHEMA, MIGRATION_TABLES.ours],
  )) as { readable: boolean }[]
  if (former?.readable !== true) return schema
  const ours = await ask(`SELECT FROM ${FORMER_SCHEMA}.${MIGRATION_TABLES.ours} WHERE name::text = $1`, [
    FIRST_MIGRATION,
  ])
  return ours.length > 0 ? FORMER_SCHEMA : schema
}

export async function hasTable(ask: Ask, schema: string, table: string): Promise<boolean> {
  return await hasRelation(ask, schema, table, 'r')
}

/** CREATE SCHEMA IF NOT EXISTS fails without the right to create one, also where it exists. */
export async function makeSchema(ask: Ask, schema: string): Promise<void> {
  const [found] = (await ask('SELECT to_regnamespace(quote_ident($1)) IS NULL AS missing', [schema])) as {
    missing: boolean
  }[]
  if (found?.missing === true) await ask(`CREATE SCHEMA ${identifier(schema)}`, [])
}

/**
 * Migration 0022, taken back, moves the table of migrations while the runner is about to delete from it, and leaves a view in its old place
 * for that. Removes it.
 */
export async function leaveNoViews(ask: Ask, schema: string): Promise<void> {
  if (!(await hasRelation(ask, schema, MIGRATION_TABLES.ours, 'v'))) return
  await ask(`DROP VIEW ${identifier(schema)}.${MIGRATION_TABLES.ours}`, [])
}

async function hasRelation(ask: Ask, schema: string, name: string, kind: 'r' | 'v'): Promise<boolean> {
  const [found] = (await ask(
    `SELECT EXISTS (
        SELECT FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident($1)) AND relname = $2 AND relkind = $3::"char"
      ) AS there`,
    [schema, name, kind],
  )) as { there: boolean }[]
  return found?.there === true
}
