import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from './engine/ports.ts'

/** The real one. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  async sleep(ms, signal) {
    // An abort only ends the wait: the waiting caller checks the signal.
    await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => {})
  },
}
