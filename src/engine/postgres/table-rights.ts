import type pg from 'pg'
import type { Stream } from '../stream.ts'
import { query, schemaOf } from './pool.ts'
import { SHARED_TABLES } from './schema.ts'

export interface ServerFacts {
  /** As `18.4`. */
  readonly version: string
  readonly readOnly: boolean
  /** Schemas of our tables and of those of the streams. */
  readonly schemas: readonly string[]
  /** Those of them that this user may not use, whatever rights it has on their tables. */
  readonly barred: readonly string[]
  /** Tables that this user may not read, insert into, update and delete from, each with its schema: `holdfast.stream_progress`. */
  readonly forbidden: readonly string[]
}

/** @throws StoreUnavailableError, StoreMisconfiguredError */
export async function serverFacts(pool: pg.Pool, streams: readonly Pick<Stream, 'plan'>[]): Promise<ServerFacts> {
  const tables = [
    ...SHARED_TABLES.map(name => ({ schema: schemaOf(pool), name })),
    ...streams.flatMap(({ plan: { schema, root, children } }) =>
      [root, ...children].map(({ name }) => ({ schema, name })),
    ),
  ]
  const schemas = [...new Set(tables.map(({ schema }) => schema))]
  const [row] = await query<{ version: string; read_only: boolean; barred: string[]; forbidden: string[] }>(pool, {
    text: `SELECT current_setting('server_version') AS version,
        pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS read_only,
        coalesce((
          SELECT array_agg(nspname::text ORDER BY nspname) FROM pg_namespace
          WHERE nspname = ANY ($1) AND NOT has_schema_privilege(oid, 'USAGE')
        ), '{}') AS barred,
        coalesce((
          SELECT array_agg(wanted.schema || '.' || wanted.name ORDER BY wanted.nth)
          FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS wanted (schema, name, nth)
            JOIN pg_namespace AS n ON n.nspname = wanted.schema
            JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = wanted.name
          WHERE c.relkind IN ('r', 'p') AND NOT (has_schema_privilege(n.oid, 'USAGE')
            AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
            AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
        ), '{}') AS forbidden`,
    values: [schemas, tables.map(({ schema }) => schema), tables.map(({ name }) => name)],
  })
  return {
    version: row?.version ?? 'unknown',
    readOnly: row?.read_only ?? false,
    schemas,
    barred: row?.barred ?? [],
    forbidden: row?.forbidden ?? [],
  }
}
