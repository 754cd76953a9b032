import type pg from 'pg'
import { UsageError } from '../errors.ts'
import type { Operator } from '../operator.ts'
import { countOutcomes } from '../outcome.ts'
import { partitionKey, type TopicPartition } from '../record.ts'
import { audit } from './audit.ts'
import { formerOf, LEAVE_PATIENTLY, type LeaveFormerTopic } from './former-topic.ts'
import { advance, enter, type LedgerRange, WITHOUT_PAUSE } from './ledger.ts'
import { finish, pipelined, query, transaction } from './pool.ts'
import { startRow } from './start-progress.ts'

export interface Move extends TopicPartition {
  /** To which the partition belongs. */
  readonly stream: string
  readonly groupId: string
  readonly to: bigint
  /** The partition's low watermark: a partition that was never consumed begins there, and skips what lies before `to`. */
  readonly low?: bigint
  /** Kafka's id of the topic in which `to` counts. Absent: not known. */
  readonly topicId?: string | undefined
}

/**
 * Moves a partition's progress: forward skips what lies between, back reads it again. The ledger records it in a row of its own
 * whose `skipped` is the distance (negative: back), so that its ranges still follow on one another. In a topic that was made
 * again, the same offset is another place: there progress may also stay where it is. Anywhere else in it, what was stored from the
 * former topic is said to be from that.
 * @returns where it was; `undefined` when it was never consumed: then it starts at `to`
 * @throws UsageError when it is there already
 */
export async function movePartition(
  pool: pg.Pool,
  { stream, topic, partition, groupId, to, low = to, topicId }: Move,
  by: Operator,
  leave: LeaveFormerTopic = leaveNothing,
): Promise<bigint | undefined> {
  return await transaction(pool, async client => {
    await pipelined(client, ['BEGIN'])
    const moved = await prepare(client, { stream, topic, partition, groupId, to, low, topicId }, by, leave)
    if (!moved.isMove) throw new UsageError(`${partitionKey({ topic, partition })} is at offset ${to} already`)
    await finish(client, moved.statements)
    return moved.from
  })
}

/** What moves progress, in a transaction that has begun; the row of progress is locked. */
async function prepare(
  client: pg.PoolClient,
  { stream, topic, partition, groupId, to, low = to, topicId }: Move,
  by: Operator,
  leave: LeaveFormerTopic,
): Promise<{ readonly from: bigint | undefined; readonly isMove: boolean; readonly statements: pg.QueryConfig[] }> {
  const [found] = await pipelined(client, [
    {
      text: `SELECT next_offset, topic_id FROM holdfast.stream_progress
        WHERE topic = $1 AND partition = $2 AND group_id = $3 FOR UPDATE`,
      values: [topic, partition, groupId],
    },
  ])
  const row: { next_offset: string; topic_id: string | null } | undefined = found?.rows[0]
  const from = row === undefined ? undefined : BigInt(row.next_offset)
  const counted = row?.topic_id ?? undefined
  const replaced = counted !== undefined && topicId !== undefined && counted !== topicId
  if (from === to && !replaced) return { from, isMove: false, statements: [] }
  if (from === undefined) await startRow(client, { stream, topic, partition, groupId }, { at: to, skippedFrom: low })
  const range = { topic, partition, groupId, from: from ?? to, to }
  const former = formerOf(range, { offset: range.from, topicId: counted }, { offset: to, topicId })
  const counts = { ...countOutcomes([]), records: 0, gaps: 0n, expired: 0n, skipped: range.to - range.from }
  const statements = [
    // Progress is locked, so no batch writes further values at positions of the former topic.
    ...(former === undefined ? [] : [{ text: LEAVE_PATIENTLY }, ...leave(former)]),
    ...(from === undefined || from === to ? [] : [advance(range), liftPause(range), enter(stream, range, counts)]),
    {
      // From here on it goes by what it reads next: what it had read before may be gone from the log.
      text: `UPDATE holdfast.stream_progress SET last_offset = NULL, last_leader_epoch = NULL
        WHERE topic = $1 AND partition = $2 AND group_id = $3`,
      values: [topic, partition, groupId],
    },
    ...(topicId === undefined
      ? []
      : [
          {
            text: 'UPDATE holdfast.stream_progress SET topic_id = $4 WHERE topic = $1 AND partition = $2 AND group_id = $3',
            values: [topic, partition, groupId, topicId],
          },
        ]),
    audit(stream, 'seek', `topic:${topic} group:${groupId} partition:${partition}`, by, {
      from: from?.toString() ?? null,
      to: String(to),
      ...(former === undefined ? {} : { former_topic_id: former.topicId }),
    }),
  ]
  return { from, isMove: true, statements }
}

