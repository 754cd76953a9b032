import { dispositionOf } from '../engine/errors.ts'
import type { Clock, HeadReader } from '../engine/ports.ts'
import type { PartitionProgress } from './stream-ports.ts'

/** Seconds; `'asked'`: the answer is awaited; `undefined`: it cannot be known just now. */
export type LagAnswer = number | 'asked' | undefined

/** How far the live stream is behind, for work that gives way to it, whichever processes consume it. */
export interface StreamLag extends AsyncDisposable {
  /**
   * Age of the oldest record that is not settled, in seconds; 0: there is none. Asks the database and Kafka when it is due, and waits a
   * moment for them at most. Partitions that wait for an operator, or that one has paused, do not count.
   */
  seconds(): Promise<LagAnswer>
}

/** Between two questions. */
const INTERVAL_MS = 2_000
/** How long a caller waits for a new answer. */
const PATIENCE_MS = 1_000
/** Answers older than this no longer describe the current state, and a question that is older is not expected to be answered. */
const FRESH_MS = 15_000

export function createStreamLag(parts: {
  readonly topic: string
  /** Progress of each partition. */
  readonly progress: () => Promise<readonly PartitionProgress[]>
  /** Is disposed of with this. */
  readonly heads: HeadReader
  readonly clock: Clock
}): StreamLag {
  const { topic, progress, heads, clock } = parts
  let known: { readonly seconds: number; readonly atMs: number } | undefined
  let asking: Promise<void> | undefined
  let askedAtMs = 0
  /** The last question came to nothing: the next one, which may take as long, is not waited for. */
  let isUnknown = false
  let dueAtMs = Number.NEGATIVE_INFINITY

  async function ask(): Promise<void> {
    try {
      const ages: number[] = []
      for (const { partition, next, pausedFor, manualPause } of await progress()) {
        if (pausedFor !== undefined || manualPause !== undefined) continue
        const age = await ageOf(partition, next)
        if (age !== undefined) ages.push(age)
      }
      isUnknown = ages.length === 0
      if (ages.length > 0) known = { seconds: Math.max(...ages), atMs: clock.monotonic() }
    } catch (error) {
      isUnknown = true
      // While Postgres is away, work waits for it by itself.
      if (dispositionOf(error) !== 'retry') throw error
    }
  }

  /** @returns `undefined` for a partition that cannot be read just now, or whose record has no timestamp */
  async function ageOf(partition: number, nextOffset: bigint): Promise<number | undefined> {
    try {
      const head = await heads.headAt({ topic, partition, nextOffset })
      if ('emptyTo' in head) return 0
      // A producer's clock may be ahead of ours.
      return head.timestampMs < 0 ? undefined : Math.max(0, clock.now() - head.timestampMs) / 1000
    } catch {
      return undefined
    }
  }

  return {
    async seconds() {
      if (asking === undefined && clock.monotonic() >= dueAtMs) {
        askedAtMs = clock.monotonic()
        asking = ask().finally(() => {
          asking = undefined
          dueAtMs = clock.monotonic() + INTERVAL_MS
        })
        // It is awaited below or by a later call, or not at all.
        asking.catch(() => {})
      }
      if (asking !== undefined) {
        const answered = new AbortController()
        await Promise.race([asking.finally(() => answered.abort()), clock.sleep(PATIENCE_MS, answered.signal)])
      }
      const isFresh = (atMs: number) => clock.monotonic() - atMs <= FRESH_MS
      if (known !== undefined && isFresh(known.atMs)) return known.seconds
      return asking !== undefined && !isUnknown && isFresh(askedAtMs) ? 'asked' : undefined
    },
    [Symbol.asyncDispose]: () => heads[Symbol.asyncDispose](),
  }
}
