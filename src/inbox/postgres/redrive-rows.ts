import { membersWhere, REDRIVES, redrivesWhere, sqlList } from '../letter-states.ts'
import { verdictOf } from '../redrive-guard.ts'
import type { Redrive } from '../redrive-ports.ts'
import { REDRIVE_LEASE_MS } from '../redrive-work.ts'
import { stateBefore } from './dead-letter-rows.ts'

type Times = 'created_at' | 'started_at' | 'finished_at'

/** In the column `topic` of a redrive into the store: the name of no topic, so that a version before it does not take such a one. */
export const INTO_STORE = ''

/** A row of `replays` with what is counted of its members: a redrive whose times are not text yet. */
export interface RedriveRow extends Omit<Redrive, Times | 'verdict'> {
  readonly created_at: Date
  readonly started_at: Date | null
  readonly finished_at: Date | null
}

/** What it has left in such a state is not pending any more. */
const OVER = sqlList(redrivesWhere(({ final }) => final))
const LEASE = `interval '${REDRIVE_LEASE_MS} milliseconds'`

export const SELECT_REDRIVES = `
  SELECT r.id, r.state, r.filter, r."to", r.requested_by, r.because, r.automatic, r.only_passing, r.edited, r.rate,
    r.canary::float8 AS canary, r.max_failures::float8 AS max_failures, r.yield_above, r.paused_because,
    CASE WHEN r.state = 'running' THEN r.waiting_for END AS waiting_for,
    r.total::float8 AS total, items.*, r.created_at, r.started_at, r.finished_at, r.error
  FROM holdfast.replays AS r CROSS JOIN LATERAL (
    SELECT
      coalesce(sum(count) FILTER (WHERE state IN (${sqlList(membersWhere('left'))}) AND r.state NOT IN (${OVER})), 0)::float8
        AS pending,
      coalesce(sum(count) FILTER (WHERE state IN (${sqlList(membersWhere('published'))})), 0)::float8 AS published,
      coalesce(sum(count) FILTER (WHERE state = 'resolved'), 0)::float8 AS resolved,
      coalesce(sum(count) FILTER (WHERE state = 'failed_again'), 0)::float8 AS failed_again,
      coalesce(sum(count) FILTER (WHERE state = 'parked'), 0)::float8 AS parked,
      coalesce(sum(count) FILTER (WHERE state = 'skipped'), 0)::float8 AS skipped,
      coalesce(sum(count) FILTER
        (WHERE state = 'cancelled' OR (state IN (${sqlList(membersWhere('left'))}) AND r.state IN (${OVER}))), 0)::float8
        AS released,
      coalesce(jsonb_object_agg(why, count) FILTER (WHERE why IS NOT NULL), '{}') AS skipped_because
    FROM (
      SELECT state, CASE state WHEN 'skipped' THEN outcome END AS why, count(*) AS count
      FROM holdfast.replay_items WHERE replay_id = r.id GROUP BY state, why
      UNION ALL SELECT state, NULL, count FROM holdfast.replay_items_purged WHERE replay_id = r.id
    ) AS members
  ) AS items`

export function toRedrive({ created_at, started_at, finished_at, ...row }: RedriveRow): Redrive {
  return {
    ...row,
    verdict: verdictOf({ ...row, isOver: REDRIVES[row.state].final }),
    created_at: created_at.toISOString(),
    started_at: started_at?.toISOString() ?? null,
    finished_at: finished_at?.toISOString() ?? null,
  }
}

/**
 * Its worker was heard of, of late. On the clock of the database, which is the same for all; should that be set back, what was
 * heard in its future says nothing.
 */
export const IS_ALIVE = `coalesce(heartbeat_at BETWEEN clock_timestamp() - ${LEASE} AND clock_timestamp() + ${LEASE}, false)`

/**
 * The letters of the page in hand wait as before. Members whose turn has not come stay as they are, however many there are: of a
 * redrive that is over, no worker takes them up. `$1` is its id. As a part of a WITH; `guard` is a condition under which it is
 * done.
 */
export function letGo(guard: string): string {
  return `let_go AS (
      UPDATE holdfast.replay_items SET state = 'cancelled'
      WHERE replay_id = $1 AND state = 'claimed' AND ${guard} RETURNING dead_letter_id
    ), reopened AS (
      UPDATE holdfast.dead_letters AS d SET state = ${stateBefore('replayed')}, state_changed_at = clock_timestamp()
      WHERE state = 'replaying' AND replay_id = $1 AND id IN (SELECT dead_letter_id FROM let_go)
    )`
}
