import type pg from 'pg'
import type { OutcomeCounts } from '../outcome.ts'
import type { TopicPartition } from '../record.ts'
import type { LastRead, Pause, StormTally } from '../settlement.ts'

/** `[from, to)` of a partition, as one group consumed it. */
export interface LedgerRange extends TopicPartition {
  readonly groupId: string
  readonly from: bigint
  readonly to: bigint
}

export interface LedgerCounts extends OutcomeCounts {
  readonly records: number
  readonly gaps: bigint
  readonly expired: bigint
  /** Keys that were new, of those `written`. Default: 0. */
  readonly inserted?: number
  /** By an operator; negative: moved back. Default: 0. */
  readonly skipped?: bigint
}

/**
 * The fence: progress goes from `from` to `to`, and only from there. No row updated means that another consumer has moved
 * it. It also locks the row, so that two consumers of a partition settle one after the other, however it came to two.
 * With `storm` it is a batch, which no consumer may settle while the partition waits for an operator. Without it the pause, and
 * what the storm guard has counted, stay as they are.
 */
export function advance(range: LedgerRange & Partial<Aftermath>): pg.QueryConfig {
  const { topic, partition, groupId, from, to, storm, pause, lastRead } = range
  const guarded = `, dead_letters_in_a_row = $6, refused_in_a_row = $7, recent_outcomes = $8,
        paused_for = $9, paused_because = $10, paused_at = CASE WHEN $9::text IS NOT NULL THEN now() END,
        last_offset = COALESCE($11, last_offset), last_leader_epoch = COALESCE($12, last_leader_epoch)`
  return {
    name: storm === undefined ? 'progress_move' : 'progress_advance',
    text: `UPDATE stream_progress SET next_offset = $5, updated_at = now(), starts = 0, suspect_offset = NULL,
        suspect_deaths = 0${storm === undefined ? '' : guarded}
      WHERE topic = $1 AND partition = $2 AND group_id = $3 AND next_offset = $4${storm === undefined ? '' : ' AND paused_for IS NULL'}`,
    values: [
      ...[topic, partition, groupId, from, to],
      ...(storm === undefined ? [] : [storm.deadLettersInARow, storm.refusedInARow, storm.recent]),
      ...(storm === undefined ? [] : [pause?.reason ?? null, pause?.because ?? null]),
      ...(storm === undefined ? [] : [lastRead?.offset ?? null, lastRead?.leaderEpoch ?? null]),
    ],
  }
}

/** Assignments of an UPDATE: no pause, and nothing counted. */
export const WITHOUT_PAUSE = `paused_for = NULL, paused_because = NULL, paused_at = NULL,
  dead_letters_in_a_row = 0, refused_in_a_row = 0, recent_outcomes = ''`

/** What a batch leaves behind on its partition's progress row. */
export interface Aftermath {
  readonly storm: StormTally
  readonly pause: Pause
  readonly lastRead: LastRead | undefined
}

/** The ledger's row of a range, in the name of the stream that it belongs to. */
export function enter(
  stream: string,
  { topic, partition, groupId, from, to }: LedgerRange,
  counts: LedgerCounts,
): pg.QueryConfig {
  const {
    records,
    written,
    duplicate,
    stale,
    superseded,
    dead_lettered,
    gaps,
    expired,
    skipped = 0n,
    inserted = 0,
  } = counts
  return {
    name: 'ledger_enter',
    text: `INSERT INTO stream_ledger (topic, partition, group_id, from_offset, to_offset,
        records, written, duplicate, stale, superseded, dead_lettered, gaps, expired, skipped, inserted, stream)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
    values: [
      ...[topic, partition, groupId, from, to],
      ...[records, written, duplicate, stale, superseded, dead_lettered, gaps, expired, skipped, inserted, stream],
    ],
  }
}

/** Progress as it stands (no row: never consumed), and the ledger row of exactly this range, when there is one. */
export function lookUp({ topic, partition, groupId, from, to }: LedgerRange): pg.QueryConfig {
  return {
    name: 'ledger_look_up',
    text: `SELECT progress.next_offset, ledger.written, ledger.duplicate, ledger.stale, ledger.superseded,
        ledger.dead_lettered
      FROM stream_progress AS progress
      LEFT JOIN stream_ledger AS ledger ON ledger.topic = progress.topic AND ledger.partition = progress.partition
        AND ledger.group_id = progress.group_id AND ledger.from_offset = $4 AND ledger.to_offset = $5
      WHERE progress.topic = $1 AND progress.partition = $2 AND progress.group_id = $3`,
    values: [topic, partition, groupId, from, to],
  }
}

/** `int8` arrives as text. `written` is null when the ledger does not have the range. */
export interface LookedUp extends pg.QueryResultRow {
  readonly next_offset: string
  readonly written: string | null
  readonly duplicate: string
  readonly stale: string
  readonly superseded: string
  readonly dead_lettered: string
}
