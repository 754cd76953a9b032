import type pg from 'pg'

/** A row of `dead_letters`, as text and numbers; instants in any form that Postgres reads. */
export interface LetterFields {
  readonly id: string
  readonly stream: string
  readonly reason: string
  readonly error: string
  readonly pointer: string
  readonly message: string
  readonly violations: readonly object[]
  readonly key: string | null
  readonly group_id: string
  readonly source_topic: string
  readonly source_partition: number
  readonly source_offset: number
  readonly source_timestamp: number
  readonly first_failed_at: string
  readonly failed_at: string
  readonly failures: number
  readonly attempts: number
  readonly replay_count: number
  readonly state: string
  readonly bytes: number
  readonly dlq_partition: number | null
  readonly dlq_offset: number | null
  readonly written_by: string
  readonly state_changed_at: string
  readonly replay_id: string | null
}

/** By default the letters have consecutive offsets on partition 0 of `orders`, and failed a second apart. */
export function letterRows(letters: readonly Partial<LetterFields>[]): LetterFields[] {
  return letters.map((letter, index): LetterFields => {
    const { source_topic = 'orders', source_partition = 0, source_offset = index } = letter
    const failed_at = letter.failed_at ?? new Date(1_750_000_000_000 + index * 1_000).toISOString()
    return {
      id: `${source_topic}-${source_partition}-${source_offset}`,
      stream: 'orders',
      reason: 'schema_violation',
      error: 'required',
      pointer: '/payment/amount',
      message: 'is missing',
      violations: [],
      key: null,
      group_id: 'holdfast',
      source_topic,
      source_partition,
      source_offset,
      source_timestamp: 1_700_000_000_000,
      first_failed_at: failed_at,
      failed_at,
      failures: 1,
      attempts: 1,
      replay_count: 0,
      state: 'open',
      bytes: 100,
      dlq_partition: source_partition,
      dlq_offset: source_offset,
      written_by: 'holdfast',
      state_changed_at: failed_at,
      replay_id: null,
      ...letter,
    }
  })
}

/** Puts {@link letterRows} into the index, as they would be long after their settlement. @returns them */
export async function insertLetters(pool: pg.Pool, letters: readonly Partial<LetterFields>[]): Promise<LetterFields[]> {
  const rows = letterRows(letters)
  await pool.query(
    'INSERT INTO holdfast.dead_letters SELECT * FROM jsonb_populate_recordset(NULL::holdfast.dead_letters, $1::jsonb)',
    [JSON.stringify(rows)],
  )
  return rows
}
