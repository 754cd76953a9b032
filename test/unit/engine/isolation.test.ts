import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  RecordRefusedError,
  StoreContendedError,
  StoreRejectedError,
  StoreUnavailableError,
} from '#src/engine/errors.ts'
import { createIsolation, type Isolation, mayBlame } from '#src/engine/isolation.ts'

const refused = new RecordRefusedError('refused', { sqlState: '23514' })
const rejected = new StoreRejectedError('rejected', { sqlState: 'P0001' })
const contended = new StoreContendedError('a deadlock', { sqlState: '40P01' })

/** Plays the store: a part fails when one of these indexes is in it. */
function search(isolation: Isolation, bad: ReadonlySet<number>, error: Error): void {
  for (let part = isolation.next(); part !== undefined; part = isolation.next()) {
    const { start, end } = part
    if ([...bad].some(index => index >= start && index < end)) isolation.failed(part, error)
  }
}

describe('the search for culprits', () => {
  it('finds exactly the refused records, within 2k * ceil(log2 n) writes after the first', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 600 }), fc.array(fc.nat(599), { minLength: 1 }), (size, picks) => {
        const bad = new Set(picks.map(pick => pick % size))
        const isolation = createIsolation(size, refused, false)
        search(isolation, bad, refused)
        const found = isolation.culprits().map(culprit => culprit.index)
        expect(found).toEqual([...bad].sort((a, b) => a - b))
        expect(isolation.attempts - 1).toBeLessThanOrEqual(2 * bad.size * Math.ceil(Math.log2(size)))
      }),
    )
  })

  it('finds nobody to blame when every part passes the second time', () => {
    const isolation = createIsolation(8, contended, true)
    search(isolation, new Set(), contended)
    expect(isolation.culprits()).toEqual([])
    expect(isolation.attempts).toBe(3)
  })

  it('blames no record for contention that it meets alone in its batch: a slow store looks just the same', () => {
    const isolation = createIsolation(1, contended, true)
    expect(() => isolation.culprits()).toThrow(contended)
  })

  it('blames no record for a lock that somebody else holds', () => {
    const locked = new StoreContendedError('a lock was not to be had', { sqlState: '55P03' })
    expect(mayBlame(locked, true)).toBe(false)
    expect(() => createIsolation(8, locked, true)).toThrow(locked)
  })

  it('tells SQLSTATE and kind, and of an unforeseen error no text, which may quote the record', () => {
    const isolation = createIsolation(2, refused, true)
    isolation.failed({ start: 0, end: 1 }, refused)
    isolation.failed({ start: 1, end: 2 }, new TypeError('cannot read "Ada Lovelace"'))
    expect(isolation.culprits()).toEqual([
      { index: 0, error: '23514', message: 'refused', kind: 'refused' },
      { index: 1, error: 'TypeError', message: 'TypeError while it was written', kind: 'unforeseen' },
    ])
  })

  it('blames no record when an unforeseen error is true of them all', () => {
    const bug = new TypeError('a bug of ours')
    const isolation = createIsolation(3, bug, true)
    search(isolation, new Set([0, 1, 2]), bug)
    expect(() => isolation.culprits()).toThrow(bug)
  })

  it('blames the only record of a batch: there is no telling it from a bug of ours', () => {
    const isolation = createIsolation(1, new TypeError('a bug'), true)
    expect(isolation.culprits()).toMatchObject([{ index: 0, kind: 'unforeseen' }])
  })

  it('names the SQLSTATE of what only one record is rejected for, whatever it is', () => {
    const isolation = createIsolation(50, rejected, false)
    search(isolation, new Set([17]), rejected)
    expect(isolation.culprits()).toEqual([{ index: 17, error: 'P0001', message: 'rejected', kind: 'refused' }])
  })

  it('halves no more parts once twenty were refused and none passed: one attempt a record is left', () => {
    const isolation = createIsolation(1000, refused, false)
    search(isolation, new Set(Array.from({ length: 1000 }, (_, index) => index)), refused)
    expect(isolation.culprits()).toHaveLength(1000)
    expect(isolation.attempts).toBeLessThan(1000 + 50)
  })

  it('halves again as soon as one has passed', () => {
    const isolation = createIsolation(1000, refused, false)
    search(isolation, new Set(Array.from({ length: 40 }, (_, index) => index)), refused)
    expect(isolation.culprits()).toHaveLength(40)
    expect(isolation.attempts).toBeLessThan(120)
  })

  it('tries the whole once more when it failed behind the writes of its records', () => {
    const isolation = createIsolation(1, refused, false, true)
    expect(isolation.next()).toEqual({ start: 0, end: 1 })
    expect(isolation.next()).toBeUndefined()
    expect(isolation.culprits()).toEqual([])
  })

  it('gives up on contention that is not about a few records, before it has cost a timeout for each', () => {
    const isolation = createIsolation(1000, contended, true)
    const everyOne = new Set(Array.from({ length: 1000 }, (_, index) => index))
    expect(() => search(isolation, everyOne, contended)).toThrow(contended)
    expect(isolation.attempts).toBeLessThan(30)
  })

  it('passes on an error that blames no record', () => {
    const away = new StoreUnavailableError('away')
    const isolation = createIsolation(4, refused, true)
    expect(() => isolation.failed({ start: 0, end: 2 }, away)).toThrow(away)
  })
})

describe('what may be blamed on a record', () => {
  it.each([
    { error: refused, always: true, isolating: true },
    { error: rejected, always: true, isolating: true },
    { error: contended, always: false, isolating: true },
    { error: new TypeError('unforeseen'), always: false, isolating: true },
    { error: new StoreUnavailableError('away'), always: false, isolating: false },
  ])('$error.name: at once $always, when isolating $isolating', ({ error, always, isolating }) => {
    expect(mayBlame(error, false)).toBe(always)
    expect(mayBlame(error, true)).toBe(isolating)
  })
})
