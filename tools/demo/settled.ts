import { CommandFailed } from '../../src/cli/failure.ts'
import { dispositionOf } from '../../src/engine/errors.ts'
import { grouped } from '../../src/engine/grouped.ts'
import type { Clock } from '../../src/engine/ports.ts'
import type { StreamCounts } from '../../src/engine/postgres/stream-counts.ts'
import type { TopicPartition } from '../../src/engine/record.ts'

/** Where a partition stands: below `nextOffset` everything is settled. */
export interface Progressed extends TopicPartition {
  readonly nextOffset: bigint
}

/** Where the records end that the generator has sent. */
export interface Ends {
  /** One was acknowledged. */
  note(topic: string, at: { readonly partition: number; readonly offset: bigint }): void
  /** How many offsets up to the last of them are not settled. */
  left(progress: readonly Progressed[]): number
}

export function createEnds(): Ends {
  const ends = new Map<string, bigint>()
  const idOf = (topic: string, partition: number) => `${partition} ${topic}`
  return {
    note(topic, { partition, offset }) {
      const id = idOf(topic, partition)
      const end = ends.get(id)
      if (end === undefined || offset >= end) ends.set(id, offset + 1n)
    },
    left(progress) {
      const reached = new Map(progress.map(({ topic, partition, nextOffset }) => [idOf(topic, partition), nextOffset]))
      let left = 0n
      for (const [id, end] of ends) {
        // Without a row it has not begun, wherever the records before them end.
        const next = reached.get(id) ?? 0n
        if (next < end) left += end - next
      }
      return Number(left)
    },
  }
}

export interface SettledParts {
  readonly ends: Ends
  readonly produced: number
  readonly readProgress: () => Promise<readonly Progressed[]>
  readonly readCounts: () => Promise<StreamCounts>
  readonly show: (done: number, counts: StreamCounts | undefined) => void
  /** Ends the wait. */
  readonly failed: AbortSignal
  readonly clock: Clock
}

/** Without any progress for this long, the unsettled records are taken as stuck. */
const STALLED_AFTER_MS = 60_000
const LOOK_EVERY_MS = 50

/**
 * Waits until each record that was produced is settled. That is known by where the partitions stand, not by how many records were settled: a
 * partition that an operator moves back settles some again, and one that is moved forward skips some.
 * @returns when that was seen, as the clock's `monotonic()`
 * @throws CommandFailed when nothing moves any more
 */
export async function untilSettled(parts: SettledParts): Promise<number> {
  const { ends, produced, readProgress, readCounts, show, failed, clock } = parts
  let seen = ''
  let seenAtMs = clock.monotonic()
  for (;;) {
    const progress = await unlessAway(readProgress())
    const left = progress === undefined ? undefined : ends.left(progress)
    if (left !== undefined) show(Math.max(0, produced - left), await unlessAway(readCounts()))
    if (left === 0 || failed.aborted) return clock.monotonic()
    const now = (progress ?? []).map(({ nextOffset }) => nextOffset).join()
    if (progress !== undefined && now !== seen) {
      seen = now
      seenAtMs = clock.monotonic()
    }
    if (clock.monotonic() - seenAtMs > STALLED_AFTER_MS) {
      const records = left === undefined ? 'records' : `${grouped(left)} of ${grouped(produced)} records`
      throw new CommandFailed(`${records} are still not settled, and nothing moves`)
    }
    await clock.sleep(LOOK_EVERY_MS)
  }
}

/**
 * Postgres may be stopped on purpose, to see what happens: the service waits for it, and so does the demo.
 * @returns `undefined` while Postgres is unavailable
 */
export async function unlessAway<R>(look: Promise<R>): Promise<R | undefined> {
  try {
    return await look
  } catch (error) {
    if (dispositionOf(error) !== 'retry') throw error
    return undefined
  }
}
