import type pg from 'pg'
import type { DeadLetterHint, DeadLetterIndex, LetterOfKey } from '../../engine/dead-letter-hint.ts'
import { query } from '../../engine/postgres/pool.ts'
import { SETTLED, sqlList } from '../letter-states.ts'

/** Looks into the index of a stream for a value that is not stored. */
export function createDeadLetterIndex(pool: pg.Pool, stream: string): DeadLetterIndex {
  return {
    async ofKey(key) {
      const rows = await query<DeadLetterHint>(pool, {
        text: `SELECT id, reason, error, pointer FROM holdfast.dead_letters
          WHERE key = $1 AND stream = $2 AND state NOT IN (${sqlList(SETTLED)}) ORDER BY failed_at DESC, id DESC LIMIT 1`,
        values: [key, stream],
      })
      return rows[0]
    },

    async allOfKey(key) {
      return await query<LetterOfKey>(pool, {
        text: `SELECT id, reason, error, pointer, state, ${rfc3339('failed_at')} AS failed_at, (
            SELECT coalesce(jsonb_agg(jsonb_build_object('at', ${rfc3339('e.at')}, 'what', e.what, 'who', e.who,
              'redrive', e.detail->>'replay_id') ORDER BY e.id), '[]')
            FROM (SELECT * FROM holdfast.dead_letter_events AS latest WHERE latest.dead_letter_id = d.id
              ORDER BY latest.id DESC LIMIT 20) AS e
          ) AS events
          FROM holdfast.dead_letters AS d WHERE key = $1 AND stream = $2 ORDER BY d.failed_at DESC, d.id DESC LIMIT 20`,
        values: [key, stream],
      })
    },
  }
}

function rfc3339(column: string): string {
  return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
}
