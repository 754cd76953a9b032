import type { Clock } from '../ports.ts'
import type { OwnedPartition } from '../run/partition.ts'

/**
 * Notices a partition on which nothing happens any more although there is work, all that it needs is there, and nobody has
 * paused it: a promise that was lost, a fetch that never comes. Only a restart ends that.
 */
export interface StallWatch {
  /** Call it often: what happens in between is told apart by its traces on the partitions. */
  look(): void
  /** For how long nothing has happened; 0 while all is well or there is a reason. */
  stalledMs(partition: OwnedPartition): number
}

export interface StallWatchParts {
  readonly clock: Clock
  readonly owned: () => Iterable<OwnedPartition>
  /** Whether nothing may be expected of any partition: a dependency is away, or the stream does not run. */
  readonly excused: () => boolean
  /** Whether Kafka is known to hold a record that this partition, with nothing in hand, could have fetched. */
  readonly waitsInKafka: (partition: OwnedPartition) => boolean
}

interface Standing {
  readonly sinceMs: number
  readonly signs: number
  readonly inHand: boolean
}

const LOOK_EVERY_MS = 500
/** Nobody has looked for so long: the process was frozen, and what it had in hand with it. */
const FROZEN_MS = 30_000

export function createStallWatch(parts: StallWatchParts): StallWatch {
  const { clock } = parts
  const standing = new Map<OwnedPartition, Standing>()
  let lookedAt = Number.NEGATIVE_INFINITY

  function hasWork(partition: OwnedPartition): boolean {
    if (partition.halted !== undefined || partition.waitsForOperator !== undefined) return false
    // A wait between two attempts: the last one has failed, so it is not stuck.
    for (const { resting } of partition.waits) if (resting) return false
    if (partition.bufferedRecords + partition.inFlightRecords > 0) return true
    return partition.pausedFor.length === 0 && parts.waitsInKafka(partition)
  }

  return {
    look() {
      const now = clock.monotonic()
      if (now - lookedAt < LOOK_EVERY_MS) return
      const wasFrozen = now - lookedAt > FROZEN_MS
      lookedAt = now
      const owned = new Set(parts.owned())
      for (const partition of standing.keys()) if (!owned.has(partition)) standing.delete(partition)
      if (wasFrozen || parts.excused()) standing.clear()
      if (parts.excused()) return
      for (const partition of owned) {
        if (!hasWork(partition)) {
          standing.delete(partition)
          continue
        }
        const before = standing.get(partition)
        const inHand = partition.bufferedRecords + partition.inFlightRecords > 0
        if (before?.signs === partition.signs && before.inHand === inHand) continue
        standing.set(partition, { sinceMs: now, signs: partition.signs, inHand })
      }
    },
    stalledMs(partition) {
      const since = standing.get(partition)?.sinceMs
      return since === undefined ? 0 : clock.monotonic() - since
    },
  }
}
