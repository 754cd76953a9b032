import type { BatchLimits } from '../../core/batch.ts'
import type { Clock } from '../ports.ts'
import type { Batch, OwnedPartition } from './partition.ts'
import { createSignal } from './signal.ts'
import type { Slots } from './slots.ts'

/**
 * Takes the batches of one partition in order: while one is in the store, the next one is validated and its dead letters
 * are sent. Partitions wait for themselves only: one whose batch waits for a lock, or for its partition of the dead-letter
 * topic, keeps no other from working.
 */
export interface PartitionWorker {
  /** Records came in, or a pause was lifted. */
  wake(): void
  /** Ends it after the batch in hand. */
  stop(): void
  /** Resolves when it has ended. Never rejects. */
  readonly ended: Promise<void>
}

export interface WorkerParts {
  readonly limits: BatchLimits
  readonly clock: Clock
  /** Bounds the batches in hand over all partitions; a batch that waits between two attempts does not count. */
  readonly inHand: Slots
  /**
   * Validates and diverts. Must not throw.
   * @param release gives up the places that the partition has among those in hand
   * @returns what writes it; `undefined` when the batch was given up
   */
  readonly prepare: (batch: Batch, release: () => void) => Promise<(() => Promise<void>) | undefined>
}

export function startWorker(owner: OwnedPartition, { limits, clock, inHand, prepare }: WorkerParts): PartitionWorker {
  const changed = createSignal()
  const places = new Set<() => void>()
  let stopping = false

  async function waitForWork(): Promise<void> {
    const dueAt = owner.dueAt(limits)
    if (dueAt === undefined) return await changed.wait()
    const early = new AbortController()
    await Promise.race([changed.wait(), clock.sleep(Math.max(1, dueAt - clock.monotonic()), early.signal)])
    early.abort()
  }

  function giveBack(place: () => void): void {
    places.delete(place)
    place()
  }

  /** A batch that is tried again holds up the one behind it. */
  function releaseAll(): void {
    for (const place of places) giveBack(place)
  }

  async function work(): Promise<void> {
    let writing: Promise<void> = Promise.resolve()
    while (!stopping) {
      if (!owner.isDue(limits, clock.monotonic())) {
        await waitForWork()
        continue
      }
      // The batch is taken when its place is free, and not before: meanwhile it grows.
      const place = await inHand.take()
      places.add(place)
      const batch = stopping ? undefined : owner.take(limits, clock.monotonic())
      const settle = batch === undefined ? undefined : await prepare(batch, releaseAll)
      await writing
      if (settle === undefined) giveBack(place)
      writing = settle?.().finally(() => giveBack(place)) ?? Promise.resolve()
    }
    await writing
  }

  return {
    wake: () => changed.notify(),
    stop() {
      stopping = true
      changed.notify()
    },
    ended: work(),
  }
}
