import { expect, it } from 'vitest'
import { lagSeconds } from '#src/core/status.ts'
import type { Clock } from '#src/engine/ports.ts'
import { createOwnedPartition } from '#src/engine/run/partition.ts'
import { createStatusBoard } from '#src/engine/watch/status-board.ts'
import { aRecord } from '../../support/records.ts'

const TIMESTAMP_MS = 1_700_000_000_000

/** A partition with progress at 10 and nothing in hand; Kafka holds a record of that timestamp there, if anything. */
function aBoard(readTo?: bigint) {
  let nowMs = TIMESTAMP_MS
  const clock: Clock = { now: () => nowMs, monotonic: () => nowMs, sleep: async () => {} }
  const partition = createOwnedPartition({ topic: 'orders', partition: 0, nextOffset: 10n })
  const board = createStatusBoard({
    breakers: [],
    clock,
    headOf: () => (readTo === undefined ? TIMESTAMP_MS : undefined),
    readTo: ({ settled }) => readTo ?? settled,
    stalledMs: () => 0,
  })
  return {
    board,
    partition,
    pass(ms: number) {
      nowMs += ms
    },
    lag() {
      const [status] = board.snapshot([partition]).partitions
      if (status === undefined) throw new Error('there is one')
      return { records: status.lagRecords, seconds: lagSeconds(status, nowMs), knownAtMs: status.highKnownAtMs }
    },
  }
}

it('knows of no lag before the broker has told where the partition ends', () => {
  expect(aBoard().lag()).toMatchObject({ records: undefined, knownAtMs: undefined })
})

it('tells of a lag by the age of the record that waits, and keeps both while the broker does not answer', () => {
  const { board, partition, lag, pass } = aBoard()
  board.knows(partition, { low: 0n, high: 15n })
  pass(5_000)
  expect(lag()).toEqual({ records: 5, seconds: 5, knownAtMs: TIMESTAMP_MS })
  board.doubts(partition, new Error('away'))
  pass(600_000)
  expect(lag()).toEqual({ records: 5, seconds: 605, knownAtMs: TIMESTAMP_MS })
  expect(board.lags(partition)).toBe(false)
})

it('never says that there is no lag by an old mark: not after a question without answer, nor after a long silence', () => {
  const { board, partition, lag, pass } = aBoard()
  board.knows(partition, { low: 0n, high: 10n })
  expect(lag()).toEqual({ records: 0, seconds: 0, knownAtMs: TIMESTAMP_MS })
  board.doubts(partition, new Error('away'))
  expect(lag()).toEqual({ records: undefined, seconds: undefined, knownAtMs: TIMESTAMP_MS })
  board.knows(partition, { low: 0n, high: 10n })
  expect(lag()).toMatchObject({ records: 0, seconds: 0 })
  pass(11_000)
  expect(lag()).toEqual({ records: undefined, seconds: undefined, knownAtMs: TIMESTAMP_MS })
})

it('counts what is in hand, also when it came after the broker had told where the partition ends', () => {
  const { board, partition, lag } = aBoard()
  board.knows(partition, { low: 0n, high: 10n })
  for (const offset of [10n, 11n]) partition.push(aRecord({ offset, timestampMs: TIMESTAMP_MS }), 0)
  expect(lag().records).toBe(2)
  board.doubts(partition, new Error('away'))
  expect(lag().records).toBe(2)
})

it('does not count offsets at the end that hold no record', () => {
  const { board, partition, lag } = aBoard(12n)
  board.knows(partition, { low: 0n, high: 12n })
  expect(lag()).toMatchObject({ records: 0, seconds: 0 })
  expect(board.lags(partition)).toBe(false)
  board.knows(partition, { low: 0n, high: 15n })
  expect(lag()).toMatchObject({ records: 3, seconds: undefined })
  expect(board.lags(partition)).toBe(true)
})

it('knows nothing of the age of a record without a timestamp', () => {
  const { board, partition, lag } = aBoard()
  board.knows(partition, { low: 0n, high: 11n })
  partition.push(aRecord({ offset: 10n, timestampMs: -1 }), 0)
  expect(lag()).toMatchObject({ records: 1, seconds: undefined })
})
