import type pg from 'pg'
import { query } from './pool.ts'

export interface ServerFacts {
  /** As `18.4`. */
  readonly version: string
  readonly readOnly: boolean
  /** Tables of ours that this user may not read, insert into, update and delete from. */
  readonly forbidden: readonly string[]
}

/** Tables that all streams share; those of its values a stream names itself. */
export const SHARED_TABLES = [
  ...['stream_progress', 'stream_ledger', 'stream_pauses', 'stream_moves'],
  ...['proof_checkpoints', 'value_count_changes'],
  ...['audit_log', 'switches', 'consumer_starts', 'timeline_steps'],
  ...['dead_letters', 'dead_letter_events', 'dead_letters_purged', 'dead_letters_purged_counts'],
  ...['replays', 'replay_items', 'replay_items_purged'],
]

/**
 * @param tables those of the streams
 * @throws StoreUnavailableError, StoreMisconfiguredError
 */
export async function serverFacts(pool: pg.Pool, tables: readonly string[]): Promise<ServerFacts> {
  const rows = await query<{ version: string; read_only: boolean; forbidden: string[] }>(pool, {
    text: `SELECT current_setting('server_version') AS version,
        pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS read_only,
        coalesce((
          SELECT array_agg(c.relname::text ORDER BY c.relname) FROM unnest($1::text[]) AS ours (name)
            JOIN pg_class AS c ON c.oid = to_regclass(quote_ident(ours.name))
          WHERE c.relkind IN ('r', 'p')
            AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
              AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
        ), '{}') AS forbidden`,
    values: [[...SHARED_TABLES, ...tables]],
  })
  const [row] = rows
  return {
    version: row?.version ?? 'unknown',
    readOnly: row?.read_only ?? false,
    forbidden: row?.forbidden ?? [],
  }
}
