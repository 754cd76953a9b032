import { afterEach, beforeEach, expect, it } from 'vitest'
import { rounds } from '../../support/effort.ts'
import { playSchedule, type ScheduleResult } from '../../support/simulation/schedule.ts'

/**
 * `SIM_SEED=123` replays one schedule and prints what happened in it; `SIM_SCHEDULES=100000` plays more of them, and `SIM_FIRST_SEED` others.
 */
const { SIM_SEED, SIM_SCHEDULES = rounds(120, 3_000), SIM_FIRST_SEED = '1' } = process.env
const SCHEDULES = SIM_SEED === undefined ? Number(SIM_SCHEDULES) : 1
const FIRST = Number(SIM_SEED ?? SIM_FIRST_SEED)
/** Far more than it takes: it ends a test that hangs, and says nothing of speed. */
const TIMEOUT_MS = 60_000 + SCHEDULES * 2_000

const { stackTraceLimit } = Error
beforeEach(() => {
  // A fifth of the time goes into stacks of errors that are part of the play; whoever replays a seed wants them.
  if (SIM_SEED === undefined) Error.stackTraceLimit = 0
})
afterEach(() => {
  Error.stackTraceLimit = stackTraceLimit
})

it(
  `keeps every promise over ${SCHEDULES} schedules of faults`,
  async () => {
    const total = { records: 0, faults: 0, longestRecoveryMs: 0 }
    for (let seed = FIRST; seed < FIRST + SCHEDULES; seed++) {
      const result = await playSchedule(seed, { tracing: SIM_SEED !== undefined })
      if (SIM_SEED !== undefined) console.info(result.trace.join('\n'))
      expect(result.broken, `seed ${seed}: replay it with SIM_SEED=${seed}`).toBeUndefined()
      total.records += result.records
      total.faults += countOf(result)
      total.longestRecoveryMs = Math.max(total.longestRecoveryMs, result.recoveryMs)
    }
    console.info(`seeds ${FIRST} to ${FIRST + SCHEDULES - 1}: ${JSON.stringify(total)}`)
  },
  TIMEOUT_MS,
)

it('plays the same schedule again from the same seed, and another one from another', async () => {
  const [one, again, other] = [
    await playSchedule(7, { tracing: true }),
    await playSchedule(7, { tracing: true }),
    await playSchedule(8, { tracing: true }),
  ]
  expect(one.trace.length).toBeGreaterThan(100)
  expect(again).toEqual(one)
  expect(other.trace).not.toEqual(one.trace)
})

function countOf({ faults }: ScheduleResult): number {
  return Object.values(faults).reduce((sum, hits) => sum + hits, 0)
}
