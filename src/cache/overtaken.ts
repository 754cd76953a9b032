/** Beyond so many it is cheaper to take nothing for a while than to remember which. */
const MAX_REMEMBERED = 50_000

export interface Overtaken {
  add(uids: readonly string[] | 'all'): void
  has(uid: string): boolean
}

/**
 * Remembers for at least `forMs`, and at most twice as long, which uids somebody else has written. In two generations,
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
    add(uids) {
      const nowMs = monotonic()
      turn(nowMs)
      if (uids !== 'all') for (const uid of uids) young.add(uid)
      if (uids !== 'all' && young.size <= MAX_REMEMBERED) return
      young.clear()
      allUntilMs = nowMs + forMs
    },
    has(uid) {
      const nowMs = monotonic()
      turn(nowMs)
      return nowMs < allUntilMs || young.has(uid) || old.has(uid)
    },
  }
}
