import {
  BrokerUnavailableError,
  dispositionOf,
  ProgressBeyondEndError,
  type StreamError,
  TopicReplacedError,
  UnreadableBatchError,
} from '../errors.ts'
import type { Observer } from '../facts.ts'
import type { ManualPause } from '../operator.ts'
import { type Clock, LOG_END, type Progress, type RecordSource, type Watermarks } from '../ports.ts'
import { resumeAt, type StartAt } from '../progress.ts'
import { partitionKey, type TopicPartition } from '../record.ts'
import type { SettlementStore, StoredProgress } from '../settlement.ts'
import { type Answer, askEach } from '../watch/ask-each.ts'

export interface Position extends StoredProgress {
  /** Set when the partition must not be read until an operator has decided. */
  readonly halted?: StreamError
  /** Set when an operator holds it. */
  readonly manualPause?: ManualPause | undefined
  /** Set when Kafka or the store has not answered what is needed to know the position: the partition is not read before they have. */
  readonly unlocated?: unknown
  /** Where the consumer begins: the last settled record, to see that it is still there; else `nextOffset`, or the end while nothing may be read. */
  readonly fetchFrom: bigint
  /** Kafka's committed offset differs (a crash came before the commit, or it was moved by hand): commit ours. */
  readonly uncommitted: boolean
}

export interface LocateParts {
  readonly source: Pick<RecordSource, 'watermarks' | 'committed'>
  readonly store: Pick<SettlementStore<unknown>, 'readProgress' | 'startProgress' | 'identify' | 'expire'>
  readonly observer: Observer
  readonly clock: Pick<Clock, 'sleep'>
  readonly groupId: string
  /** Where it starts when it has no progress row. */
  readonly startAt: (partition: TopicPartition) => StartAt
  /** Id of the current topic; `undefined` when that cannot be known. */
  readonly readTopicId: () => Promise<string | undefined>
  /** For partitions whose reading failed: checks whether the record at a position can be read. @throws UnreadableBatchError */
  readonly probe?: ((at: Progress) => Promise<unknown>) | undefined
}

/**
 * @param known of its progress
 * @param error which is passing, and keeps the rest from being known
 */
export function unlocatedAt(known: StoredProgress, error: unknown): Position {
  // Until it is paused the client fetches: at a guessed offset that retention has removed, it would report a failure of all partitions.
  return { ...known, fetchFrom: LOG_END, unlocated: error, uncommitted: false }
}

/**
 * Finds out where partitions go on, each for itself, and writes down what retention removed unread. One of which Kafka does not
 * answer (it has no leader, say) comes back as `unlocated`, and holds up no other.
 * @throws StoreUnavailableError: ask again
 */
