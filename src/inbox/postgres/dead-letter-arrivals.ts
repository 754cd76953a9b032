import type pg from 'pg'
import { STARTS_WITH_BEFORE } from '../../engine/postgres/consumer-starts.ts'
import { query } from '../../engine/postgres/pool.ts'
import type { DeadLetterFilter } from '../filter.ts'
import { ARRIVAL_STEPS, type ConsumerStarts, type DeadLetterArrivals } from '../ports.ts'
import { filterSql } from './dead-letter-filter-sql.ts'

const STEP_SECONDS = 3_600

interface Counted {
  readonly reason: string
  readonly error: string
  readonly pointer: string
  readonly step: number
  readonly count: number
}

/** Steps count from 0; what is a little ahead of the day belongs to its last one. */
const stepOf = (instant: string) => `least($1 - 1, floor(extract(epoch FROM ${instant} - day.since) / $2)::int)`

/** First failures of the stream in the last day by cause and hour, by the clock of the database; and starts of consumers. */
export async function readArrivals(
  pool: pg.Pool,
  stream: string,
  filter: DeadLetterFilter,
): Promise<DeadLetterArrivals> {
  const { text, values } = filterSql(filter, { first: 4 })
  const [row] = await query<{
    since: Date
    counted: readonly Counted[] | null
    starts: readonly ConsumerStarts[] | null
  }>(pool, {
    text: `WITH day AS (SELECT date_trunc('hour', now(), 'UTC') - ($1 - 1) * $2 * interval '1 second' AS since),
        counted AS (
          SELECT d.reason, d.error, d.pointer, count(*) AS count, ${stepOf('d.first_failed_at')} AS step
          FROM holdfast.dead_letters AS d, day WHERE d.stream = $3 AND d.first_failed_at >= day.since AND ${text}
          GROUP BY d.reason, d.error, d.pointer, step
        ), started AS (${STARTS_WITH_BEFORE}), starts AS (
          SELECT ${stepOf('started_at')} AS step, version, count(*) AS count, max(started_at) AS at,
            bool_or(before IS DISTINCT FROM version) AS deployed
          FROM started, day WHERE started_at >= day.since GROUP BY step, version
        )
      SELECT day.since, (SELECT jsonb_agg(counted) FROM counted) AS counted,
        (SELECT jsonb_agg(starts ORDER BY at) FROM starts) AS starts
      FROM day`,
    values: [ARRIVAL_STEPS, STEP_SECONDS, stream, ...values],
  })
  if (row === undefined) throw new Error('a query without FROM has a row')
  const causes = Map.groupBy(row.counted ?? [], ({ reason, error, pointer }) =>
    JSON.stringify([reason, error, pointer]),
  )
  return {
    since: row.since.toISOString(),
    step_seconds: STEP_SECONDS,
    starts: (row.starts ?? []).map(({ at, ...start }) => ({ ...start, at: new Date(at).toISOString() })),
    groups: [...causes.values()].flatMap(([first, ...others]) => (first === undefined ? [] : [toGroup(first, others)])),
  }
}

function toGroup(first: Counted, others: readonly Counted[]): DeadLetterArrivals['groups'][number] {
  const { reason, error, pointer } = first
  const counts = new Array<number>(ARRIVAL_STEPS).fill(0)
  for (const { step, count } of [first, ...others]) counts[step] = count
  return { reason, error, pointer, counts }
}
