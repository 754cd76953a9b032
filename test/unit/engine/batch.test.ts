import { expect, it } from 'vitest'
import { batchLength, isDue, ownSizeOf, sizeOf } from '#src/engine/batch.ts'
import { aHeader, aRecord } from '../../support/records.ts'

const limits = { maxRecords: 3, maxBytes: 100, lingerMs: 20 }
const ofSize = (size: number) => aRecord({ value: Buffer.alloc(size) })

it('closes on count', () => {
  expect(batchLength([1, 1, 1, 1].map(ofSize), 0, limits)).toBe(3)
})

it('closes before the record that would exceed the bytes', () => {
  expect(batchLength([60, 40, 1].map(ofSize), 0, limits)).toBe(2)
})

it('makes a batch of one record that is larger than the limit, rather than none', () => {
  expect(batchLength([500, 1].map(ofSize), 0, limits)).toBe(1)
})

it('starts where the last batch ended', () => {
  expect(batchLength([60, 60, 30, 30].map(ofSize), 2, limits)).toBe(2)
  expect(batchLength([60].map(ofSize), 1, limits)).toBe(0)
})

it('is due by count, bytes or age, and never when nothing waits', () => {
  expect(isDue({ records: 3, bytes: 1, ageMs: 0 }, limits)).toBe(true)
  expect(isDue({ records: 1, bytes: 100, ageMs: 0 }, limits)).toBe(true)
  expect(isDue({ records: 1, bytes: 1, ageMs: 20 }, limits)).toBe(true)
  expect(isDue({ records: 1, bytes: 1, ageMs: 19 }, limits)).toBe(false)
  expect(isDue({ records: 0, bytes: 0, ageMs: 1e9 }, limits)).toBe(false)
})

it('weighs key, value and headers', () => {
  const record = aRecord({ key: Buffer.alloc(3), value: Buffer.alloc(10), headers: [aHeader('ab', 'cde')] })
  expect(sizeOf(record)).toBe(18)
  expect(sizeOf(aRecord({ value: null }))).toBe(0)
})

it('weighs a dead letter alike before and after it was set aside', () => {
  const record = aRecord({ text: 'ab', key: Buffer.from('k'), headers: [aHeader('h', '12')] })
  const added = [
    aHeader('holdfast.id', 'orders-0-1'),
    aHeader('__dlq.errors.topic', 'orders'),
    aHeader('traceparent', '00'),
  ]
  expect(ownSizeOf(record)).toBe(6)
  expect(ownSizeOf({ ...record, headers: [...record.headers, ...added] })).toBe(6)
})
