import { UnreadableBatchError } from '../../core/errors.ts'
import type { Clock, Head, HeadReader } from '../ports.ts'
import type { OwnedPartition } from '../run/partition.ts'

/**
 * Knows the timestamp of the record that a partition is to settle next, where none is in hand: a partition that was paused
 * before it fetched anything has a lag of some age all the same. Or that there is none, where the last offsets hold no record.
 */
export interface HeadWatch {
  /** Asks for at most one partition. Waits for nothing. */
  tick(): void
  /** `undefined` when it is not known, or there is no record that could be read. */
  timestampOf(partition: OwnedPartition): number | undefined
  /** Below this offset nothing is left to be read: progress, or further on. */
  readTo(partition: OwnedPartition): bigint
}

export interface HeadWatchParts {
  readonly reader: HeadReader
  readonly clock: Clock
  readonly owned: () => Iterable<OwnedPartition>
  /** Whether the partition is known, just now, to end beyond {@link HeadWatch.readTo}. */
  readonly lags: (partition: OwnedPartition) => boolean
  /** The log was seen to hold no record in `[settled, emptyTo)`. */
  readonly onEmpty: (partition: OwnedPartition, emptyTo: bigint) => void
  /** What stands there cannot be read. */
  readonly onUnreadable: (partition: OwnedPartition) => void
}

interface Asked {
  readonly offset: bigint
  /** `undefined`: nobody answered. */
  readonly head: Head | undefined
  readonly askedAt: number
}

/** The fetch that is under way gets it, usually. */
const PATIENCE_MS = 2_000
/** Between two questions, and before the same one again when there was no answer. */
const PAUSE_MS = 500
const RETRY_MS = 10_000

export function createHeadWatch(parts: HeadWatchParts): HeadWatch {
  const { reader, clock, owned, lags, onEmpty, onUnreadable } = parts
  const heads = new WeakMap<OwnedPartition, Asked>()
  const waitingSince = new WeakMap<OwnedPartition, number>()
  let asking = false
  let notBefore = 0

  function isDue(partition: OwnedPartition, now: number): boolean {
    const stands = partition.halted !== undefined || partition.unlocated !== undefined
    if (partition.oldestUnsettledTimestampMs !== undefined || stands || !lags(partition)) {
      waitingSince.delete(partition)
      return false
    }
    const since = waitingSince.get(partition) ?? now
    waitingSince.set(partition, since)
    const known = heads.get(partition)
    if (known?.offset !== partition.settled) return now - since >= PATIENCE_MS
    if (known.head === undefined) return now - known.askedAt > RETRY_MS
    // It has grown beyond what was found to be empty.
    return 'emptyTo' in known.head && now - since >= PATIENCE_MS
  }

  async function ask(partition: OwnedPartition): Promise<void> {
    const { topic, partition: number, settled: offset } = partition
    const askedAt = clock.monotonic()
    try {
      const head = await reader.headAt({ topic, partition: number, nextOffset: offset })
      heads.set(partition, { offset, head, askedAt })
      const moved = partition.settled !== offset
      if ('emptyTo' in head && head.emptyTo > offset && !moved) onEmpty(partition, head.emptyTo)
    } catch (error) {
      // The client may keep that to itself, when it has records of other partitions to deliver.
      if (error instanceof UnreadableBatchError) onUnreadable(partition)
      // Else Kafka is away, which others tell.
      heads.set(partition, { offset, head: undefined, askedAt })
    }
    asking = false
    notBefore = clock.monotonic() + PAUSE_MS
  }

  function headOf(partition: OwnedPartition): Head | undefined {
    const asked = heads.get(partition)
    return asked?.offset === partition.settled ? asked.head : undefined
  }

  return {
    tick() {
      const now = clock.monotonic()
      if (asking || now < notBefore) return
      notBefore = now + PAUSE_MS
      let longest: OwnedPartition | undefined
      for (const partition of owned()) {
        if (!isDue(partition, now)) continue
        const since = (of: OwnedPartition) => heads.get(of)?.askedAt ?? Number.NEGATIVE_INFINITY
        if (longest === undefined || since(partition) < since(longest)) longest = partition
      }
      if (longest === undefined) return
      asking = true
      void ask(longest)
    },
    timestampOf(partition) {
      const head = headOf(partition)
      return head !== undefined && 'timestampMs' in head ? head.timestampMs : undefined
    },
    readTo(partition) {
      const head = headOf(partition)
      return head !== undefined && 'emptyTo' in head && head.emptyTo > partition.settled
        ? head.emptyTo
        : partition.settled
    },
  }
}
