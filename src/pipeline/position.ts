import { ProgressBeyondEndError } from '../core/errors.ts'
import type { Observer } from '../core/facts.ts'
import type { Progress, RecordSource, SettlementStore, StoredProgress } from '../core/ports.ts'
import { resumeAt } from '../core/progress.ts'
import { partitionKey, type TopicPartition } from '../core/record.ts'

export interface Position extends StoredProgress {
  /** Set when the partition must not be read until an operator has decided. */
  readonly halted?: ProgressBeyondEndError
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
  }: {
    readonly source: RecordSource
    readonly store: Pick<SettlementStore<unknown>, 'readProgress' | 'startProgress' | 'expire'>
    readonly observer: Observer
    readonly groupId: string
  },
): Promise<Position[]> {
  const stored = await store.readProgress(groupId, partitions)
  const progress = byPartition(stored)
  const committed = byPartition(await source.committed(partitions))
  return await Promise.all(partitions.map(locateOne))

  async function locateOne({ topic, partition }: TopicPartition): Promise<Position> {
    const key = partitionKey({ topic, partition })
    const known = progress.get(key)
    const watermarks = await source.watermarks({ topic, partition })
    const resume = resumeAt({ progress: known, committed: committed.get(key), watermarks })
    if (resume.kind === 'beyond_end') {
      const halted = new ProgressBeyondEndError(
        `${key}: progress is at offset ${resume.offset}, beyond the partition's end ${resume.high}; the topic was probably ` +
          'deleted and made anew. Decide where to go on with: holdfast seek ' +
          `--partition ${partition} --to OFFSET|earliest|latest --because "…"`,
      )
      observer.observe({ kind: 'partition_halted', partition: { topic, partition }, error: halted })
      return { topic, partition, nextOffset: resume.high, halted, uncommitted: false }
    }
    const start = resume.kind === 'at' ? resume.offset : resume.from
    const nextOffset = known ?? (await store.startProgress(groupId, { topic, partition, nextOffset: start }))
    if (resume.kind === 'expired' && nextOffset === resume.from) {
      await store.expire(groupId, { topic, partition }, resume.from, resume.to)
      observer.observe({ kind: 'expired', partition: { topic, partition }, from: resume.from, to: resume.to })
      return { topic, partition, nextOffset: resume.to, uncommitted: true }
    }
    const uncommitted = known !== undefined && committed.get(key) !== nextOffset
    const kept = stored.find(row => partitionKey(row) === key)
    return { ...kept, topic, partition, nextOffset, uncommitted }
  }
}

function byPartition(positions: readonly Progress[]): Map<string, bigint> {
  return new Map(positions.map(position => [partitionKey(position), position.nextOffset]))
}
