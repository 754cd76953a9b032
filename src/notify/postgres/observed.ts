import type pg from 'pg'
import { grouped } from '../../engine/grouped.ts'
import { query } from '../../engine/postgres/pool.ts'
import { ATTENTION, type AttentionState, type CauseKey } from '../../inbox/causes.ts'
import { membersWhere, sqlList } from '../../inbox/letter-states.ts'
import { filterOfCause } from '../../inbox/postgres/causes.ts'
import { consolePath, factsOf, type Notice, type NoticeKind } from '../notice.ts'

/** Events of a stream that are read from the database. */

/** An event older than this is not reported: it happened before the setting was made, or while the service was stopped. */
const NEWS = { cause: `interval '1 day'`, redrive: `interval '1 hour'` } as const
/** Records of a redrive to the topic are settled after it has ended; those that are not by then are not waited for. */
const SETTLES_WITHIN = `interval '5 minutes'`

const CAUSES = `SELECT id, state, reason, error, pointer, version, noted_at AS at FROM holdfast.causes
  WHERE stream = $1 AND state IN (${sqlList(ATTENTION)}) AND noted_at > now() - ${NEWS.cause} AND since > now() - ${NEWS.cause}`

const STORMS = `SELECT topic, partition, paused_because AS because, paused_at AS at FROM holdfast.stream_progress
  WHERE stream = $1 AND paused_for = 'storm_guard' AND paused_at IS NOT NULL`

/**
 * What an operator paused or cancelled is no news to operators. When it paused itself is noted nowhere: each worker that it had (`epoch`) did
 * so once at most.
 */
const REDRIVES = `SELECT r.id, r.state, r.automatic, r.epoch, coalesce(r.error, r.paused_because ->> 'message') AS because,
    r.total::float8 AS total, m.resolved, m.failed, m.skipped,
    CASE r.state WHEN 'paused' THEN coalesce(r.started_at, r.created_at) ELSE r.finished_at END AS at
  FROM holdfast.replays AS r CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state = 'resolved')::float8 AS resolved,
      count(*) FILTER (WHERE state IN ('failed_again', 'parked'))::float8 AS failed,
      count(*) FILTER (WHERE state = 'skipped')::float8 AS skipped,
      count(*) FILTER (WHERE state IN (${sqlList(membersWhere('inHand'))})) AS unsettled
    FROM holdfast.replay_items WHERE replay_id = r.id
  ) AS m
  WHERE r.stream = $1 AND (
    r.state IN ('done', 'failed') AND r.finished_at > now() - ${NEWS.redrive}
      AND (m.unsettled = 0 OR r.finished_at < now() - ${SETTLES_WITHIN})
    OR r.state = 'paused' AND r.paused_because IS NOT NULL)`

interface CauseRow extends CauseKey {
  readonly id: string
  readonly state: AttentionState
  readonly version: string | null
  readonly at: Date
}

interface StormRow {
  readonly topic: string
  readonly partition: number
  readonly because: string | null
  readonly at: Date
}

interface RedriveRow {
  readonly id: string
  readonly state: 'done' | 'failed' | 'paused'
  readonly automatic: boolean
  readonly epoch: number
  readonly because: string | null
  readonly total: number
  readonly resolved: number
  readonly failed: number
  readonly skipped: number
  readonly at: Date
}

/** @throws StoreUnavailableError */
export async function observedNotices(pool: pg.Pool, stream: string): Promise<Notice[]> {
  const values = [stream]
  const causes = await query<CauseRow>(pool, { name: 'notices_causes', text: CAUSES, values })
  const storms = await query<StormRow>(pool, { name: 'notices_storms', text: STORMS, values })
  const redrives = await query<RedriveRow>(pool, { name: 'notices_redrives', text: REDRIVES, values })
  return [
    ...causes.map(row => causeNotice(stream, row)),
    ...storms.map(row => stormNotice(stream, row)),
    ...redrives.filter(isNews).map(row => redriveNotice(stream, row)),
  ]
}

const CAUSE_WORDS: Readonly<Record<CauseRow['state'], readonly [NoticeKind, string]>> = {
  new: ['cause_new', 'Dead letters with a new cause'],
  regressed: ['cause_regressed', 'A cause of dead letters came back after all of it was resolved'],
  due: ['cause_due', 'The snooze of a cause of dead letters is over'],
}

function causeNotice(stream: string, cause: CauseRow): Notice {
  const [kind, words] = CAUSE_WORDS[cause.state]
  const { id, reason, error, pointer, version, at } = cause
  return {
    ...{ kind, stream, subject: `cause ${id}`, since: at, title: `${words} in the stream ${stream}` },
    facts: factsOf({ cause: id, reason, error, pointer, version }),
    path: consolePath(stream, { q: `state:open,parked ${filterOfCause(cause)}` }),
  }
}

function stormNotice(stream: string, { topic, partition, because, at }: StormRow): Notice {
  return {
    ...{ kind: 'storm_guard', stream, subject: `partition ${topic} ${partition} storm_guard`, since: at },
    title: `The storm guard paused partition ${partition} of ${topic}, which waits for an operator`,
    facts: factsOf({ because }),
    path: consolePath(stream),
  }
}

/** Automatic ones come each minute: of those only failures are news. */
function isNews({ automatic, state, failed }: RedriveRow): boolean {
  return !automatic || state !== 'done' || failed > 0
}

function redriveNotice(stream: string, row: RedriveRow): Notice {
  const { id, state, automatic, epoch, because, total, resolved, failed, skipped, at } = row
  const what = automatic ? 'An automatic redrive' : 'A redrive'
  return {
    ...{ kind: state === 'paused' ? 'redrive_paused' : 'redrive_ended', stream, since: at },
    subject: automatic
      ? `redrives ${stream} automatic`
      : `redrive ${id} ${state === 'paused' ? `paused ${epoch}` : 'ended'}`,
    title: `${what} of the stream ${stream} ${endOf(row)}`,
    facts: factsOf({ redrive: id, total, resolved, failed_again: failed, skipped, because }),
    path: consolePath(stream, { replay: id }),
  }
}

function endOf({ state, failed, total }: RedriveRow): string {
  if (state === 'paused') return 'paused by itself and waits for an operator'
  if (state === 'failed') return 'failed'
  return failed === 0 ? 'is done' : `is done: ${grouped(failed)} of ${grouped(total)} failed again`
}
