import type pg from 'pg'
import { liftPauses } from '../../engine/postgres/operator.ts'
import { query } from '../../engine/postgres/pool.ts'
import type { StoredStream } from '../stream-ports.ts'
import { readFigures } from './figures.ts'

/** The window of the rate. A busy stream settles batches many times a second, a quiet one only occasionally. */
const RATE_SECONDS = 5
/** The newest batches of each partition, by the ledger's own key, so that its length does not matter. */
const RATE_BATCHES = 500

/** The ledger is read from its end: batches beyond the window, or too many of them, are left out. */
const RATE = `
  SELECT coalesce(sum(recent.records / recent.seconds), 0) AS rate
  FROM stream_progress AS p CROSS JOIN LATERAL (
    SELECT sum(records) AS records,
      CASE WHEN count(*) < $4 THEN $3::float8
        ELSE greatest(extract(epoch FROM now() - min(settled_at)), 0.001) END AS seconds
    FROM (
      SELECT records, settled_at FROM stream_ledger AS l
      WHERE l.topic = p.topic AND l.partition = p.partition AND l.group_id = p.group_id
      ORDER BY from_offset DESC, id DESC LIMIT $4
    ) AS newest
    WHERE settled_at > now() - make_interval(secs => $3)
  ) AS recent
  WHERE p.topic = $1 AND p.group_id = $2`

interface PartitionRow extends pg.QueryResultRow {
  readonly partition: number
  readonly next: string
  readonly paused_for: string | null
  readonly paused_because: string | null
  readonly updated_at: Date
}

export function createStoredStream(
  pool: pg.Pool,
  where: { readonly stream: string; readonly topic: string; readonly groupId: string },
): StoredStream {
  const { stream, topic, groupId } = where
  return {
    async partitions() {
      const rows = await query<PartitionRow>(pool, {
        name: 'stream_books_partitions',
        text: `SELECT partition, next_offset AS next, paused_for, paused_because, updated_at FROM stream_progress
          WHERE topic = $1 AND group_id = $2 ORDER BY partition`,
        values: [topic, groupId],
      })
      return rows.map(({ partition, next, paused_for, paused_because, updated_at }) => ({
        partition,
        next: BigInt(next),
        pausedFor: paused_for ?? undefined,
        pausedBecause: paused_because ?? undefined,
        lastProgressMs: updated_at.getTime(),
      }))
    },

    async rate() {
      const [row] = await query<{ rate: number }>(pool, {
        name: 'stream_books_rate',
        text: RATE,
        values: [topic, groupId, RATE_SECONDS, RATE_BATCHES],
      })
      return Number(row?.rate ?? 0)
    },

    deadLetters: async () => (await readFigures(pool, stream)).deadLetters,

    async liftPauses(partition, by) {
      const lifted = await liftPauses(pool, { ...where, ...(partition === undefined ? {} : { partition }) }, by)
      return lifted.map(({ partition, pausedFor, deadLettersInARow }) => ({
        partition,
        paused_for: pausedFor,
        dead_letters_in_a_row: deadLettersInARow,
      }))
    },
  }
}
