import { type Dependency, StoreContendedError } from '../errors.ts'
import type { PauseReason } from '../facts.ts'
import type { Clock } from '../ports.ts'
import type { Breaker } from './breaker.ts'
import type { OwnedPartition, Wait } from './partition.ts'
import type { Attempts, RetryContext } from './retry.ts'

/** How one piece of a partition's work is repeated. @param attempt runs around each attempt */
export type ContextOf = (dependency: Dependency, attempt?: Attempts['attempt']) => RetryContext

export interface WaitingParts {
  readonly clock: Clock
  readonly breakers: { readonly postgres: Breaker; readonly dlq: Breaker }
  /** Gives up what other partitions could use meanwhile. */
  readonly release: () => void
  /** Nothing of the partition waits any more on behalf of this work. */
  readonly onEnd: () => void
}

/** Work that fails and is tried again holds up its own partition: `owner.waits` holds an entry meanwhile. */
export function waitingOf(owner: OwnedPartition, { clock, breakers, release, onEnd }: WaitingParts): ContextOf {
  return (dependency, attempt = work => work()) => {
    let wait: Wait | undefined
    function become(next: Wait | undefined): void {
      if (wait !== undefined) owner.waits.delete(wait)
      wait = next
      if (next !== undefined) owner.waits.add(next)
    }
    return {
      dependency,
      breaker: dependency === 'dlq' ? breakers.dlq : breakers.postgres,
      partition: { topic: owner.topic, partition: owner.partition },
      signal: owner.abandoned,
      attempts: {
        attempt(work) {
          if (wait !== undefined) become({ ...wait, resting: false })
          return attempt(work)
        },
        failed(error) {
          owner.noteAttempt()
          release()
          const sinceMs = wait?.sinceMs ?? clock.monotonic()
          become({ reason: reasonOf(dependency, error), error, sinceMs, resting: true })
        },
        ended() {
          if (wait === undefined) return
          become(undefined)
          onEnd()
        },
      },
    }
  }
}

function reasonOf(dependency: Dependency, error: unknown): PauseReason {
  if (dependency === 'dlq') return 'dlq_away'
  return error instanceof StoreContendedError ? 'store_contended' : 'store_away'
}
