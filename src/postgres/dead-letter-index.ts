import type pg from 'pg'
import { SETTLED, sqlList } from '../core/letter-states.ts'
import type { DeadLetterHint, DeadLetterIndex } from '../inbox/ports.ts'
import { query } from './pool.ts'

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
