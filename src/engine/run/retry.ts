import pRetry from 'p-retry'
import { type BackoffPolicy, backoffMs } from '../../core/backoff.ts'
import { type Dependency, dispositionOf, OwnershipLostError, StoreContendedError } from '../../core/errors.ts'
import type { Observer } from '../../core/facts.ts'
import type { TopicPartition } from '../../core/record.ts'
import type { Clock } from '../ports.ts'
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
  /** Aborts when the partition is no longer ours: nobody waits for what another consumer does. */
  readonly signal: AbortSignal
  /** Default: none. With a bound, the breaker is not waited for, and the last error is thrown. */
  readonly maxAttempts?: number
  /** Follows the attempts. */
  readonly attempts?: Attempts
}

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
 * Repeats `work` while its error says that the world is unwell, however long that takes: an outage blames no record.
 * Between attempts it waits a backoff with full jitter, and for as long as the breaker is open.
 *
 * p-retry counts and decides; the wait is ours, because its own cap comes after the jitter, which would have every
 * consumer of a fleet wait exactly as long as the others.
 * @throws OwnershipLostError when `signal` aborts; whatever `work` throws that is not to be retried
 */
export async function retrying<R>(
  work: (attempt: number) => Promise<R>,
  parts: RetryParts,
  context: RetryContext,
): Promise<R> {
  const { dependency, breaker, partition, signal, attempts, maxAttempts = Number.POSITIVE_INFINITY } = context
  const bounded = maxAttempts !== Number.POSITIVE_INFINITY
  let doubt: Disposable | undefined
  // Wrapped, because p-retry never repeats a TypeError, and turns what is no Error into one.
  const outcome = pRetry(
    async attempt => {
      if (signal.aborted) throw new OwnershipLostError('the partition was taken away')
      return { value: await (attempts === undefined ? work(attempt) : attempts.attempt(() => work(attempt))) }
    },
    {
      retries: maxAttempts - 1,
      minTimeout: 0,
      maxTimeout: 0,
      shouldRetry: ({ error }) => dispositionOf(error) === 'retry',
      onFailedAttempt: async ({ error, attemptNumber }) => {
        if (dispositionOf(error) !== 'retry') return
        const contended = error instanceof StoreContendedError
        const maxMs = contended ? Math.min(parts.policy.maxMs, CONTENDED_MAX_MS) : parts.policy.maxMs
        const delayMs = backoffMs({ ...parts.policy, maxMs }, attemptNumber, parts.random())
        parts.observer.observe({ kind: 'retry', dependency, attempt: attemptNumber, delayMs, error, partition })
        // Contention is between transactions: the store itself is there.
        if (breaker !== undefined && !contended) {
          breaker.trip(error)
          doubt ??= breaker.doubt()
        }
        attempts?.failed(error)
        await parts.clock.sleep(delayMs, signal)
        if (!bounded) await breaker?.whenClosed(signal)
      },
    },
  )
  try {
    return (await outcome).value
  } finally {
    doubt?.[Symbol.dispose]()
    attempts?.ended()
  }
}