export async function locate(partitions: readonly TopicPartition[], parts: LocateParts): Promise<Position[]> {
  const { source, store, observer, groupId } = parts
  const rows = new Map((await store.readProgress(groupId, partitions)).map(row => [partitionKey(row), row]))
  const topicId = await parts.readTopicId()
  let committed: ReadonlyMap<string, bigint> | undefined
  const [commits, ...ends] = await askEach([undefined, ...partitions], parts.clock, async partition => {
    if (partition !== undefined) return await source.watermarks(partition)
    const positions = await source.committed(partitions)
    committed = new Map(positions.map(position => [partitionKey(position), position.nextOffset]))
    return undefined
  })
  if (commits?.ok === false && dispositionOf(commits.error) !== 'retry') throw commits.error
  const positions = await Promise.all(partitions.map((partition, index) => locateOne(partition, ends[index])))
  const unidentified = positions.filter(
    position => position.halted === undefined && position.unlocated === undefined && position.topicId !== topicId,
  )
  if (topicId !== undefined && unidentified.length > 0) await store.identify(groupId, unidentified, topicId)
  return positions

  /** Where nothing was read, the beginning of the one is that of the other. */
  function isOfAnother({ nextOffset, wasFurther, topicId: counted }: StoredProgress): boolean {
    return (
      counted !== undefined && topicId !== undefined && counted !== topicId && (nextOffset > 0n || wasFurther === true)
    )
  }

  async function locateOne(
    place: TopicPartition,
    answer: Answer<Watermarks | undefined> | undefined,
  ): Promise<Position> {
    const { partition } = place
    const key = partitionKey(place)
    const row = rows.get(key)
    const startAt = parts.startAt(place)
    if (answer?.ok === false) return unlocated(answer.error)
    if (row === undefined && startAt === 'committed' && committed === undefined) {
      return unlocated(new BrokerUnavailableError(`Kafka has not said what the group ${groupId} has committed`))
    }
    const watermarks = answer?.value
    if (watermarks === undefined) throw new RangeError(`nothing was asked about ${key}`)
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
    const resume = resumeAt({ progress: row?.nextOffset, committed: committed?.get(key), watermarks, startAt })
    if (resume.kind === 'beyond_end') {
      const whose =
        row === undefined
          ? `the group's committed offset is ${resume.offset}`
          : `progress is at offset ${resume.offset}`
      const isSameTopic = topicId !== undefined && row?.topicId === topicId
      const why = isSameTopic
        ? 'the log has lost records that were settled, by an unclean election or with a disk'
        : 'the topic was probably deleted and created again'
      return halt(new ProgressBeyondEndError(`${key}: ${whose}, beyond the partition's end ${high}; ${why}. ${decide}`))
    }
    const found = row ?? (await start(resume.kind === 'at' ? resume : { offset: resume.from }))
    if (resume.kind === 'expired' && found.nextOffset === resume.from) {
      await store.expire(groupId, place, resume.from, resume.to)
      observer.observe({ kind: 'expired', partition: place, from: resume.from, to: resume.to })
      // A pause that waits for an operator stays, and so do open dead letters behind it.
      return { ...found, nextOffset: resume.to, lastRead: undefined, fetchFrom: resume.to, uncommitted: true }
    }
    // Where the commit is not known, ours is made once more. A partition of which nothing was read needs none.
    const inKafka = committed?.get(key)
    const isFresh = row === undefined && inKafka === undefined && found.nextOffset === low
    const uncommitted = !isFresh && inKafka !== found.nextOffset
    const unreadable = found.nextOffset < high ? await probeAt(found.nextOffset) : undefined
    if (unreadable !== undefined) return halt(unreadable, found.nextOffset)
    const { lastRead } = found
    // What retention has removed, or cannot be read any more, cannot be looked at.
    const isThere = lastRead !== undefined && lastRead.offset >= low && (await probeAt(lastRead.offset)) === undefined
    return isThere
      ? { ...found, fetchFrom: lastRead.offset, uncommitted }
      : { ...found, lastRead: undefined, fetchFrom: found.nextOffset, uncommitted }

    async function probeAt(offset: bigint): Promise<UnreadableBatchError | undefined> {
      try {
        await parts.probe?.({ ...place, nextOffset: offset })
        return undefined
      } catch (error) {
        if (error instanceof UnreadableBatchError) return error
        throw error
      }
    }

    async function start(at: { readonly offset: bigint; readonly skippedFrom?: bigint }): Promise<StoredProgress> {
      const nextOffset = await store.startProgress(groupId, { ...place, nextOffset: at.offset }, at.skippedFrom)
      const inKafka = committed?.get(key)
      if (inKafka !== undefined && inKafka > nextOffset && startAt === 'earliest') {
        observer.observe({ kind: 'progress_missing', partition: place, from: nextOffset, committed: inKafka })
      }
      // Dead letters of an earlier reading may be open, and are closed by this one.
      const [started] = await store.readProgress(groupId, [place])
      return started ?? { ...place, nextOffset }
    }

    /** The consumer is put at the end, where nothing comes, until it is paused. */
    function halt(halted: StreamError, nextOffset = high): Position {
      observer.observe({ kind: 'partition_halted', partition: place, error: halted })
      return { ...place, nextOffset, fetchFrom: high, halted, uncommitted: false }
    }

    function unlocated(error: unknown): Position {
      if (dispositionOf(error) !== 'retry') throw error
      observer.observe({ kind: 'position_unknown', partition: place, error })
      // Where it has a row, the status shows the row's progress, and a pause that waits for an operator.
      return unlocatedAt(row ?? { ...place, nextOffset: 0n }, error)
    }
  }
}
