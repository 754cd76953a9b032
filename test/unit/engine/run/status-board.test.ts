import { expect, it } from 'vitest'
import type { Clock } from '#src/engine/ports.ts'
import { createOwnedPartition } from '#src/engine/run/partition.ts'
import { lagSeconds } from '#src/engine/status.ts'
import { lags } from '#src/engine/watch/rules.ts'
import { partitionStatus } from '#src/engine/watch/status.ts'
import { createViews, marksOf } from '#src/engine/watch/view.ts'
import { aRecord } from '../../../support/records.ts'

const TIMESTAMP_MS = 1_700_000_000_000

/** A partition with progress at 10 and nothing in hand; Kafka holds a record of that timestamp there, if anything. */
function aPartition(emptyTo?: bigint) {
  let nowMs = TIMESTAMP_MS
  const clock: Clock = { now: () => nowMs, monotonic: () => nowMs, sleep: async () => {} }
  const partition = createOwnedPartition({ topic: 'orders', partition: 0, nextOffset: 10n })
  const views = createViews()
  views.enter(partition)
  const view = views.of(partition)
  if (view === undefined) throw new Error('it is ours')
  const head = emptyTo === undefined ? { timestampMs: TIMESTAMP_MS } : { emptyTo }
  view.head = { offset: 10n, head, askedAtMs: nowMs }
  return {
    partition,
    /** The broker says where the partition ends. */
    ends(high: bigint) {
      view.marks = marksOf({ low: 0n, high }, clock)
    },
    /** The broker is asked again, and does not answer. */
    isSilent() {
      if (view.marks !== undefined) view.marks = { ...view.marks, old: true }
    },
    pass(ms: number) {
      nowMs += ms
    },
    lags: () => lags(view, nowMs),
    lag() {
      const status = partitionStatus(view, clock)
      return { records: status.lagRecords, seconds: lagSeconds(status, nowMs), knownAtMs: status.highKnownAtMs }
    },
  }
}

it('knows of no lag before the broker has told where the partition ends', () => {
  expect(aPartition().lag()).toMatchObject({ records: undefined, knownAtMs: undefined })
})

it('tells of a lag by the age of the record that waits, and keeps both while the broker does not answer', () => {
  const { ends, isSilent, lag, lags, pass } = aPartition()
  ends(15n)
  pass(5_000)
  expect(lag()).toEqual({ records: 5, seconds: 5, knownAtMs: TIMESTAMP_MS })
  isSilent()
  pass(600_000)
  expect(lag()).toEqual({ records: 5, seconds: 605, knownAtMs: TIMESTAMP_MS })
  expect(lags()).toBe(false)
})

it('never says that there is no lag by an old mark: not after a question without answer, nor after a long silence', () => {
  const { ends, isSilent, lag, pass } = aPartition()
  ends(10n)
  expect(lag()).toEqual({ records: 0, seconds: 0, knownAtMs: TIMESTAMP_MS })
  isSilent()
  expect(lag()).toEqual({ records: undefined, seconds: undefined, knownAtMs: TIMESTAMP_MS })
  ends(10n)
  expect(lag()).toMatchObject({ records: 0, seconds: 0 })
  pass(11_000)
  expect(lag()).toEqual({ records: undefined, seconds: undefined, knownAtMs: TIMESTAMP_MS })
})

it('counts what is in hand, also when it came after the broker had told where the partition ends', () => {
  const { ends, isSilent, partition, lag } = aPartition()
  ends(10n)
  for (const offset of [10n, 11n]) partition.push(aRecord({ offset, timestampMs: TIMESTAMP_MS }), 0)
  expect(lag().records).toBe(2)
  isSilent()
  expect(lag().records).toBe(2)
})

it('does not count offsets at the end that hold no record', () => {
  const { ends, lag, lags } = aPartition(12n)
  ends(12n)
  expect(lag()).toMatchObject({ records: 0, seconds: 0 })
  expect(lags()).toBe(false)
  ends(15n)
  expect(lag()).toMatchObject({ records: 3, seconds: undefined })
  expect(lags()).toBe(true)
})

it('knows nothing of the age of a record without a timestamp', () => {
  const { ends, partition, lag } = aPartition()
  ends(11n)
  partition.push(aRecord({ offset: 10n, timestampMs: -1 }), 0)
  expect(lag()).toMatchObject({ records: 1, seconds: undefined })
})
