import type pg from 'pg'
import { STARTS_WITH_BEFORE } from '../../engine/postgres/consumer-starts.ts'
import { query } from '../../engine/postgres/pool.ts'
import type { TimelineWindow } from '../../engine/watch/timeline.ts'
import type { ActionMark, StartMark } from '../stream-ports.ts'

/** Starts of consumers, of whatever stream, the latest first. @throws StoreUnavailableError */
export async function readStarts(
  pool: pg.Pool,
  { from, to, stepSeconds }: TimelineWindow,
  limit: number,
): Promise<StartMark[]> {
  return await query<StartMark & pg.QueryResultRow>(pool, {
    name: 'timeline_starts',
    text: `WITH started AS (${STARTS_WITH_BEFORE})
      SELECT max(started_at) AS at, version, count(*)::int AS count, bool_or(before IS DISTINCT FROM version) AS deployed
      FROM started WHERE started_at >= $1::timestamptz AND started_at < $2
      GROUP BY date_bin($3::int * interval '1 second', started_at, $1::timestamptz), version ORDER BY at DESC LIMIT $4`,
    values: [from, to, stepSeconds, limit],
  })
}

/** What operators did to the stream, the latest first. Looking at a dead letter in full changes nothing, and is left out. */
export async function readActions(
  pool: pg.Pool,
  stream: string,
  { from, to }: TimelineWindow,
  limit: number,
): Promise<ActionMark[]> {
  return await query<ActionMark & pg.QueryResultRow>(pool, {
    name: 'timeline_actions',
    text: `SELECT at, who, what, filter, because FROM holdfast.audit_log
      WHERE stream = $1 AND at >= $2 AND at < $3 AND what <> 'reveal' ORDER BY at DESC LIMIT $4`,
    values: [stream, from, to, limit],
  })
}
