import { expect, it } from 'vitest'
import { nearest } from '#src/engine/nearest.ts'

it.each([
  ['holdfst', 'holdfast'],
  ['order', 'orders'],
  ['odrers', 'orders'],
  ['payments', undefined],
  ['', undefined],
])('takes %j for %j, of holdfast, orders and returns', (name, meant) => {
  expect(nearest(name, ['holdfast', 'orders', 'returns'])).toBe(meant)
})
