import { describe, expect, it } from 'vitest'
import { checkWork, countWork } from '#src/engine/work.ts'
import { aDeadLetter, aReadyOrder, aWork } from '../../support/orders.ts'

const two = [aReadyOrder({ uid: 'a', offset: 5n }), aReadyOrder({ uid: 'b', offset: 6n })]

describe('the invariants of a batch', () => {
  it('counts the offsets that hold no record', () => {
    expect(checkWork(aWork(two, { from: 5n, to: 10n }))).toEqual({ gaps: 3n })
    expect(checkWork(aWork(two, { from: 5n }))).toEqual({ gaps: 0n })
  })

  it.each([
    { what: 'goes nowhere', over: { to: 5n } },
    { what: 'starts below offset 0', over: { from: -1n } },
    { what: 'ends more ways than it has records', over: { records: 1 } },
    { what: 'has a record without an end', over: { records: 3, to: 9n } },
    { what: 'has more records than offsets', over: { to: 6n } },
    { what: 'is not sorted by uid', over: { ready: [...two].reverse() } },
    { what: 'holds an order twice', over: { ready: [...two, ...two.slice(1)], records: 3, to: 8n } },
  ])('stops a batch that $what', ({ over }) => {
    expect(() => checkWork(aWork(two, { from: 5n, ...over }))).toThrow(RangeError)
  })
})

it('adds what was decided before the store was asked to what the store did', () => {
  const work = aWork(two, {
    from: 5n,
    collapsed: { superseded: 3, duplicate: 1, stale: 2 },
    deadLetters: [aDeadLetter(7n)],
  })
  expect(countWork(work, ['written', 'duplicate'])).toEqual({
    written: 1,
    duplicate: 2,
    stale: 2,
    superseded: 3,
    dead_lettered: 1,
  })
})
