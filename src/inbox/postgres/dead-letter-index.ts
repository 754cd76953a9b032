import type pg from 'pg'
import type { DeadLetterHint, DeadLetterIndex } from '../../engine/dead-letter-hint.ts'
import { query } from '../../engine/postgres/pool.ts'
import { SETTLED, sqlList } from '../letter-states.ts'

/** Looks into the index of a stream for a value that is not stored. */
export function createDeadLetterIndex(pool: pg.Pool, stream: string): DeadLetterIndex {
  return {
    async ofKey(key) {
      const rows = await query<DeadLetterHint>(pool, {
        text: `SELECT id, reason, error, pointer FROM dead_letters
          WHERE key = $1 AND stream = $2 AND state NOT IN (${sqlList(SETTLED)}) ORDER BY failed_at DESC, id DESC LIMIT 1`,
        values: [key, stream],
      })
      return rows[0]
    },
  }
}
