import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { REASONS } from '#src/engine/dead-letter.ts'
import { parseOriginId, readHeader } from '#src/engine/headers.ts'
import { claimOf } from '#src/engine/provenance.ts'
import { type Origin, originId } from '#src/engine/record.ts'
import { parseTimestamp, timestampToInstant, timestampToInt64 } from '#src/engine/timestamp.ts'
import { readDeadLetter } from '#src/inbox/reading.ts'
import { toDeadLetterRecord } from '#src/inbox/record.ts'
import { toRedrivenRecord } from '#src/inbox/redriven-record.ts'
import { aDeadLetter } from '../../support/orders.ts'
import { aHeader, aRecord } from '../../support/records.ts'

const INT64_MAX = 2n ** 63n - 1n
const INT64_MIN = -(2n ** 63n)

/** What the client makes of any 64-bit integer on the wire. */
const timestampMs = fc
  .oneof(
    fc.bigInt({ min: INT64_MIN, max: INT64_MAX }),
    fc.constantFrom(-1n, 0n, 1_700_000_000n, 1_700_000_000_000_000n, 1_700_000_000_000_000_123n, INT64_MAX, INT64_MIN),
  )
  .map(Number)
const offset = fc.oneof(fc.bigInt({ min: 0n, max: INT64_MAX }), fc.constantFrom(0n, 10n ** 18n, INT64_MAX))
const count = fc.oneof(fc.integer({ min: 0, max: 2_147_483_647 }), fc.constantFrom(1_000_000, 2_147_483_647))
const topic = fc.stringMatching(/^[A-Za-z0-9._-]{1,249}$/)
const redriveId = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)
const origin: fc.Arbitrary<Origin> = fc.record({ topic, partition: count, offset, timestampMs })

describe('what our headers say is read back as it was written', () => {
  it('of any dead letter', () => {
    const letters = fc.record({
      ...{ origin, attempts: count, redriveCount: count, redriveId: fc.option(redriveId, { nil: undefined }) },
      failedAtMs: fc.integer({ min: 0, max: 253_402_300_799_999 }),
      groupId: fc.string({ maxLength: 80 }),
      rejection: fc.record({
        reason: fc.constantFrom(...REASONS),
        error: fc.constantFrom('', 'required', '23514'),
        pointer: fc.string({ maxLength: 80 }),
        message: fc.string({ maxLength: 80 }),
        violations: fc.constant([]),
      }),
    })
    fc.assert(
      fc.property(letters, over => {
        const { headers } = toDeadLetterRecord(aDeadLetter(0n, over))
        const { violations, ...rejection } = over.rejection
        const { origin, failedAtMs, attempts, redriveCount, redriveId, groupId } = over
        expect(readDeadLetter(aRecord({ topic: 'orders.dlq', headers }))).toEqual({
          ...{ writtenBy: 'holdfast', id: originId(origin), ...rejection },
          ...{ origin, failedAtMs, attempts, redriveCount, redriveId, groupId },
        })
      }),
    )
  })

  it('of any redriven record, so that it never counts with another position than its first', () => {
    fc.assert(
      fc.property(origin, count, redriveId, (origin, redriveCount, redriveId) => {
        const item = { id: originId(origin), origin, redriveCount, place: undefined, bytes: 1, edited: undefined }
        const letter = aRecord(toDeadLetterRecord(aDeadLetter(0n, { origin })))
        const { headers } = toRedrivenRecord(letter, item, redriveId)
        expect(claimOf(aRecord({ offset: 900n, headers }))).toEqual({ origin, redriveId })
      }),
    )
  })
})

describe('a timestamp', () => {
  it('is the same double wherever it is read, and never changes places with another', () => {
    fc.assert(
      fc.property(timestampMs, timestampMs, (one, other) => {
        const stored = timestampToInt64(one)
        expect(parseTimestamp(String(stored))).toBe(one)
        expect(Number(String(stored))).toBe(one)
        expect(JSON.parse(String(stored))).toBe(one)
        expect(BigInt(stored)).toBeGreaterThanOrEqual(INT64_MIN)
        expect(BigInt(stored)).toBeLessThanOrEqual(INT64_MAX)
        if (one > other) expect(BigInt(stored)).toBeGreaterThan(BigInt(timestampToInt64(other)))
      }),
    )
  })

  it.each([
    [1_700_000_000_123, '2023-11-14T22:13:20.123Z'],
    [1.7e18, '9999-12-31T23:59:59.999Z'],
    [-(2 ** 63), '0000-01-01T00:00:00.000Z'],
  ])('is an instant that RFC 3339 can write: %s', (timestamp, instant) => {
    expect(timestampToInstant(timestamp)).toBe(instant)
  })

  it.each(['', '-', '+1', '01', '-0', '1e3', ' 1', '0x1', '9223372036854775808', '-9223372036854775809', '1.0'])(
    'is no other text: "%s"',
    text => {
      expect(parseTimestamp(text)).toBeUndefined()
    },
  )
})

it.each(['', 'orders', 'orders-1', 'orders-1-', 'orders-1--2', 'orders-01-2', 'orders-1-02', '-1-2', 'or ders-1-2'])(
  'knows an id by its canonical form alone: "%s" is none',
  id => {
    expect(parseOriginId(id)).toBeUndefined()
  },
)

it.each(['orders-2147483648-0', 'orders-0-9223372036854775808'])('takes no number that is too large: %s', id => {
  expect(parseOriginId(id)).toBeUndefined()
  expect(readDeadLetter(aRecord({ topic: 'd', headers: [aHeader('holdfast.id', id)] })).writtenBy).toBe('unknown')
})

it('takes the last one of a repeated header, as readers of Kafka do', () => {
  const headers = [aHeader('holdfast.replay-id', 'one'), aHeader('holdfast.replay-id', 'two')]
  expect(readHeader({ headers }, 'redriveId')).toBe('two')
})
