import { dispositionOf } from '../errors.ts'
import type { Clock } from '../ports.ts'
import { STEP_MS, type TimelineRecorder, type TimelineStep } from './timeline.ts'

/** The time line as it is stored. */
export interface TimelineStore {
  /** Writes steps of this process; a step that is there already is replaced. @throws StoreUnavailableError */
  write(steps: readonly TimelineStep[]): Promise<void>
  /** Adds up steps that have become old into longer ones, and removes those that are too old. @throws StoreUnavailableError */
  rollUp(nowMs: number): Promise<void>
}

export interface TimelineKeeperParts {
  readonly recorders: readonly TimelineRecorder[]
  readonly store: TimelineStore
  readonly clock: Pick<Clock, 'now' | 'sleep'>
  /** Called with an error that no later attempt resolves. */
  readonly onFailure: (error: unknown) => void
}

/** What waits for Postgres: six hours of one stream, some 200 bytes each. Older steps give way, and are a gap. */
const PENDING_MAX = 2_160
/** Rows of one statement. */
const WRITE_MAX = 360
const ROLL_UP_EVERY = 6
/** Timers fire some ms before the wall clock says so. A loop that wakes so close to the end of a step begins the next. */
const EARLY_MS = 100
/** A stop does not wait longer for the last, unfinished step to be written. */
const LAST_WRITE_MS = 1_000

/**
 * Ends a step of each stream every ten seconds and writes it: one statement for all streams, and one more a minute that keeps the table
 * small. Nothing waits for it. While Postgres is away steps wait in memory, so that the outage itself is in the time line afterwards.
 */
export function startTimelineKeeper({ recorders, store, clock, onFailure }: TimelineKeeperParts): AsyncDisposable {
  const stopping = new AbortController()
  let pending: TimelineStep[] = []
  let writing: Promise<void> | undefined
  let writes = 0
  const running = run()

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const beganMs = clock.now()
      const atMs = Math.floor((beganMs + EARLY_MS) / STEP_MS) * STEP_MS
      await clock.sleep(atMs + STEP_MS - beganMs, stopping.signal)
      pending.push(...recorders.flatMap(recorder => recorder.take(atMs, clock.now()) ?? []))
      pending = pending.slice(-PENDING_MAX)
      writing ??= write().finally(() => {
        writing = undefined
      })
    }
  }

  async function write(): Promise<void> {
    try {
      while (pending.length > 0) {
        const some = pending.slice(0, WRITE_MAX)
        await store.write(some)
        const written = new Set(some)
        pending = pending.filter(step => !written.has(step))
      }
      writes += 1
      if (writes % ROLL_UP_EVERY === 0) await store.rollUp(clock.now())
    } catch (error) {
      if (dispositionOf(error) !== 'retry') onFailure(error)
    }
  }

  return {
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await running
      const written = new AbortController()
      await Promise.race([writing, clock.sleep(LAST_WRITE_MS, written.signal)])
      written.abort()
    },
  }
}
