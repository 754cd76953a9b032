import { identifier } from './identifiers.ts'

/** Where our own tables stand unless PG_SCHEMA says otherwise, and the schema that the SQL of this code names. */
export const DEFAULT_SCHEMA = 'holdfast'

/** Tables that all streams share; those of its values a stream names itself. */
export const SHARED_TABLES = [
  ...['stream_progress', 'stream_ledger', 'stream_pauses', 'stream_moves'],
  ...['proof_checkpoints', 'value_count_changes'],
  ...['audit_log', 'switches', 'consumer_starts', 'timeline_steps', 'causes', 'notices'],
  ...['dead_letters', 'dead_letter_events', 'dead_letters_purged', 'dead_letters_purged_counts'],
  ...['replays', 'replay_items', 'replay_items_purged'],
  ...['processes', 'breaking_migrations'],
]

/** Where it stands which of our migrations were applied, and which of the project's. */
export const MIGRATION_TABLES = { ours: 'pgmigrations', project: 'pgmigrations_project' } as const

const ALL_TABLES = [...SHARED_TABLES, ...Object.values(MIGRATION_TABLES)]
/** Our tables as SQL names them, and the channel of notifications.ts. */
const NAMES = new RegExp(String.raw`\b${DEFAULT_SCHEMA}(?:\.(?=(?:${ALL_TABLES.join('|')})\b)|(?=_written\b))`, 'g')

/** Texts that are kept. Nearly all are constants; those of filters are many, and cheap to make again. */
const KEPT_TEXTS = 2_000

/**
 * The SQL of this code names our tables with the default schema, so that each text is a constant, and can be run as it stands. Where they
 * stand elsewhere, the connections put that schema in ({@link createPool}): no text depends on the session's search_path, which does not
 * outlive a transaction behind a pooler. Values go as parameters and are never seen here; in a text only `holdfast.` before the name of one
 * of our tables is replaced, and `holdfast_written`.
 * @returns the same SQL for tables in this schema; the same text for the same text, so that prepared statements stay valid
 */
export function inSchema(schema: string): (sql: string) => string {
  if (schema === DEFAULT_SCHEMA) return sql => sql
  const known = new Map<string, string>()
  const replace = (found: string) => (found.endsWith('.') ? `${identifier(schema)}.` : schema)
  return sql => {
    const made = known.get(sql) ?? sql.replace(NAMES, replace)
    if (known.size >= KEPT_TEXTS) known.clear()
    known.set(sql, made)
    return made
  }
}
