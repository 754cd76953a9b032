import type { BackoffPolicy } from '../backoff.ts'
import { type Dependency, StoreContendedError } from '../errors.ts'
import type { Observer } from '../facts.ts'
import type { Clock } from '../ports.ts'
import type { TopicPartition } from '../record.ts'
import { retry } from '../retry.ts'
import type { Breaker } from './breaker.ts'

export interface RetryParts {
  readonly policy: BackoffPolicy
  readonly clock: Clock
  readonly random: () => number
  readonly observer: Observer
}

export interface RetryContext {
  readonly dependency: Dependency
  /** Opened by a failure, and waited for. Without one, the backoff alone decides. */
  readonly breaker?: Breaker
  readonly partition: TopicPartition
  /** Aborts with an OwnershipLostError when the partition is no longer ours: another consumer does the work then. */
  readonly signal: AbortSignal
  /** Default: none. With a bound, the breaker is not waited for, and the last error is thrown. */
  readonly maxAttempts?: number
  readonly attempts?: Attempts
}

/** Follows the attempts at one piece of work. */
export interface Attempts {
  /** Runs around each attempt. */
  attempt<R>(work: () => Promise<R>): Promise<R>
  /** An attempt has failed, and another one follows after a wait. */
  failed(error: unknown): void
  /** The work is through, or given up. */
  ended(): void
}

/** A lock is held for as long as its holder likes; once it is free, the batch must not wait out a long backoff. */
const CONTENDED_MAX_MS = 2_000

/**
 * Repeats `work` on behalf of a partition, however long that takes: an outage blames no record. Between attempts it waits a backoff,
 * and for as long as the breaker is open.
 * @throws the reason of `signal` when it aborts; whatever `work` throws that is not to be retried
 */
export async function retrying<R>(
  work: (attempt: number) => Promise<R>,
  { policy, clock, random, observer }: RetryParts,
  { dependency, breaker, partition, signal, attempts, maxAttempts }: RetryContext,
): Promise<R> {
  const bounded = maxAttempts !== undefined && maxAttempts !== Number.POSITIVE_INFINITY
  let doubt: Disposable | undefined
  try {
    return await retry(attempt => (attempts === undefined ? work(attempt) : attempts.attempt(() => work(attempt))), {
      policy,
      clock,
      random,
      signal,
      maxAttempts,
      maxMs: error => (error instanceof StoreContendedError ? CONTENDED_MAX_MS : policy.maxMs),
      onFailed({ error, attempt, delayMs }) {
        observer.observe({ kind: 'retry', dependency, attempt, delayMs, error, partition })
        // Contention is between transactions: the store itself is there.
        if (breaker !== undefined && !(error instanceof StoreContendedError)) {
          breaker.trip(error)
          doubt ??= breaker.doubt()
        }
        attempts?.failed(error)
      },
      until: bounded ? undefined : async () => await breaker?.whenClosed(signal),
    })
  } finally {
    doubt?.[Symbol.dispose]()
    attempts?.ended()
  }
}
