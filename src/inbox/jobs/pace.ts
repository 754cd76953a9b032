import type { Clock } from '../../engine/ports.ts'

export interface Pace {
  /** How long until the next one may go, in ms; 0: now. */
  dueInMs(): number
  /** Takes the turn of the next one, once it is due. */
  take(): void
}

/** What was missed is made up for, so that turns of pages cost no rate; but not more than this, after an outage. */
const BURST_SECONDS = 1

/** A token bucket that holds one token at the start: the n-th record goes (n - 1) / rate seconds after the first. */
export function createPace(ratePerSecond: number | undefined, clock: Clock): Pace {
  if (ratePerSecond === undefined) return { dueInMs: () => 0, take: () => {} }
  const capacity = Math.max(1, ratePerSecond * BURST_SECONDS)
  let tokens = 1
  /** The clock runs from the first record: what it takes to get ready is nothing that was missed. */
  let filledAtMs: number | undefined

  function fill(): void {
    if (filledAtMs === undefined) return
    const nowMs = clock.monotonic()
    tokens = Math.min(capacity, tokens + ((nowMs - filledAtMs) / 1000) * (ratePerSecond ?? 0))
    filledAtMs = nowMs
  }

  return {
    dueInMs() {
      fill()
      // What rounding leaves of a token would never come.
      return tokens > 1 - 1e-9 ? 0 : Math.max(1, Math.ceil(((1 - tokens) / ratePerSecond) * 1000))
    },
    take() {
      fill()
      filledAtMs ??= clock.monotonic()
      tokens -= 1
    },
  }
}
