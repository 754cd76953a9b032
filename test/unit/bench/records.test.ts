import { expect, it } from 'vitest'
import { type BenchRecord, type RecordOptions, recordsOf } from '../../../bench/records.ts'
import { createOrderJudge, type Order } from '../../support/order.ts'

const PLAIN: RecordOptions = {
  ...{ seed: 1, updatesRatio: 0, invalidRatio: 0 },
  ...{ items: undefined, hotShare: undefined, partitions: 6 },
}
const judge = createOrderJudge({ maxBytes: 1024 * 1024 })

it('puts the wanted share of the orders on the first partition, and some on each of the others', () => {
  const count = new Map<number, number>()
  for (const { partition = -1 } of taken(2_000, { ...PLAIN, hotShare: 0.9 })) {
    count.set(partition, (count.get(partition) ?? 0) + 1)
  }
  expect([...count.keys()].sort()).toEqual([0, 1, 2, 3, 4, 5])
  expect((count.get(0) ?? 0) / 2_000).toBeCloseTo(0.9, 1)
})

it('keeps all versions of an order on one partition', () => {
  const partitions = new Map<string, Set<number | undefined>>()
  for (const { key, partition } of taken(2_000, { ...PLAIN, updatesRatio: 0.5, hotShare: 0.9 })) {
    partitions.set(String(key), (partitions.get(String(key)) ?? new Set()).add(partition))
  }
  expect(Math.max(...[...partitions.values()].map(({ size }) => size))).toBe(1)
})

it('makes large orders that are valid, with sums that add up', () => {
  for (const { key, value, order } of taken(20, { ...PLAIN, items: 100 })) {
    expect(order?.items).toHaveLength(100)
    expect(new Set(order?.items.map(({ rid }) => rid)).size).toBe(100)
    const { payment, items } = order as Order
    expect(judge({ key, value })).toMatchObject({ ok: true, value: { payment, items }, unusual: [] })
  }
})

it('has no order in a record that is invalid', () => {
  const records = taken(1_000, { ...PLAIN, invalidRatio: 0.1 })
  const invalid = records.filter(({ order }) => order === undefined)
  expect(invalid.length).toBeGreaterThan(50)
  expect(invalid.filter(({ key, value }) => judge({ key, value }).ok)).toEqual([])
})

function taken(count: number, options: RecordOptions): BenchRecord[] {
  const records = recordsOf(options)
  return Array.from({ length: count }, () => records.next())
}
