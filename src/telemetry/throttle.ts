/** For what may come many times a second: one line for each key and interval. */
export interface Throttle {
  /**
   * Writes the first one of its key at once. What comes within the interval is held back; when it is over, the last of that is
   * written, so that neither the latest state nor how much there was of it is lost, and the interval starts again.
   * @param write gets the number that came within the interval, this one included, of which it is the last; 0 for one that is
   *   written at once
   */
  pass(key: string, write: (heldBack: number) => void): void
  /** Writes what is held, at once. */
  flush(): void
}

/**
 * @param intervalMs between two lines with the same key
 * @param later calls back after so many ms. Default: a timer that keeps no process alive
 */
export function createThrottle(
  intervalMs: number,
  later: (ms: number, call: () => void) => void = afterwards,
): Throttle {
  interface Held {
    count: number
    last?: (heldBack: number) => void
  }
  // Keys without news for an interval are forgotten, so this stays small.
  const open = new Map<string, Held>()

  function release(held: Held): boolean {
    const { count, last } = held
    held.count = 0
    delete held.last
    last?.(count)
    return last !== undefined
  }

  function over(key: string): void {
    const held = open.get(key)
    if (held !== undefined && release(held)) later(intervalMs, () => over(key))
    else open.delete(key)
  }

  return {
    pass(key, write) {
      const held = open.get(key)
      if (held !== undefined) {
        held.count += 1
        held.last = write
        return
      }
      open.set(key, { count: 0 })
      later(intervalMs, () => over(key))
      write(0)
    },
    flush() {
      for (const held of open.values()) release(held)
    },
  }
}

function afterwards(ms: number, call: () => void): void {
  setTimeout(call, ms).unref()
}
