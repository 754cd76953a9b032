import { ProgressBeyondEndError, TopicReplacedError } from '../core/errors.ts'
import type { Observer } from '../core/facts.ts'
import type { Progress, RecordSource, SettlementStore, StoredProgress } from '../core/ports.ts'
import { resumeAt } from '../core/progress.ts'
import { partitionKey, type TopicPartition } from '../core/record.ts'

export interface Position extends StoredProgress {
  /** Set when the partition must not be read until an operator has decided. */
  readonly halted?: ProgressBeyondEndError | TopicReplacedError
  /** Kafka's committed offset says otherwise (a crash came before the commit, or somebody moved it): commit ours. */
  readonly uncommitted: boolean
}

/**
 * Finds out where partitions go on, and writes down what retention removed unread.
 * @throws StoreUnavailableError, BrokerUnavailableError: ask again
 */
export async function locate(
  partitions: readonly TopicPartition[],
  {
    source,
    store,
    observer,
    groupId,
    readTopicId,
  }: {
    readonly source: RecordSource
    readonly store: Pick<SettlementStore<unknown>, 'readProgress' | 'startProgress' | 'identify' | 'expire'>
    readonly observer: Observer
    readonly groupId: string
    /** Of the topic as it is now; `undefined` when that cannot be known. */
    readonly readTopicId: () => Promise<string | undefined>
  },
): Promise<Position[]> {
  const stored = await store.readProgress(groupId, partitions)
  const rows = new Map(stored.map(row => [partitionKey(row), row]))
  const topicId = await readTopicId()
  const committed = byPartition(await source.committed(partitions))
  const positions = await Promise.all(partitions.map(locateOne))
  const unidentified = positions.filter(position => position.halted === undefined && position.topicId !== topicId)
  if (topicId !== undefined && unidentified.length > 0) await store.identify(groupId, unidentified, topicId)
  return positions

  /** Where nothing was read, the beginning of the one is that of the other. */
  function isOfAnother({ nextOffset, topicId: counted }: StoredProgress): boolean {
    return counted !== undefined && topicId !== undefined && counted !== topicId && nextOffset > 0n
  }

  async function locateOne({ topic, partition }: TopicPartition): Promise<Position> {
    const key = partitionKey({ topic, partition })
    const row = rows.get(key)
    const known = row?.nextOffset
    const watermarks = await source.watermarks({ topic, partition })
    const { low, high } = watermarks
    const decide = `Decide where to go on with: holdfast seek --partition ${partition} --to OFFSET|earliest|latest --because "…"`
    if (row !== undefined && isOfAnother(row)) {
      return halt(
        new TopicReplacedError(
          `${key}: progress is at offset ${row.nextOffset} of a topic that is not there any more (id ${row.topicId}); another one ` +
            `has its name now (id ${topicId}) and holds the offsets ${low} to ${high}. ${decide}`,
        ),
      )
    }
    const resume = resumeAt({ progress: known, committed: committed.get(key), watermarks })
    if (resume.kind === 'beyond_end') {
      return halt(
        new ProgressBeyondEndError(
          `${key}: progress is at offset ${resume.offset}, beyond the partition's end ${high}; the topic was probably ` +
            `deleted and made anew. ${decide}`,
        ),
      )
    }
    const start = resume.kind === 'at' ? resume.offset : resume.from
    const nextOffset = known ?? (await store.startProgress(groupId, { topic, partition, nextOffset: start }))
    if (resume.kind === 'expired' && nextOffset === resume.from) {
      await store.expire(groupId, { topic, partition }, resume.from, resume.to)
      observer.observe({ kind: 'expired', partition: { topic, partition }, from: resume.from, to: resume.to })
      // The store keeps no pause over that; dead letters behind it may be open all the same.
      const { readAgainTo, topicId } = row ?? {}
      return { topic, partition, nextOffset: resume.to, readAgainTo, topicId, uncommitted: true }
    }
    const uncommitted = known !== undefined && committed.get(key) !== nextOffset
    return { ...row, topic, partition, nextOffset, uncommitted }

    function halt(halted: NonNullable<Position['halted']>): Position {
      observer.observe({ kind: 'partition_halted', partition: { topic, partition }, error: halted })
      return { topic, partition, nextOffset: high, halted, uncommitted: false }
    }
  }
}

function byPartition(positions: readonly Progress[]): Map<string, bigint> {
  return new Map(positions.map(position => [partitionKey(position), position.nextOffset]))
}
