import { expect, it } from 'vitest'
import { collapse } from '#src/core/collapse.ts'
import { compareOrigins } from '#src/core/record.ts'
import { aReady } from '../../support/records.ts'

it('keeps the newest version of each order, and sorts by uid in byte order', () => {
  const records = [
    aReady('b', { offset: 1n }),
    aReady('a', { offset: 2n }),
    aReady('b', { offset: 3n }),
    aReady('B', { offset: 4n }),
  ]
  const collapsed = collapse(records)
  expect(collapsed.orders.map(({ value }) => value)).toEqual(['B@4', 'a@2', 'b@3'])
  expect(collapsed).toMatchObject({ superseded: 1, duplicate: 0, stale: 0 })
})

it('lets a redriven older version count as stale, though it arrives later', () => {
  const newer = aReady('a', { offset: 9n })
  const redriven = {
    ...aReady('a', { offset: 10n }),
    origin: { topic: 'orders', partition: 0, offset: 3n, timestampMs: 1 },
  }
  const collapsed = collapse([newer, redriven])
  expect(collapsed.orders).toEqual([newer])
  expect(collapsed).toMatchObject({ superseded: 0, duplicate: 0, stale: 1 })
})

it('counts the same origin twice as a duplicate', () => {
  const first = aReady('a', { offset: 3n })
  expect(collapse([first, { ...aReady('a', { offset: 4n }), origin: first.origin }])).toMatchObject({ duplicate: 1 })
})

it('compares by offset on one partition, by timestamp across partitions, and lets the arriving one win a tie', () => {
  const stored = { topic: 'orders', partition: 0, offset: 5n, timestampMs: 1_000 }
  expect(compareOrigins({ ...stored, offset: 6n, timestampMs: 1 }, stored)).toBe('newer')
  expect(compareOrigins({ ...stored, offset: 4n, timestampMs: 9_999 }, stored)).toBe('older')
  expect(compareOrigins(stored, stored)).toBe('same')
  expect(compareOrigins({ ...stored, partition: 1, offset: 1n }, stored)).toBe('newer')
  expect(compareOrigins({ ...stored, partition: 1, timestampMs: 999 }, stored)).toBe('older')
  expect(compareOrigins({ ...stored, topic: 'orders2' }, stored)).toBe('newer')
})
