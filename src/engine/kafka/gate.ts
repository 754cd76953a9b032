/** Work that goes on side by side, and work that wants to be alone: it waits for the others, and they wait for it. */
export interface Gate {
  together<R>(work: () => Promise<R>): Promise<R>
  alone<R>(work: () => Promise<R>): Promise<R>
}

export function createGate(): Gate {
  let running = 0
  let closed: Promise<void> | undefined
  let onIdle: (() => void) | undefined

  return {
    async together(work) {
      while (closed !== undefined) await closed
      running += 1
      try {
        return await work()
      } finally {
        running -= 1
        if (running === 0) onIdle?.()
      }
    },
    async alone(work) {
      // Looked at and taken in one step: of all that wait, one comes first.
      while (closed !== undefined) await closed
      const { promise, resolve } = Promise.withResolvers<void>()
      closed = promise
      try {
        if (running > 0) await new Promise<void>(idle => (onIdle = idle))
        return await work()
      } finally {
        onIdle = undefined
        closed = undefined
        resolve()
      }
    },
  }
}
