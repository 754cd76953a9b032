export interface BackoffPolicy {
  /** The cap of the first wait, in ms. */
  readonly initialMs: number
  /** The cap of every wait, in ms. */
  readonly maxMs: number
}

/**
 * The wait before the next attempt: exponential with full jitter *below* the cap, so that a fleet that fell over
 * together does not come back together. (A cap that is applied after the jitter makes all of them wait exactly the cap.)
 * @param attempt the attempt that failed, counting from 1
 * @param random a number in [0, 1)
 * @returns ms, in [0, min(maxMs, initialMs * 2^(attempt-1)))
 */
export function backoffMs(policy: BackoffPolicy, attempt: number, random: number): number {
  // 2^30 times anything is beyond every cap, and stays a finite number.
  const ceiling = Math.min(policy.maxMs, policy.initialMs * 2 ** Math.min(attempt - 1, 30))
  return Math.floor(ceiling * random)
}
