import type pg from 'pg'
import type { StartCounts } from '../settlement.ts'
import { query } from './pool.ts'

/** Starts and suspects on the partition's progress row; each advance of progress clears them (ledger.ts). */
export function createStartCounts(pool: pg.Pool): StartCounts {
  return {
    async noteStart(groupId, { topic, partition }) {
      const [row] = await query<{ starts: number; suspect_offset: string | null; suspect_deaths: number }>(pool, {
        // Not only at progress itself: a transaction's marker may stand between it and the record.
        text: `UPDATE holdfast.stream_progress SET starts = starts + 1
          WHERE topic = $1 AND partition = $2 AND group_id = $3
          RETURNING starts, CASE WHEN suspect_offset >= next_offset THEN suspect_offset END AS suspect_offset, suspect_deaths`,
        values: [topic, partition, groupId],
      })
      const suspect = row?.suspect_offset ?? undefined
      return {
        starts: row?.starts ?? 0,
        suspect: suspect === undefined ? undefined : BigInt(suspect),
        deaths: suspect === undefined ? 0 : (row?.suspect_deaths ?? 0),
      }
    },
    async noteSuspect(groupId, { topic, partition }, offset, starts) {
      await query(pool, {
        text: `UPDATE holdfast.stream_progress SET starts = greatest(starts, $5), suspect_offset = $4,
            suspect_deaths = CASE WHEN suspect_offset = $4 THEN suspect_deaths + 1 ELSE 1 END
          WHERE topic = $1 AND partition = $2 AND group_id = $3`,
        values: [topic, partition, groupId, offset, starts],
      })
    },
    async clearSuspect(groupId, { topic, partition }, { start }) {
      await query(pool, {
        text: `UPDATE holdfast.stream_progress SET suspect_offset = NULL, suspect_deaths = 0, starts = greatest(starts - $4, 0)
          WHERE topic = $1 AND partition = $2 AND group_id = $3`,
        values: [topic, partition, groupId, start ? 1 : 0],
      })
    },
  }
}
