import type { Clock } from '../ports.ts'

/**
 * Asks every so often, one question at a time: one that nobody answers holds a connection, and a second one would hold
 * another. What fails is asked again when it is time to; whoever is away is told of by others.
 * @returns what asks when it is time to; it waits for nothing
 */
export function askAgain(clock: Pick<Clock, 'monotonic'>, intervalMs: number, ask: () => Promise<void>): () => void {
  let dueAt = 0
  let asking = false
  return () => {
    if (asking || clock.monotonic() < dueAt) return
    dueAt = clock.monotonic() + intervalMs
    asking = true
    ask()
      .catch(() => {})
      .finally(() => {
        asking = false
      })
  }
}
