import { expect, it } from 'vitest'
import { differences, FIGURES_WITHOUT_ITEMS } from '../../../bench/checks.ts'

const expected = { orders: 3, deliveries: 3, payments: 3, items: 7, amount: 100, totalPrice: 70 }

it('names what differs from the generated orders', () => {
  expect(differences(expected, expected)).toEqual([])
  expect(differences({ ...expected, amount: 99 }, expected)).toEqual(['amount: 99 in the tables, 100 generated'])
  expect(differences({ ...expected, items: Number.NaN }, expected)).toHaveLength(1)
})

it('leaves out the items of what trims none', () => {
  expect(differences({ ...expected, items: 8, totalPrice: 80 }, expected, FIGURES_WITHOUT_ITEMS)).toEqual([])
})
