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
    text: `UPDATE holdfast.stream_progress SET next_offset = $5, updated_at = now(), starts = 0, suspect_offset = NULL,
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
export function enter(stream: string, range: LedgerRange, counts: LedgerCounts): pg.QueryConfig {
  return {
    name: 'ledger_enter',
    text: `${INSERT} VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
    values: rowValues(stream, range, counts),
  }
}

const INSERT = `INSERT INTO holdfast.stream_ledger (topic, partition, group_id, from_offset, to_offset,
    records, written, duplicate, stale, superseded, dead_lettered, gaps, inserted, stream, expired, skipped)`

function rowValues(stream: string, range: LedgerRange, counts: LedgerCounts): unknown[] {
  const { topic, partition, groupId, from, to } = range
  const { records, written, duplicate, stale, superseded, dead_lettered, gaps } = counts
  const { inserted = 0, expired, skipped = 0n } = counts
  return [
    ...[topic, partition, groupId, from, to],
    ...[records, written, duplicate, stale, superseded, dead_lettered, gaps, inserted, stream, expired, skipped],
  ]
}

/** The partition's latest row, which is the one that its last batch is in. */
const LATEST = 'topic = $1 AND partition = $2 AND group_id = $3 ORDER BY id DESC LIMIT 1'

/**
 * Enters a batch into the latest row of its partition, if that ends where the batch begins and is younger than an hour; else into a row of its
 * own. So a record every second makes 24 rows a day instead of 86,400. Behind the fence, which keeps any other from extending it as well.
 * What did not add up before does not add up afterwards, and `expired` and `skipped` rows are never extended.
 */
export function extend(stream: string, range: LedgerRange, counts: LedgerCounts): pg.QueryConfig {
  return {
    name: 'ledger_extend',
    text: `WITH latest AS (SELECT id FROM holdfast.stream_ledger WHERE ${LATEST}), extended AS (
        UPDATE holdfast.stream_ledger AS l SET to_offset = $5, records = l.records + $6, written = l.written + $7,
          duplicate = l.duplicate + $8, stale = l.stale + $9, superseded = l.superseded + $10,
          dead_lettered = l.dead_lettered + $11, gaps = l.gaps + $12, inserted = l.inserted + $13,
          settled_at = now(), since = coalesce(l.since, l.settled_at), last_batch = ARRAY[$4, $7, $8, $9, $10, $11]
        FROM latest WHERE l.topic = $1 AND l.partition = $2 AND l.group_id = $3 AND l.id = latest.id
          AND l.to_offset = $4 AND l.stream = $14 AND l.expired = 0 AND l.skipped = 0 AND l.inserted IS NOT NULL
          AND now() - coalesce(l.since, l.settled_at) BETWEEN interval '0' AND interval '1 hour'
        RETURNING 1
      )
      ${INSERT} SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, 0
      WHERE NOT EXISTS (SELECT FROM extended)`,
    values: rowValues(stream, range, counts).slice(0, 14),
  }
}

/**
 * Progress as it stands (no row: never consumed), and the counts of the batch that covered exactly this range, when it was the last one of its
 * partition: a row of its own, or the last batch of a row that was extended. (A row that several batches of another consumer made up may
 * cover the same range: it is not this batch.)
 */
export function lookUp({ topic, partition, groupId, from, to }: LedgerRange): pg.QueryConfig {
  const count = (name: string, nth: number) => `coalesce(last_batch[${nth}], ${name}) AS ${name}`
  return {
    name: 'ledger_look_up',
    text: `SELECT progress.next_offset, batch.written, batch.duplicate, batch.stale, batch.superseded, batch.dead_lettered
      FROM holdfast.stream_progress AS progress LEFT JOIN (
        SELECT coalesce(last_batch[1], from_offset) AS from_offset, to_offset, ${count('written', 2)}, ${count('duplicate', 3)},
          ${count('stale', 4)}, ${count('superseded', 5)}, ${count('dead_lettered', 6)}
        FROM holdfast.stream_ledger WHERE ${LATEST}
      ) AS batch ON batch.from_offset = $4 AND batch.to_offset = $5
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
