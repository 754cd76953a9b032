import type pg from 'pg'
import { STEP_MS, type TimelineSeries, type TimelineWindow } from '../watch/timeline.ts'
import type { TimelineStore } from '../watch/timeline-keeper.ts'
import { query } from './pool.ts'

interface Level {
  readonly seconds: number
  readonly keptMs: number
  /** Seconds of the longer step into which it is added up; `undefined`: it is removed. */
  readonly into: number | undefined
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** Each is kept a little longer than the console shows it, so that a view is of one kind of step. */
export const LEVELS: readonly Level[] = [
  { seconds: STEP_MS / 1_000, keptMs: HOUR_MS + 5 * MINUTE_MS, into: 60 },
  { seconds: 60, keptMs: DAY_MS + 10 * MINUTE_MS, into: 600 },
  { seconds: 600, keptMs: 7 * DAY_MS + 30 * MINUTE_MS, into: undefined },
]

/** The `process` of a step that was added up. */
const SEVERAL = '00000000-0000-0000-0000-000000000000'

/** @param process a UUID: what processes of a group write about the same step is added up when it is read */
export function createTimelineStore(pool: pg.Pool, process: string): TimelineStore {
  return {
    async write(steps) {
      const rows = steps.map(
        ({ atMs, lagRecords = null, lagSeconds = null, stream, settled, deadLettered, stops }) => ({
          ...{ stream, at: new Date(atMs), settled, dead_lettered: deadLettered },
          ...{ lag_records: lagRecords, lag_seconds: lagSeconds, stops },
        }),
      )
      await query(pool, {
        name: 'timeline_write',
        text: WRITE,
        values: [process, STEP_MS / 1_000, JSON.stringify(rows)],
      })
    },

    async rollUp(nowMs) {
      for (const level of LEVELS) await query(pool, rollUpOf(level, nowMs))
    },
  }
}

/** @param maxStops the longest are returned. @throws StoreUnavailableError */
export async function readTimeline(
  pool: pg.Pool,
  stream: string,
  { from, to, stepSeconds }: TimelineWindow,
  maxStops: number,
): Promise<TimelineSeries> {
  const [figures, stops] = await Promise.all([
    query<FigureRow>(pool, { name: 'timeline_figures', text: FIGURES, values: [stream, from, to, stepSeconds] }),
    query<StopRow>(pool, { name: 'timeline_stops', text: STOPS, values: [stream, from, to, maxStops] }),
  ])
  return {
    steps: figures.map(({ step, rate, dead_lettered, lag_records, lag_seconds }) => ({
      ...{ step, rate, deadLettered: dead_lettered },
      ...{ lagRecords: lag_records ?? undefined, lagSeconds: lag_seconds ?? undefined },
    })),
    stops: stops.map(({ partitions, ...stop }) => ({ ...stop, partitions: partitions ?? [] })),
  }
}

interface FigureRow {
  readonly step: number
  readonly rate: number
  readonly dead_lettered: number
  readonly lag_records: number | null
  readonly lag_seconds: number | null
}

interface StopRow {
  readonly kind: string
  readonly name: string
  readonly partitions: number[] | null
  readonly from: Date
  readonly to: Date
}

const WRITE = `
  INSERT INTO holdfast.timeline_steps (stream, at, step_seconds, process, settled, dead_lettered, lag_records, lag_seconds, stops)
  SELECT stream, at, $2::int, $1::uuid, settled, dead_lettered, lag_records, lag_seconds, stops
  FROM jsonb_to_recordset($3::jsonb) AS step (stream text, at timestamptz, settled bigint, dead_lettered bigint,
    lag_records bigint, lag_seconds float8, stops text[])
  ON CONFLICT (stream, at, step_seconds, process) DO UPDATE SET settled = excluded.settled,
    dead_lettered = excluded.dead_lettered, lag_records = excluded.lag_records, lag_seconds = excluded.lag_seconds,
    stops = excluded.stops`

/** Adds up what the processes of a group report, which have different partitions. */
const MOMENTS = `
  SELECT stream, at, step_seconds, sum(settled) AS settled, sum(dead_lettered) AS dead_lettered,
    sum(lag_records) AS lag_records, max(lag_seconds) AS lag_seconds`

const FIGURES = `
  WITH moments AS (
    ${MOMENTS} FROM holdfast.timeline_steps WHERE stream = $1 AND at >= $2 AND at < $3 GROUP BY stream, at, step_seconds
  )
  SELECT floor(extract(epoch FROM at - $2::timestamptz) / $4::int)::int AS step, (sum(settled) / sum(step_seconds))::float8 AS rate,
    sum(dead_lettered)::float8 AS dead_lettered, max(lag_records)::float8 AS lag_records, max(lag_seconds) AS lag_seconds
  FROM moments GROUP BY step ORDER BY step`

/** Steps that follow on one another are one stop; partitions that stood still together are one as well. */
const STOPS = `
  WITH stood AS (
    SELECT stop, unnest(range_agg(tstzrange(at, at + make_interval(secs => step_seconds)))) AS during
    FROM holdfast.timeline_steps, unnest(stops) AS stop WHERE stream = $1 AND at >= $2 AND at < $3 GROUP BY stop
  ), parted AS (
    SELECT split_part(stop, '/', 1) AS kind, split_part(stop, '/', 2) AS name,
      nullif(split_part(stop, '/', 3), '')::int AS partition, during FROM stood
  )
  SELECT kind, name, array_agg(partition ORDER BY partition) FILTER (WHERE partition IS NOT NULL) AS partitions,
    lower(during) AS "from", upper(during) AS "to"
  FROM parted GROUP BY kind, name, during ORDER BY upper(during) - lower(during) DESC, lower(during) LIMIT $4`

/**
 * Only steps that are complete as parts of the longer one are moved. Of several processes that do it at the same moment, one does.
 * A step that was written late is added to what is there.
 */
function rollUpOf({ seconds, keptMs, into }: Level, nowMs: number): pg.QueryConfig {
  const longer = into ?? seconds
  const before = new Date(Math.floor((nowMs - keptMs) / (longer * 1_000)) * longer * 1_000)
  const old = `DELETE FROM holdfast.timeline_steps WHERE step_seconds = $1 AND at < $2
    AND (SELECT pg_try_advisory_xact_lock(hashtextextended('holdfast timeline', 0)))`
  if (into === undefined) return { name: 'timeline_remove', text: old, values: [seconds, before] }
  return {
    name: 'timeline_roll_up',
    text: `WITH old AS (${old} RETURNING *), moments AS (
        ${MOMENTS}, ${longerOf('at')} AS longer FROM old GROUP BY stream, at, step_seconds
      ), stood AS (
        SELECT stream, ${longerOf('at')} AS longer, array_agg(DISTINCT stop) AS stops
        FROM old, unnest(stops) AS stop GROUP BY stream, longer
      )
      INSERT INTO holdfast.timeline_steps AS kept
        (stream, at, step_seconds, process, settled, dead_lettered, lag_records, lag_seconds, stops)
      SELECT stream, longer, $3::int, '${SEVERAL}', sum(settled), sum(dead_lettered), max(lag_records), max(lag_seconds),
        coalesce((SELECT stops FROM stood WHERE stood.stream = moments.stream AND stood.longer = moments.longer), '{}')
      FROM moments GROUP BY stream, longer
      ON CONFLICT (stream, at, step_seconds, process) DO UPDATE SET settled = kept.settled + excluded.settled,
        dead_lettered = kept.dead_lettered + excluded.dead_lettered,
        lag_records = greatest(kept.lag_records, excluded.lag_records),
        lag_seconds = greatest(kept.lag_seconds, excluded.lag_seconds),
        stops = ARRAY(SELECT DISTINCT stop FROM unnest(kept.stops || excluded.stops) AS stop ORDER BY stop)`,
    values: [seconds, before, into],
  }
}

function longerOf(at: string): string {
  return `date_bin($3::int * interval '1 second', ${at}, 'epoch')`
}
