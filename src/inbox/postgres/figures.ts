import type pg from 'pg'
import type { Figures } from '../../engine/figures.ts'
import { query } from '../../engine/postgres/pool.ts'
import { ATTENTION } from '../causes.ts'
import { membersWhere, redrivesWhere, sqlList, WAITING } from '../letter-states.ts'

/** A cause that has no row yet is new. */
const DEAD_LETTERS = `
  WITH waiting AS (
    SELECT state, reason, error, pointer, count(*) AS count, min(failed_at) AS oldest
    FROM holdfast.dead_letters WHERE stream = $1 AND state IN (${sqlList(WAITING)}) GROUP BY state, reason, error, pointer
  ), attention AS (
    SELECT coalesce(c.state, 'new') AS state, count(*) AS causes
    FROM (SELECT DISTINCT reason, error, pointer FROM waiting) AS w
      LEFT JOIN holdfast.causes AS c ON c.stream = $1 AND (c.reason, c.error, c.pointer) = (w.reason, w.error, w.pointer)
    WHERE coalesce(c.state, 'new') IN (${sqlList(ATTENTION)}) GROUP BY coalesce(c.state, 'new')
  )
  SELECT state, reason, sum(count)::float8 AS count, extract(epoch FROM min(oldest))::float8 * 1000 AS oldest_ms,
    (SELECT jsonb_object_agg(state, causes) FROM attention) AS attention
  FROM waiting GROUP BY state, reason`

/** The states are those of the index `replays_one_at_a_time`: a stream has one such redrive at most. */
const REDRIVE = `
  SELECT (SELECT count(*) FROM holdfast.replay_items AS item
          WHERE item.replay_id = replays.id AND item.state IN (${sqlList(membersWhere('left'))}))::float8 AS pending
  FROM holdfast.replays WHERE stream = $1 AND state IN (${sqlList(redrivesWhere(state => state.underWay))})`

interface Group {
  readonly state: 'open' | 'parked'
  readonly reason: string
  readonly count: number
  readonly oldest_ms: number
  /** The same in each row. */
  readonly attention: Readonly<Record<string, number>> | null
}

/** Counts of a stream. It reads all its dead letters: 100,000 take some 50 ms. @throws StoreUnavailableError, StoreMisconfiguredError */
export async function readFigures(pool: pg.Pool, stream: string): Promise<Figures> {
  const groups = await query<Group>(pool, { name: 'figures_dead_letters', text: DEAD_LETTERS, values: [stream] })
  const redrives = await query<{ pending: number }>(pool, { name: 'figures_redrive', text: REDRIVE, values: [stream] })
  const open = groups.filter(group => group.state === 'open')
  const oldest = Math.min(...open.map(group => group.oldest_ms))
  return {
    deadLetters: {
      open: new Map(open.map(({ reason, count }) => [reason, count])),
      parked: groups.reduce((sum, { state, count }) => (state === 'parked' ? sum + count : sum), 0),
      oldestFailedAtMs: open.length === 0 ? undefined : oldest,
      attention: new Map(Object.entries(groups[0]?.attention ?? {})),
    },
    redrive: { inProgress: redrives.length > 0, pending: redrives[0]?.pending ?? 0 },
  }
}
