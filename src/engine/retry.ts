import pRetry from 'p-retry'
import { type BackoffPolicy, backoffMs } from './backoff.ts'
import { dispositionOf } from './errors.ts'
import type { Clock } from './ports.ts'

/** An attempt that failed, and is followed by another one after `delayMs`. */
export interface FailedAttempt {
  readonly error: unknown
  /** Counts from 1. */
  readonly attempt: number
  readonly delayMs: number
}

export interface RetryOptions {
  readonly policy: BackoffPolicy
  readonly clock: Pick<Clock, 'sleep'>
  readonly random: () => number
  /** Ends it before the next attempt, with the reason of the abort. */
  readonly signal: AbortSignal
  /** Default: without end. After so many attempts the last error is thrown. */
  readonly maxAttempts?: number | undefined
  /** Whether another attempt may succeed. Default: where the error's disposition is to retry. */
  readonly passes?: (error: unknown) => boolean
  /** A lower cap of the wait after this error, in ms. Default: that of the policy. */
  readonly maxMs?: (error: unknown) => number
  /** Reports each attempt that is followed by another one, before the wait. */
  readonly onFailed?: (failed: FailedAttempt) => void
  /** Waited for after the backoff: until the dependency is known to be back, say. */
  readonly until?: (() => Promise<void>) | undefined
}

/**
 * The one loop that repeats work: with a backoff and full jitter between the attempts, for as long as the error says that the world is
 * unwell.
 *
 * p-retry repeats and counts. The wait is ours, because its cap comes after the jitter, which would have every consumer of a fleet wait
 * equally long; and so is the abort, because it drops the result of an attempt that succeeded after its signal had aborted.
 * @throws what `work` threw last; the reason of the signal when it aborts
 */
export async function retry<R>(work: (attempt: number) => Promise<R>, options: RetryOptions): Promise<R> {
  const { policy, clock, random, signal, maxAttempts = Number.POSITIVE_INFINITY, maxMs, onFailed, until } = options
  const passes = options.passes ?? (error => dispositionOf(error) === 'retry')
  signal.throwIfAborted()
  return await pRetry(attempt => wrapped(() => work(attempt)), {
    retries: Number.POSITIVE_INFINITY,
    minTimeout: 0,
    async onFailedAttempt({ error: { cause: error }, attemptNumber: attempt }) {
      if (attempt >= maxAttempts || !passes(error)) throw error
      const cap = Math.min(policy.maxMs, maxMs?.(error) ?? policy.maxMs)
      const delayMs = backoffMs({ ...policy, maxMs: cap }, attempt, random())
      onFailed?.({ error, attempt, delayMs })
      await clock.sleep(delayMs, signal)
      await until?.()
      signal.throwIfAborted()
    },
  })
}

/** p-retry never repeats a TypeError, replaces what is no Error, and opens an AbortError: as a cause, each stays what it is. */
async function wrapped<R>(work: () => Promise<R>): Promise<R> {
  try {
    return await work()
  } catch (error) {
    throw new Error('the attempt failed', { cause: error })
  }
}
