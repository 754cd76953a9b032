import type pg from 'pg'
import { UsageError } from '../errors.ts'
import type { Operator } from '../operator.ts'
import { countOutcomes } from '../outcome.ts'
import { partitionKey, type TopicPartition } from '../record.ts'
import { audit } from './audit.ts'
import { advance, enter, type LedgerRange, WITHOUT_PAUSE } from './ledger.ts'
import { pipelined, transaction } from './pool.ts'
import { startRow } from './start-progress.ts'

export interface PausedPartition extends TopicPartition {
  readonly pausedFor: string
  readonly deadLettersInARow: number
}

/** A stream as its group consumes it. */
export interface StreamPlace {
  readonly stream: string
  readonly topic: string
  readonly groupId: string
}

/**
 * Lifts pauses that wait for an operator, on one partition or on all; the service notices within seconds.
 * @returns what was lifted
 */
export async function liftPauses(
  pool: pg.Pool,
  { stream, topic, groupId, partition }: StreamPlace & { readonly partition?: number },
  by: Operator,
): Promise<PausedPartition[]> {
  return await transaction(pool, async client => {
    const [, lifted] = await pipelined(client, [
      'BEGIN',
      {
        text: `WITH paused AS (
            SELECT topic, partition, group_id, paused_for, dead_letters_in_a_row FROM stream_progress
            WHERE topic = $1 AND group_id = $2 AND ($3::integer IS NULL OR partition = $3) AND paused_for IS NOT NULL
            FOR UPDATE
          )
          UPDATE stream_progress AS p SET ${WITHOUT_PAUSE}
          FROM paused WHERE (p.topic, p.partition, p.group_id) = (paused.topic, paused.partition, paused.group_id)
          RETURNING p.partition, paused.paused_for, paused.dead_letters_in_a_row`,
        values: [topic, groupId, partition ?? null],
      },
    ])
    const rows = (lifted?.rows ?? []).map(row => ({
      topic,
      partition: Number(row.partition),
      pausedFor: String(row.paused_for),
      deadLettersInARow: Number(row.dead_letters_in_a_row),
    }))
    const filter = `topic:${topic} group:${groupId}${partition === undefined ? '' : ` partition:${partition}`}`
    await pipelined(client, [audit(stream, 'resume', filter, by, { lifted: rows.length }), 'COMMIT'])
    return rows
  })
}

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
 * again, the same offset is another place: there progress may also stay where it is.
 * @returns where it was; `undefined` when it was never consumed: then it starts at `to`
 * @throws UsageError when it is there already
 */
export async function movePartition(
  pool: pg.Pool,
  { stream, topic, partition, groupId, to, low = to, topicId }: Move,
  by: Operator,
): Promise<bigint | undefined> {
  return await transaction(pool, async client => {
    const [, found] = await pipelined(client, [
      'BEGIN',
      {
        text: `SELECT next_offset, topic_id FROM stream_progress
          WHERE topic = $1 AND partition = $2 AND group_id = $3 FOR UPDATE`,
        values: [topic, partition, groupId],
      },
    ])
    const row: { next_offset: string; topic_id: string | null } | undefined = found?.rows[0]
    const from = row === undefined ? undefined : BigInt(row.next_offset)
    const replaced = row !== undefined && row.topic_id !== null && topicId !== undefined && row.topic_id !== topicId
    if (from === to && !replaced)
      throw new UsageError(`${partitionKey({ topic, partition })} is at offset ${to} already`)
    if (from === undefined) await startRow(client, { stream, topic, partition, groupId }, { at: to, skippedFrom: low })
    const range = { topic, partition, groupId, from: from ?? to, to }
    const counts = { ...countOutcomes([]), records: 0, gaps: 0n, expired: 0n, skipped: range.to - range.from }
    await pipelined(client, [
      ...(from === undefined || from === to ? [] : [advance(range), liftPause(range), enter(stream, range, counts)]),
      {
        // From here on it goes by what it reads next: what it had read before may be gone from the log.
        text: `UPDATE stream_progress SET last_offset = NULL, last_leader_epoch = NULL
          WHERE topic = $1 AND partition = $2 AND group_id = $3`,
        values: [topic, partition, groupId],
      },
      ...(topicId === undefined
        ? []
        : [
            {
              text: 'UPDATE stream_progress SET topic_id = $4 WHERE topic = $1 AND partition = $2 AND group_id = $3',
              values: [topic, partition, groupId, topicId],
            },
          ]),
      audit(stream, 'seek', `topic:${topic} group:${groupId} partition:${partition}`, by, {
        from: from?.toString() ?? null,
        to: String(to),
      }),
      'COMMIT',
    ])
    return from
  })
}

function liftPause({ topic, partition, groupId }: LedgerRange): pg.QueryConfig {
  return {
    text: `UPDATE stream_progress SET ${WITHOUT_PAUSE} WHERE topic = $1 AND partition = $2 AND group_id = $3`,
    values: [topic, partition, groupId],
  }
}
