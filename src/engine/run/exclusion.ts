/** Many may be inside together, or one alone. First come, first served, so that the one gets its turn. */
export interface Exclusion {
  /** @returns the way out, safe to call twice */
  enter(alone: boolean): Promise<() => void>
}

export function createExclusion(): Exclusion {
  const queue: { readonly alone: boolean; readonly admit: () => void }[] = []
  let inside = 0
  let aloneInside = false

  function admitWhoMay(): void {
    for (let first = queue[0]; first !== undefined; first = queue[0]) {
      if (aloneInside || (first.alone && inside > 0)) return
      queue.shift()
      inside += 1
      aloneInside = first.alone
      first.admit()
    }
  }

  return {
    async enter(alone) {
      await new Promise<void>(admit => {
        queue.push({ alone, admit })
        admitWhoMay()
      })
      let left = false
      return () => {
        if (left) return
        left = true
        inside -= 1
        if (alone) aloneInside = false
        admitWhoMay()
      }
    },
  }
}
