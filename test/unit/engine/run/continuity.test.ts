import { expect, it } from 'vitest'
import { contradiction } from '#src/engine/run/continuity.ts'
import { aRecord } from '../../../support/records.ts'

const last = { offset: 99n, leaderEpoch: 5 }

it.each([
  ['the record that was settled', { offset: 99n, leaderEpoch: 5 }],
  ['a later one, because compaction or retention took that', { offset: 120n, leaderEpoch: 7 }],
  ['one of a broker that tells no epoch', { offset: 99n }],
])('says nothing of %s', (_, record) => {
  expect(contradiction(last, aRecord(record))).toBeUndefined()
})

it.each([
  ['another record at the same offset', { offset: 99n, leaderEpoch: 6 }],
  ['one of an earlier leader behind it', { offset: 100n, leaderEpoch: 4 }],
])('finds %s, and names both and the way on', (_, record) => {
  const error = contradiction(last, aRecord({ topic: 'orders', partition: 3, ...record }))
  expect(error).toMatchObject({ code: 'log_truncated', disposition: 'halt' })
  expect(error?.message).toContain('orders-3')
  expect(error?.message).toContain(`leader epoch ${record.leaderEpoch}`)
  expect(error?.message).toContain('holdfast seek --partition 3')
})
