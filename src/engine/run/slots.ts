/** A bounded number of places. First come, first served. */
export interface Slots {
  /** @returns gives the place back, safe to call twice */
  take(): Promise<() => void>
}

export function createSlots(count: number): Slots {
  const queue: (() => void)[] = []
  let free = count

  return {
    async take() {
      if (free > 0) free -= 1
      else await new Promise<void>(resolve => queue.push(resolve))
      let held = true
      return () => {
        if (!held) return
        held = false
        const next = queue.shift()
        if (next === undefined) free += 1
        else next()
      }
    },
  }
}
