/** Beyond so many it is cheaper to take nothing for a while than to remember which. */
const MAX_REMEMBERED = 50_000

export interface Overtaken {
  add(keys: readonly string[] | 'all'): void
  has(key: string): boolean
}

/**
 * Remembers for at least `forMs`, and at most twice as long, which keys other processes have written. In two generations,
 * so that forgetting costs nothing.
 */
export function rememberOvertaken(forMs: number, monotonic: () => number): Overtaken {
  let young = new Set<string>()
  let old = new Set<string>()
  let turnedAtMs = Number.NEGATIVE_INFINITY
  let allUntilMs = Number.NEGATIVE_INFINITY

  function turn(nowMs: number): void {
    if (nowMs - turnedAtMs < forMs) return
    old = nowMs - turnedAtMs < 2 * forMs ? young : new Set()
    young = new Set()
    turnedAtMs = nowMs
  }

  return {
    add(keys) {
      const nowMs = monotonic()
      turn(nowMs)
      if (keys !== 'all') for (const key of keys) young.add(key)
      if (keys !== 'all' && young.size <= MAX_REMEMBERED) return
      young.clear()
      allUntilMs = nowMs + forMs
    },
    has(key) {
      const nowMs = monotonic()
      turn(nowMs)
      return nowMs < allUntilMs || young.has(key) || old.has(key)
    },
  }
}
