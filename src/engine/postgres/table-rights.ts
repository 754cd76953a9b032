import type pg from 'pg'
import { query, schemaOf } from './pool.ts'
import { SHARED_TABLES } from './schema.ts'

export interface ServerFacts {
  /** As `18.4`. */
  readonly version: string
  readonly readOnly: boolean
  /** Tables of ours that this user may not read, insert into, update and delete from. */
  readonly forbidden: readonly string[]
}

/**
 * @param tables those of the streams
 * @throws StoreUnavailableError, StoreMisconfiguredError
 */
export async function serverFacts(pool: pg.Pool, tables: readonly string[]): Promise<ServerFacts> {
  const rows = await query<{ version: string; read_only: boolean; forbidden: string[] }>(pool, {
    text: `SELECT current_setting('server_version') AS version,
        pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS read_only,
        coalesce((
          SELECT array_agg(c.relname::text ORDER BY c.relname) FROM pg_class AS c
          WHERE c.oid IN (
              SELECT oid FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident($1)) AND relname = ANY ($2)
              UNION ALL SELECT to_regclass(quote_ident(name)) FROM unnest($3::text[]) AS name
            ) AND c.relkind IN ('r', 'p')
            AND NOT (has_schema_privilege(c.relnamespace, 'USAGE')
              AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
              AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
        ), '{}') AS forbidden`,
    values: [schemaOf(pool), SHARED_TABLES, tables],
  })
  const [row] = rows
  return {
    version: row?.version ?? 'unknown',
    readOnly: row?.read_only ?? false,
    forbidden: row?.forbidden ?? [],
  }
}
