import { expect, it } from 'vitest'
import { batchLength, dueAtMs, FETCH_MS, FILL_MS, ownSizeOf, sizeOf } from '#src/engine/batch.ts'
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

const since = { sinceMs: 1_000, lastMs: 1_000, fillingSinceMs: 1_000 }
const waiting = { records: 1, bytes: 1, ...since, inSight: 0, isMoreFetched: false }

it('is due by count, bytes or age, and never when nothing waits', () => {
  expect(dueAtMs({ ...waiting, records: 3 }, limits)).toBe(Number.NEGATIVE_INFINITY)
  expect(dueAtMs({ ...waiting, bytes: 100 }, limits)).toBe(Number.NEGATIVE_INFINITY)
  expect(dueAtMs(waiting, limits)).toBe(1_020)
  expect(dueAtMs({ ...waiting, records: 0 }, limits)).toBe(Number.POSITIVE_INFINITY)
})

it('waits for what the log holds and the client has fetched, for a bounded time after it began to fill', () => {
  const inSight = { ...waiting, inSight: 1, isMoreFetched: true }
  expect(dueAtMs(inSight, limits)).toBe(1_000 + FILL_MS)
  expect(dueAtMs({ ...inSight, records: 3 }, limits)).toBe(Number.NEGATIVE_INFINITY)
  // What was left by the batch before has waited for long, and begins to fill only now.
  expect(dueAtMs({ ...inSight, sinceMs: 0, fillingSinceMs: 1_500 }, limits)).toBe(1_500 + FILL_MS)
})

it('does not wait for the few that a trickle may have behind it, as the marker of a transaction', () => {
  const large = { ...limits, maxRecords: 1_000 }
  expect(dueAtMs({ ...waiting, inSight: 99, isMoreFetched: true }, large)).toBe(1_020)
  expect(dueAtMs({ ...waiting, inSight: 100, isMoreFetched: true }, large)).toBe(1_000 + FILL_MS)
})

it('waits no longer than a fetch takes for what is only in the log: an open transaction may hide it', () => {
  const inLog = { ...waiting, inSight: 9, lastMs: 1_400 }
  expect(dueAtMs(inLog, limits)).toBe(1_400 + FETCH_MS)
  expect(dueAtMs({ ...inLog, lastMs: 1_000 + FILL_MS }, limits)).toBe(1_000 + FILL_MS)
})

it('never waits for less than the linger, however short the time for filling is', () => {
  expect(dueAtMs({ ...waiting, inSight: 9 }, { ...limits, lingerMs: 60_000 })).toBe(61_000)
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
