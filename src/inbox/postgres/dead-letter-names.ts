import type pg from 'pg'
import { query } from '../../engine/postgres/pool.ts'
import type { DeadLetterStore, FieldValues } from '../ports.ts'

/** Which texts are ids, and which are keys. Two look-ups in an index for each. */
export const readNamed =
  (pool: pg.Pool, stream: string): DeadLetterStore['named'] =>
  async texts => {
    const rows = await query<{ text: string; is_id: boolean; is_key: boolean }>(pool, {
      text: `SELECT text,
          EXISTS (SELECT FROM holdfast.dead_letters AS d WHERE d.stream = $1 AND d.id = text COLLATE "C") AS is_id,
          EXISTS (SELECT FROM holdfast.dead_letters AS d WHERE d.stream = $1 AND d.key = text) AS is_key
        FROM unnest($2::text[]) AS given (text)`,
      values: [stream, texts],
    })
    const textsOf = (chosen: typeof rows) => new Set(chosen.map(({ text }) => text))
    return { ids: textsOf(rows.filter(row => row.is_id)), keys: textsOf(rows.filter(row => row.is_key)) }
  }

/** Most values of each field. What is rarer is not worth a proposal. */
const MOST_VALUES = 100
const COLUMNS: Readonly<Record<keyof FieldValues, string>> = {
  reason: 'reason',
  error: 'error',
  pointer: 'pointer',
  topic: 'source_topic',
  partition: 'source_partition::text',
}

/** What the letters of a stream have in the fields that hold no personal data, the most frequent first. */
export const readFieldValues =
  (pool: pg.Pool, stream: string): DeadLetterStore['fieldValues'] =>
  async () => {
    const fields = Object.entries(COLUMNS).map(
      ([field, column]) => `(SELECT '${field}' AS field, ${column} AS value, sum(count) AS count FROM counted
        GROUP BY ${column} ORDER BY count DESC, value LIMIT ${MOST_VALUES})`,
    )
    const rows = await query<{ field: keyof FieldValues; value: string }>(pool, {
      text: `WITH counted AS (
          SELECT d.reason, d.error, d.pointer, d.source_topic, d.source_partition, count(*) AS count
          FROM holdfast.dead_letters AS d WHERE d.stream = $1 GROUP BY 1, 2, 3, 4, 5
        )
        SELECT field, value FROM (${fields.join(' UNION ALL ')}) AS counted_values ORDER BY field, count DESC, value`,
      values: [stream],
    })
    const valuesOf = (field: keyof FieldValues) => rows.filter(row => row.field === field).map(({ value }) => value)
    return {
      reason: valuesOf('reason'),
      error: valuesOf('error'),
      pointer: valuesOf('pointer'),
      topic: valuesOf('topic'),
      partition: valuesOf('partition'),
    }
  }
