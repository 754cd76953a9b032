import type pg from 'pg'
import { OwnershipLostError, ProgressRemovedError, StoreMisconfiguredError } from '../errors.ts'
import type { Progress } from '../ports.ts'
import { partitionKey, type TopicPartition } from '../record.ts'
import type { LastRead, LetterLookups, OperatorPause, SettlementStore } from '../settlement.ts'
import { finish, pipelined, query, transaction } from './pool.ts'
import { startRow } from './start-progress.ts'

interface ProgressRow {
  readonly stream: string
  readonly group_id: string
  readonly topic: string
  readonly partition: number
  readonly next_offset: string
  readonly dead_letters_in_a_row: string
  readonly refused_in_a_row: string
  readonly recent_outcomes: string
  readonly paused_for: OperatorPause | null
  readonly paused_because: string | null
  readonly topic_id: string | null
  readonly was_further: boolean
  readonly last_offset: string | null
  readonly last_leader_epoch: number | null
}

/** The progress of a stream's partitions as it is stored: read, begun, identified, and held until an operator decides. */
export function createProgressRows(
  pool: pg.Pool,
  stream: string,
  letters: Pick<LetterLookups, 'lastOpen'>,
): Pick<SettlementStore<unknown>, 'readProgress' | 'startProgress' | 'identify' | 'hold'> {
  return {
    async readProgress(groupId, partitions) {
      if (partitions.length === 0) return []
      const rows = await query<ProgressRow>(pool, {
        text: `SELECT progress.stream, group_id, topic, partition, next_offset, dead_letters_in_a_row, refused_in_a_row, recent_outcomes, paused_for,
            paused_because, topic_id, last_offset, last_leader_epoch,
            next_offset > 0 OR EXISTS (SELECT FROM holdfast.stream_ledger AS ledger WHERE ledger.topic = progress.topic
              AND ledger.partition = progress.partition AND ledger.group_id = progress.group_id AND to_offset > 0) AS was_further
          FROM holdfast.stream_progress AS progress
          JOIN unnest($2::text[], $3::int4[]) AS wanted (topic, partition) USING (topic, partition)
          WHERE group_id = $1 OR progress.stream <> $4`,
        values: [groupId, partitions.map(({ topic }) => topic), partitions.map(({ partition }) => partition), stream],
      })
      for (const row of rows) requireOwn(stream, row)
      const lastOpen = await letters.lastOpen(rows.map(row => ({ ...row, nextOffset: BigInt(row.next_offset) })))
      return rows.map(row => ({
        topic: row.topic,
        partition: row.partition,
        nextOffset: BigInt(row.next_offset),
        storm: {
          deadLettersInARow: Number(row.dead_letters_in_a_row),
          refusedInARow: Number(row.refused_in_a_row),
          recent: row.recent_outcomes,
        },
        pause: row.paused_for === null ? undefined : { reason: row.paused_for, because: row.paused_because ?? '' },
        readAgainTo: after(lastOpen.get(partitionKey(row))),
        topicId: row.topic_id ?? undefined,
        wasFurther: row.was_further,
        lastRead: lastReadOf(row),
      }))
    },

    async startProgress(groupId, { topic, partition, nextOffset }: Progress, skippedFrom?: bigint) {
      const place = { stream, topic, partition, groupId }
      return await transaction(pool, async client => {
        const [, , before] = await pipelined(client, ['BEGIN', lockTopic(topic), ownersOf(place)])
        requireAllOwn(stream, before)
        const made = await startRow(client, place, { at: nextOffset, skippedFrom })
        // A statement of its own: the row that was in the way may be newer than the snapshot of the one before.
        const [found] = await finish(client, [ownersOf(place)])
        const own = requireAllOwn(stream, found).find(row => row.group_id === groupId)
        if (own === undefined) throw removed(place)
        return made ? nextOffset : BigInt(own.next_offset)
      })
    },

    async identify(groupId, partitions, topicId) {
      await query(pool, {
        text: `UPDATE holdfast.stream_progress AS progress SET topic_id = $4 FROM unnest($2::text[], $3::int4[]) AS wanted (topic, partition)
          WHERE progress.topic = wanted.topic AND progress.partition = wanted.partition AND group_id = $1`,
        values: [groupId, partitions.map(({ topic }) => topic), partitions.map(({ partition }) => partition), topicId],
      })
    },

    async hold(groupId, { topic, partition, nextOffset }, { reason, because }) {
      const rows = await query(pool, {
        text: `UPDATE holdfast.stream_progress SET paused_for = $5, paused_because = $6, paused_at = now()
          WHERE topic = $1 AND partition = $2 AND group_id = $3 AND next_offset = $4 RETURNING 1`,
        values: [topic, partition, groupId, nextOffset, reason, because],
      })
      if (rows.length === 0) {
        throw new OwnershipLostError(`${partitionKey({ topic, partition })}: progress is not at ${nextOffset} any more`)
      }
    },
  }
}

function after(offset: bigint | undefined): bigint | undefined {
  return offset === undefined ? undefined : offset + 1n
}

/** Whose progress it is. */
type Owned = Pick<ProgressRow, 'stream' | 'group_id' | 'topic' | 'partition'>

/**
 * A topic is consumed by one stream. Two of them in one group would settle each other's records; in two groups they would have dead
 * letters of the same ids, which are the positions of records, and each would take those of the other for its own.
 */
function requireOwn(stream: string, { group_id, ...row }: Owned): void {
  if (row.stream === stream) return
  throw new StoreMisconfiguredError(
    `the stream ${row.stream} consumes ${partitionKey(row)}, in the group ${group_id}: the stream ${stream} cannot consume it as well`,
    {
      remedy: `give the stream ${stream} a topic of its own; or, if it was called ${row.stream} before, rename what is stored: docs/streams.md, "Renaming a stream"`,
    },
  )
}

/** Until the transaction ends: of two streams that start on a topic at the same time, the second one sees the first. */
function lockTopic(topic: string): pg.QueryConfig {
  return { text: 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', values: [`stream_progress ${topic}`] }
}

function ownersOf({ topic, partition }: TopicPartition): pg.QueryConfig {
  return {
    text: 'SELECT stream, group_id, topic, partition, next_offset FROM holdfast.stream_progress WHERE topic = $1 AND partition = $2',
    values: [topic, partition],
  }
}

function requireAllOwn(
  stream: string,
  found: pg.QueryResult | undefined,
): readonly (Owned & { next_offset: string })[] {
  const rows = found?.rows ?? []
  for (const row of rows) requireOwn(stream, row)
  return rows
}

function lastReadOf({ next_offset, last_offset, last_leader_epoch }: ProgressRow): LastRead | undefined {
  if (last_offset === null || last_leader_epoch === null) return undefined
  const offset = BigInt(last_offset)
  // Beyond it, when something else than a batch has moved progress back.
  return offset < BigInt(next_offset) ? { offset, leaderEpoch: last_leader_epoch } : undefined
}

export function removed(partition: TopicPartition): ProgressRemovedError {
  return new ProgressRemovedError(
    `${partitionKey(partition)}: its progress row was removed from the database, or the database is an older copy`,
  )
}
