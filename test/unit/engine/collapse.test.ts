import { expect, it } from 'vitest'
import { collapse, compareKeys } from '#src/engine/collapse.ts'
import { compareOrigins } from '#src/engine/record.ts'
import { redriveEnds } from '#src/inbox/redrive-ends.ts'
import { aReady } from '../../support/records.ts'

it('keeps the newest version of each order, and sorts by uid in byte order', () => {
  const records = [
    aReady('b', { offset: 1n }),
    aReady('a', { offset: 2n }),
    aReady('b', { offset: 3n }),
    aReady('B', { offset: 4n }),
  ]
  const collapsed = collapse(records)
  expect(collapsed.ready.map(({ value }) => value)).toEqual(['B@4', 'a@2', 'b@3'])
  expect(collapsed).toMatchObject({ superseded: 1, duplicate: 0, stale: 0 })
})

it('lets a redriven older version count as stale, though it arrives later', () => {
  const newer = aReady('a', { offset: 9n })
  const redriven = {
    ...aReady('a', { offset: 10n }),
    origin: { topic: 'orders', partition: 0, offset: 3n, timestampMs: 1 },
  }
  const collapsed = collapse([newer, redriven])
  expect(collapsed.ready).toEqual([newer])
  expect(collapsed).toMatchObject({ superseded: 0, duplicate: 0, stale: 1 })
})

it('keeps account of records that it leaves out, and how a redriven one of them ended', () => {
  const redrive = { redriveId: 'r1', redriveCount: 1 }
  const origin = (offset: bigint) => ({ topic: 'orders', partition: 0, offset, timestampMs: 1 })
  const { ready, leftOut } = collapse([
    { ...aReady('a', { offset: 10n }), origin: origin(1n), redrive },
    aReady('a', { offset: 11n }),
    { ...aReady('a', { offset: 12n }), origin: origin(2n), redrive },
    { ...aReady('b', { offset: 13n }), origin: origin(3n), redrive },
    { ...aReady('b', { offset: 14n }), origin: origin(3n), redrive: { ...redrive, redriveId: 'r2' } },
  ])
  expect(ready.map(({ value }) => value)).toEqual(['a@11', 'b@13'])
  expect(leftOut.map(({ ready, outcome }) => [ready.value, outcome])).toEqual([
    ['a@10', 'superseded'],
    ['a@12', 'stale'],
    ['b@14', 'duplicate'],
  ])
  const collapsed = { superseded: 1, stale: 1, duplicate: 1, leftOut }
  expect(redriveEnds({ ready: [], collapsed, deadLetters: [] }, () => 'written')).toEqual([
    { id: 'orders-0-1', former: false, redriveId: 'r1', redriveCount: 1, outcome: 'superseded', failure: undefined },
    { id: 'orders-0-2', former: false, redriveId: 'r1', redriveCount: 1, outcome: 'stale', failure: undefined },
    { id: 'orders-0-3', former: false, redriveId: 'r2', redriveCount: 1, outcome: 'duplicate', failure: undefined },
  ])
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

it('sorts keys as their bytes do, characters beyond 16 bits included', () => {
  const keys = ['', 'a', 'ab', 'b', '\u00e9', '\ud7ff', '\ue000', '\uffff', '\u{1f600}', '\u{1f600}a']
  const shuffled = ['\u{1f600}a', '\uffff', 'b', '', '\u{1f600}', 'ab', '\ue000', '\u00e9', 'a', '\ud7ff']
  expect(shuffled.toSorted(compareKeys)).toEqual(keys)
  expect(keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))).toEqual(keys)
})
