import type pg from 'pg'
import type { Reason } from '../../engine/dead-letter.ts'
import { query } from '../../engine/postgres/pool.ts'
import { compareOrigins, originId } from '../../engine/record.ts'
import type { ValueQueries } from '../../engine/value-sql.ts'
import type { RecordOutcomes } from '../ports.ts'

/**
 * What became of single records, for those who published them.
 * @param groupId the group whose progress determines what is settled
 */
export function createRecordOutcomes(pool: pg.Pool, queries: ValueQueries, groupId: string): RecordOutcomes {
  return {
    async outcomeOf(key, at) {
      // Progress first: what is read after it is of a time at which this record was settled.
      const [settled] = await query(pool, {
        name: 'record_settled',
        text: `SELECT FROM holdfast.stream_progress WHERE topic = $1 AND partition = $2 AND group_id = $3 AND next_offset > $4`,
        values: [at.topic, at.partition, groupId, at.offset],
      })
      if (settled === undefined) return { kind: 'pending' }
      const [row] = await query<Record<string, unknown>>(pool, { ...queries.origin, values: [key] })
      const standing = row === undefined ? 'newer' : compareOrigins(at, queries.toOrigin(row))
      if (standing === 'same') return { kind: 'stored' }
      if (standing === 'older') return { kind: 'overtaken' }
      const [letter] = await query<{ reason: Reason; error: string }>(pool, {
        name: 'record_letter',
        text: 'SELECT reason, error FROM holdfast.dead_letters WHERE id = $1',
        values: [originId(at)],
      })
      // Neither written nor set aside: an operator has passed it over, and may read it again.
      return letter === undefined ? { kind: 'pending' } : { kind: 'dead_lettered', ...letter }
    },
  }
}
