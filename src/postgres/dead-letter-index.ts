import type pg from 'pg'
import type { DeadLetterHint, DeadLetterIndex } from '../inbox/ports.ts'
import { query } from './pool.ts'

/** Looks into the index for an order that is not there. */
export function createDeadLetterIndex(pool: pg.Pool): DeadLetterIndex {
  return {
    async ofOrder(key) {
      const rows = await query<DeadLetterHint>(pool, {
        text: `SELECT id, reason, error, pointer FROM dead_letters
          WHERE order_uid = $1 AND state NOT IN ('resolved', 'discarded') ORDER BY failed_at DESC, id DESC LIMIT 1`,
        values: [key],
      })
      return rows[0]
    },
  }
}
