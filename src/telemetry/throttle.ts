/** Lets one line through for each key and interval, and counts those it held back. */
export interface Throttle {
  /** @returns how many were held back since the last line, or `undefined` when this one should be held back, too. */
  pass(key: string): number | undefined
}

/**
 * @param intervalMs between two lines with the same key
 * @param now monotonic ms
 */
export function createThrottle(intervalMs: number, now: () => number): Throttle {
  // Keys come from closed sets and partitions, so this stays small.
  const seen = new Map<string, { atMs: number; held: number }>()
  return {
    pass(key) {
      const last = seen.get(key)
      const atMs = now()
      if (last !== undefined && atMs - last.atMs < intervalMs) {
        last.held += 1
        return undefined
      }
      seen.set(key, { atMs, held: 0 })
      return last?.held ?? 0
    },
  }
}
