import { expect, it } from 'vitest'
import { median } from '../../../bench/measurement.ts'

it('has as median the middle one, or the mean of the middle two', () => {
  expect(median([9, 1, 4])).toBe(4)
  expect(median([9, 1, 4, 2])).toBe(3)
  expect(() => median([])).toThrow(RangeError)
})
