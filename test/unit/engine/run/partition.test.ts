import { beforeEach, describe, expect, it } from 'vitest'
import { createOwnedPartition, type OwnedPartition } from '#src/engine/run/partition.ts'
import { aRecord } from '../../../support/records.ts'

const LIMITS = { maxRecords: 10, maxBytes: 1_000_000, lingerMs: 50 }
const record = (offset: bigint) => aRecord({ topic: 'orders', partition: 0, offset, text: 'a:1' })
let partition: OwnedPartition

beforeEach(() => {
  partition = createOwnedPartition({ topic: 'orders', partition: 0, nextOffset: 10n })
})

describe('offsets behind the last record that hold none', () => {
  it('are a batch of no records, due at once, and taken once', async () => {
    expect(partition.isDue(LIMITS, 0)).toBe(false)
    partition.noRecordsBelow(13n)
    expect(partition.isDue(LIMITS, 0)).toBe(true)
    const batch = partition.take(LIMITS, 0)
    expect(batch).toMatchObject({ from: 10n, to: 13n, records: [] })
    expect(partition.isDue(LIMITS, 0)).toBe(false)
    expect(partition.take(LIMITS, 0)).toBeUndefined()
    if (batch !== undefined) partition.finish(batch, true, 0)
    await partition.idle()
    expect([partition.settled, partition.next]).toEqual([13n, 13n])
  })

  it('go with the next record where one has come meanwhile', () => {
    partition.noRecordsBelow(13n)
    partition.push(record(13n), 0)
    expect(partition.take(LIMITS, 100)).toMatchObject({ from: 10n, to: 14n, records: [{ offset: 13n }] })
    expect(partition.isDue(LIMITS, 1_000)).toBe(false)
  })

  it('wait for the batch in flight, and are forgotten when it went beyond them', () => {
    partition.push(record(10n), 0)
    const batch = partition.take(LIMITS, 100)
    partition.noRecordsBelow(11n)
    expect(partition.isDue(LIMITS, 100)).toBe(false)
    if (batch !== undefined) partition.finish(batch, true, 0)
    expect(partition.isDue(LIMITS, 100)).toBe(false)
  })

  it('wait for an operator as records do, and are nothing to a partition that was taken away', () => {
    partition.noRecordsBelow(13n)
    partition.waitsForOperator = { reason: 'storm_guard', because: 'too many' }
    expect(partition.isDue(LIMITS, 0)).toBe(false)
    partition.waitsForOperator = undefined
    partition.close()
    expect(partition.isDue(LIMITS, 0)).toBe(false)
    expect(partition.take(LIMITS, 0)).toBeUndefined()
  })
})

it('takes a record once that is fetched again while it waits', () => {
  for (const offset of [10n, 11n, 10n, 11n, 12n]) partition.push(record(offset), 0)
  const batch = partition.take(LIMITS, 100)
  expect(batch?.records.map(({ offset }) => offset)).toEqual([10n, 11n, 12n])
})
