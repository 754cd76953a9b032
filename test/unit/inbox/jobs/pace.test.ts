import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createPace } from '#src/inbox/jobs/pace.ts'

/** Time as the test moves it. */
function aClock() {
  let nowMs = 5_000
  return {
    now: () => nowMs,
    monotonic: () => nowMs,
    sleep: async (ms: number) => {
      nowMs += ms
    },
  }
}

describe('the pace of a redrive', () => {
  it('lets the n-th record go (n - 1) / rate seconds after the first, within 10 %', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0.05, max: 5_000, noNaN: true }),
        fc.integer({ min: 2, max: 300 }),
        // How much later than asked a timer wakes, and what each record takes of itself
        fc.double({ min: 0, max: 15, noNaN: true }),
        async (rate, count, lateMs) => {
          const clock = aClock()
          const pace = createPace(rate, clock)
          const startedMs = clock.monotonic()
          for (let n = 1; n <= count; n++) {
            for (let ms = pace.dueInMs(); ms > 0; ms = pace.dueInMs()) await clock.sleep(ms + lateMs)
            pace.take()
          }
          const seconds = (clock.monotonic() - startedMs) / 1000
          const ideal = (count - 1) / rate
          // Never faster; and slower by the last timer besides
          expect(seconds).toBeGreaterThanOrEqual(ideal - 1e-6)
          expect(seconds).toBeLessThanOrEqual(ideal * 1.1 + (lateMs + 2) / 1000)
        },
      ),
    )
  })

  it('makes up for a second that was missed, and not for an hour', async () => {
    const clock = aClock()
    const pace = createPace(10, clock)
    pace.take()
    await clock.sleep(3_600_000)
    let burst = 0
    for (; pace.dueInMs() === 0; burst++) pace.take()
    expect(burst).toBe(10)
  })

  it('counts from the first record, however long it took to get ready', async () => {
    const clock = aClock()
    const pace = createPace(10, clock)
    await clock.sleep(5_000)
    expect(pace.dueInMs()).toBe(0)
    pace.take()
    expect(pace.dueInMs()).toBe(100)
  })

  it('holds nothing up without a rate', () => {
    const pace = createPace(undefined, aClock())
    for (let n = 0; n < 1_000; n++) {
      expect(pace.dueInMs()).toBe(0)
      pace.take()
    }
  })
})
