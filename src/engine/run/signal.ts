/** Wakes all that wait for it: a condition variable for one thread. */
export interface Signal {
  /** Resolves at the next `notify()`. */
  wait(): Promise<void>
  notify(): void
}

export function createSignal(): Signal {
  let pending = Promise.withResolvers<void>()
  return {
    wait: () => pending.promise,
    notify() {
      pending.resolve()
      pending = Promise.withResolvers<void>()
    },
  }
}
