import type { BatchLimits } from '../core/batch.ts'
import type { PauseReason } from '../core/facts.ts'
import type { Clock } from '../core/ports.ts'
import type { Batch, OwnedPartition } from './partition.ts'
import { createSignal } from './signal.ts'

/**
 * Takes the batches of its partitions in turn, one in the store at a time: lanes write side by side, each on its own
 * connection, and a partition belongs to one lane, so its records stay in order.
 */
export interface Lane {
  readonly partitions: Set<OwnedPartition>
  /** What its batches wait for; its partitions pause meanwhile. */
  readonly waitingFor: Set<PauseReason>
  /** Something came in, or a partition came or went. */
  wake(): void
  /** Ends `run()` after the batch in hand. */
  stop(): void
  run(): Promise<void>
}

export interface LaneParts {
  readonly limits: BatchLimits
  readonly clock: Clock
  /** Validate and divert: may overlap with the writing of the batch before. Must not throw. */
  readonly prepare: (batch: Batch, lane: Lane) => Promise<(() => Promise<void>) | undefined>
}

export function createLane({ limits, clock, prepare }: LaneParts): Lane {
  const changed = createSignal()
  const stopping = new AbortController()
  let turn = 0

  /** The next due batch, round robin over the partitions, so that a busy one does not starve the others. */
  function takeDue(): Batch | undefined {
    const partitions = [...lane.partitions]
    for (let i = 0; i < partitions.length; i++) {
      const partition = partitions[(turn + i) % partitions.length]
      const nowMs = clock.monotonic()
      if (!partition?.isDue(limits, nowMs)) continue
      turn = (turn + i + 1) % partitions.length
      return partition.take(limits, nowMs)
    }
    return undefined
  }

  async function waitForWork(): Promise<void> {
    const dueAt = Math.min(
      ...[...lane.partitions].map(partition => partition.dueAt(limits) ?? Number.POSITIVE_INFINITY),
    )
    if (dueAt === Number.POSITIVE_INFINITY) return await changed.wait()
    const early = new AbortController()
    await Promise.race([changed.wait(), clock.sleep(Math.max(1, dueAt - clock.monotonic()), early.signal)])
    early.abort()
  }

  const lane: Lane = {
    partitions: new Set(),
    waitingFor: new Set(),
    wake: () => changed.notify(),
    stop() {
      stopping.abort()
      changed.notify()
    },
    async run() {
      let writing: Promise<void> = Promise.resolve()
      while (!stopping.signal.aborted) {
        const batch = takeDue()
        if (batch === undefined) {
          await waitForWork()
          continue
        }
        // While one batch is in the store, the next one is validated and its dead letters are sent.
        const settle = await prepare(batch, lane)
        await writing
        writing = settle?.() ?? Promise.resolve()
      }
      await writing
    },
  }
  return lane
}
