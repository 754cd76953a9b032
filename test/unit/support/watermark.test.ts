import { expect, it } from 'vitest'
import { createVerdicts } from '../../chaos/invariants.ts'
import { createWatermark } from '../../chaos/watermark.ts'

function aWatermark() {
  let clock = 0
  const verdicts = createVerdicts(() => {})
  const watermark = createWatermark('progress', verdicts, () => clock)
  const offsets = new Map<number, bigint>()
  return {
    watermark,
    verdicts,
    /** Lets time pass while these partitions move every 200 ms. */
    pass(ms: number, ...moving: number[]) {
      for (const end = clock + ms; clock < end; ) {
        clock += 200
        for (const partition of moving) {
          const next = (offsets.get(partition) ?? 0n) + 1n
          offsets.set(partition, next)
          watermark.saw(partition, next)
        }
      }
      return clock
    },
  }
}

it('finds a position that goes back, and none in one that stands still', () => {
  const { watermark, verdicts } = aWatermark()
  watermark.saw(0, 5n)
  watermark.saw(0, 5n)
  watermark.saw(1, 3n)
  expect(verdicts.violations).toEqual([])
  watermark.saw(0, 4n)
  expect(verdicts.violations).toEqual([{ invariant: 'I7', what: 'partition 0: progress went back from 5 to 4' }])
  expect(verdicts.checks('I7')).toBe(4)
})

it('calls it steady once every partition has moved for a while', () => {
  const { watermark, pass } = aWatermark()
  const healed = pass(1_000, 0, 1)
  pass(3_000, 0)
  expect(watermark.steadySince([0, 1], healed)).toBeUndefined()
  const bothFrom = pass(200, 0, 1)
  pass(1_000, 0, 1)
  expect(watermark.steadySince([0, 1], healed)).toBeUndefined()
  pass(2_000, 0, 1)
  expect(watermark.steadySince([0, 1], healed)).toBe(bothFrom)
})

it('is not deceived by a last twitch before a longer stop', () => {
  const { watermark, pass } = aWatermark()
  const healed = pass(1_000, 0)
  pass(600, 0)
  pass(6_000)
  expect(watermark.steadySince([0], healed)).toBeUndefined()
  const movesFrom = pass(200, 0)
  pass(2_600, 0)
  expect(watermark.steadySince([0], healed)).toBe(movesFrom)
  expect(watermark.longestGap(healed, movesFrom)).toBe(6_200)
})
