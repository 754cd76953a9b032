/** Tables of the engine, of the inbox and of the libraries that keep theirs beside them: no stream may have one of these names. */
export const ENGINE_TABLES: ReadonlySet<string> = new Set([
  ...['stream_progress', 'stream_ledger', 'stream_pauses', 'stream_moves'],
  ...['proof_checkpoints', 'value_count_changes'],
  ...['audit_log', 'switches', 'consumer_starts', 'timeline_steps'],
  ...['dead_letters', 'dead_letter_events', 'dead_letters_purged', 'dead_letters_purged_counts'],
  ...['replays', 'replay_items', 'replay_items_purged', 'pgmigrations', 'pgmigrations_project'],
])

/** Parts of the statements that write a value (`postgres/tables.ts`): a table of such a name would be taken for the part. */
export const STATEMENT_NAMES: ReadonlySet<string> = new Set(['excluded', 'kept', 'written'])