function leaveNothing(): readonly pg.QueryConfig[] {
  return []
}

/** How long a request waits for the process that has the partition. */
export const MOVE_PATIENCE_SECONDS = 60

/**
 * Asks the process that consumes the partition to move it: that one lets go of it first. A crash of either side leaves the old position,
 * or the new one.
 * @returns the request's id
 * @throws UsageError when another one is under way
 */
export async function requestMove(
  pool: pg.Pool,
  { stream, topic, partition, groupId, to, low = to, topicId }: Move,
  by: Operator,
): Promise<string> {
  const [asked] = await query<{ id: string }>(pool, {
    text: `INSERT INTO holdfast.stream_moves AS m (stream, topic, partition, group_id, to_offset, low_offset, topic_id, asked_by, because, expires_at)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + make_interval(secs => $10))
      ON CONFLICT (topic, partition, group_id) DO UPDATE SET (id, stream, to_offset, low_offset, topic_id, asked_by, because, expires_at, moved_at,
        moved_from) = ROW (DEFAULT, excluded.stream, excluded.to_offset, excluded.low_offset, excluded.topic_id, excluded.asked_by,
        excluded.because, excluded.expires_at, NULL, NULL)
      WHERE m.moved_at IS NOT NULL OR m.expires_at <= now()
      RETURNING id`,
    values: [stream, topic, partition, groupId, to, low, topicId ?? null, by.who, by.because, MOVE_PATIENCE_SECONDS],
  })
  if (asked !== undefined) return asked.id
  throw new UsageError(
    `another seek of ${partitionKey({ topic, partition })} is under way; it ends within ${MOVE_PATIENCE_SECONDS} s`,
  )
}

export type MoveState =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'moved'; readonly from: bigint | undefined }
  /** It was not carried out in time, and never will be. */
  | { readonly kind: 'expired' }

export async function moveState(pool: pg.Pool, id: string): Promise<MoveState> {
  const [row] = await query<{ moved: boolean; moved_from: string | null; expired: boolean }>(pool, {
    text: `SELECT moved_at IS NOT NULL AS moved, moved_from, expires_at <= now() AS expired FROM holdfast.stream_moves WHERE id = $1`,
    values: [id],
  })
  if (row?.moved) return { kind: 'moved', from: row.moved_from === null ? undefined : BigInt(row.moved_from) }
  return row?.expired === false ? { kind: 'waiting' } : { kind: 'expired' }
}

/** Withdraws a request, unless it was carried out already: no process carries it out afterwards. */
export async function withdrawMove(pool: pg.Pool, id: string): Promise<void> {
  await query(pool, { text: 'DELETE FROM holdfast.stream_moves WHERE id = $1 AND moved_at IS NULL', values: [id] })
}

/**
 * Carries a request out, on behalf of the process that has let go of the partition.
 * @returns nothing when it was carried out already, or is too old
 */
export async function carryOut(
  pool: pg.Pool,
  id: string,
  leave: LeaveFormerTopic = leaveNothing,
): Promise<{ readonly from: bigint | undefined } | undefined> {
  return await transaction(pool, async client => {
    const [, claimed] = await pipelined(client, [
      'BEGIN',
      {
        text: `UPDATE holdfast.stream_moves SET moved_at = now() WHERE id = $1 AND moved_at IS NULL AND expires_at > now()
          RETURNING stream, topic, partition, group_id, to_offset, low_offset, topic_id, asked_by, because`,
        values: [id],
      },
    ])
    const row: MoveRow | undefined = claimed?.rows[0]
    if (row === undefined) return undefined
    const move = {
      ...{ stream: row.stream, topic: row.topic, partition: row.partition, groupId: row.group_id },
      ...{ to: BigInt(row.to_offset), low: BigInt(row.low_offset), topicId: row.topic_id ?? undefined },
    }
    const { from, statements } = await prepare(client, move, { who: row.asked_by, because: row.because }, leave)
    await finish(client, [
      ...statements,
      { text: 'UPDATE holdfast.stream_moves SET moved_from = $2 WHERE id = $1', values: [id, from ?? null] },
    ])
    return { from }
  })
}

interface MoveRow {
  readonly stream: string
  readonly topic: string
  readonly partition: number
  readonly group_id: string
  readonly to_offset: string
  readonly low_offset: string
  readonly topic_id: string | null
  readonly asked_by: string
  readonly because: string
}

function liftPause({ topic, partition, groupId }: LedgerRange): pg.QueryConfig {
  return {
    text: `UPDATE holdfast.stream_progress SET ${WITHOUT_PAUSE} WHERE topic = $1 AND partition = $2 AND group_id = $3`,
    values: [topic, partition, groupId],
  }
}
