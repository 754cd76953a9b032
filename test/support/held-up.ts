import { onTestFinished } from 'vitest'

const TICK_MS = 50

/**
 * Watches from now on, until the test ends, for how long a machine that is busy with others holds this process up, and its neighbours with
 * it: a bound that the product promises is held against the time beyond that.
 * @returns that time so far, in ms
 */
export function watchHeldUp(): () => number {
  let lookedAtMs = performance.now()
  let heldUpMs = 0
  function look(): void {
    const nowMs = performance.now()
    heldUpMs += Math.max(0, nowMs - lookedAtMs - 2 * TICK_MS)
    lookedAtMs = nowMs
  }
  const timer = setInterval(look, TICK_MS)
  onTestFinished(() => clearInterval(timer))
  return () => {
    look()
    return heldUpMs
  }
}
