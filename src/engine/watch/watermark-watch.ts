import type { Clock, RecordSource, Watermarks } from '../ports.ts'
import type { OwnedPartition } from '../run/partition.ts'

/** Asks where the partitions end, again and again. */
export interface WatermarkWatch {
  /** Begins the next round when it is due and the one before has ended. Waits for nothing. */
  tick(): void
  /** The next round is due now. */
  hurry(): void
}

export interface WatermarkWatchParts {
  readonly source: Pick<RecordSource, 'watermarks'>
  readonly clock: Clock
  readonly owned: () => Iterable<OwnedPartition>
  readonly onMarks: (owner: OwnedPartition, marks: Watermarks) => void
  readonly onFailure: (owner: OwnedPartition, error: unknown) => void
}

const INTERVAL_MS = 2_000
/**
 * Each question holds a thread of the process until it is answered, for seconds while the broker is away. Polls need threads
 * as well: with one question for each partition they waited behind a queue that grew for as long as the outage.
 */
const QUESTIONS_AT_ONCE = 2

/**
 * Asks the broker, because what the client remembers stands still while a partition is paused, and because the client may
 * keep a position outside of the log to itself.
 */
export function createWatermarkWatch(parts: WatermarkWatchParts): WatermarkWatch {
  const { source, clock } = parts
  let dueAt = 0
  let asking = 0

  async function askAll(waiting: Iterator<OwnedPartition>): Promise<void> {
    for (let next = waiting.next(); next.done !== true; next = waiting.next()) {
      const owner = next.value
      try {
        parts.onMarks(owner, await source.watermarks({ topic: owner.topic, partition: owner.partition }))
      } catch (error) {
        parts.onFailure(owner, error)
      }
    }
    asking -= 1
  }

  return {
    tick() {
      if (asking > 0 || clock.monotonic() < dueAt) return
      dueAt = clock.monotonic() + INTERVAL_MS
      const waiting = [...parts.owned()].values()
      asking = QUESTIONS_AT_ONCE
      for (let i = 0; i < QUESTIONS_AT_ONCE; i++) void askAll(waiting)
    },
    hurry() {
      dueAt = 0
    },
  }
}
