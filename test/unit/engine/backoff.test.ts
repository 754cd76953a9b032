import { expect, it } from 'vitest'
import { backoffMs } from '#src/engine/backoff.ts'

const policy = { initialMs: 100, maxMs: 30_000 }

it('doubles the ceiling with each attempt until the cap', () => {
  const ceilings = [1, 2, 3, 9, 10, 1_000].map(attempt => backoffMs(policy, attempt, 0.999_999_9))
  expect(ceilings).toEqual([99, 199, 399, 25_599, 29_999, 29_999])
})

it('spreads a fleet over the whole range, at the cap too', () => {
  expect(backoffMs(policy, 50, 0)).toBe(0)
  expect(backoffMs(policy, 50, 0.5)).toBe(15_000)
})
