import type pg from 'pg'
import { pauseOf } from '../../engine/operator.ts'
import { liftPauses, type PauseRow, pauseByOperator, readPauses, toManualPause } from '../../engine/postgres/pauses.ts'
import { query } from '../../engine/postgres/pool.ts'
import type { StoredStream } from '../stream-ports.ts'
import { readFigures } from './figures.ts'

/** The window of the rate. A busy stream settles batches many times a second, a quiet one only occasionally. */
const RATE_SECONDS = 5
/** The newest batches of each partition, by the ledger's own key, so that its length does not matter. */
const RATE_BATCHES = 500
/** How far apart two readings of progress are that tell a rate. */
const READINGS_APART_MS = { least: 1_000, most: 2 * RATE_SECONDS * 1_000 }

/**
 * The ledger is read from its end: batches beyond the window, or too many of them, are left out. Of a row of several batches it is not known
 * when each was settled: they count as spread evenly.
 */
const RATE = `
  SELECT coalesce(sum(recent.records / recent.seconds), 0) AS rate
  FROM holdfast.stream_progress AS p CROSS JOIN LATERAL (
    SELECT sum(records * least(1, extract(epoch FROM settled_at - now() + make_interval(secs => $3))
        / nullif(extract(epoch FROM settled_at - since), 0))) AS records,
      CASE WHEN count(*) < $4 THEN $3::float8
        ELSE greatest(extract(epoch FROM now() - min(settled_at)), 0.001) END AS seconds
    FROM (
      SELECT records, since, settled_at FROM holdfast.stream_ledger AS l
      WHERE l.topic = p.topic AND l.partition = p.partition AND l.group_id = p.group_id ORDER BY id DESC LIMIT $4
    ) AS newest
    WHERE settled_at > now() - make_interval(secs => $3)
  ) AS recent
  WHERE p.topic = $1 AND p.group_id = $2`

/** Where the partitions stood at a moment. */
interface Reading {
  readonly atMs: number
  readonly next: ReadonlyMap<number, bigint>
}

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
  let readings: readonly Reading[] = []
  return {
    async partitions() {
      const [rows, found] = await Promise.all([progressRows(), query<PauseRow>(pool, readPauses(where))])
      const pauses = found.map(toManualPause)
      return rows.map(({ partition, next, paused_for, paused_because, updated_at }) => ({
        partition,
        next: BigInt(next),
        pausedFor: paused_for ?? undefined,
        pausedBecause: paused_because ?? undefined,
        manualPause: pauseOf(pauses, partition),
        lastProgressMs: updated_at.getTime(),
      }))
    },

    /** By how far progress has come since an earlier call, if there was one a moment ago; else by what the ledger says. */
    async rate() {
      const now = await read()
      const recent = readings.filter(({ atMs }) => now.atMs - atMs <= READINGS_APART_MS.most)
      readings = [...recent, now]
      const [earlier] = recent
      if (earlier !== undefined && now.atMs - earlier.atMs >= READINGS_APART_MS.least) return rateBetween(earlier, now)
      const [row] = await query<{ rate: number }>(pool, {
        name: 'stream_books_rate',
        text: RATE,
        values: [topic, groupId, RATE_SECONDS, RATE_BATCHES],
      })
      return Number(row?.rate ?? 0)
    },

    deadLetters: async () => (await readFigures(pool, stream)).deadLetters,

    pause: (partition, by) => pauseByOperator(pool, { ...where, ...only(partition) }, by),
    liftPauses: (partition, lift, by) => liftPauses(pool, { ...where, ...only(partition), lift }, by),
  }

  async function progressRows(): Promise<PartitionRow[]> {
    return await query<PartitionRow>(pool, {
      name: 'stream_books_partitions',
      text: `SELECT partition, next_offset AS next, paused_for, paused_because, updated_at FROM holdfast.stream_progress
        WHERE topic = $1 AND group_id = $2 ORDER BY partition`,
      values: [topic, groupId],
    })
  }

  async function read(): Promise<Reading> {
    const rows = await progressRows()
    return {
      atMs: performance.now(),
      next: new Map(rows.map(({ partition, next }) => [partition, BigInt(next)])),
    }
  }
}

/** A partition that was moved back settles nothing by that. */
function rateBetween(earlier: Reading, now: Reading): number {
  const settled = [...now.next].map(([partition, next]) => Number(next - (earlier.next.get(partition) ?? next)))
  const sum = settled.reduce((total, count) => total + Math.max(0, count), 0)
  return (sum * 1_000) / (now.atMs - earlier.atMs)
}

function only(partition: number | undefined) {
  return partition === undefined ? {} : { partition }
}
