import type { Clock } from '../ports.ts'

/**
 * Asks every so often, one question at a time: one that is not answered holds a connection, and a second one would hold
 * another. What fails is asked again when it is time to; outages are reported elsewhere.
 * @param isUrgent whether the next question is due although it is not time yet
 * @returns what asks when it is time to; it waits for nothing
 */
export function askAgain(
  clock: Pick<Clock, 'monotonic'>,
  intervalMs: number,
  ask: () => Promise<void>,
  isUrgent: () => boolean = () => false,
): () => void {
  let dueAtMs = 0
  let asking = false
  return () => {
    if (asking || (clock.monotonic() < dueAtMs && !isUrgent())) return
    dueAtMs = clock.monotonic() + intervalMs
    asking = true
    ask()
      .catch(() => {})
      .finally(() => {
        asking = false
      })
  }
}
