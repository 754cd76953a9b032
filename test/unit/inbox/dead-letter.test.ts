import { expect, it } from 'vitest'
import type { DeadLetter } from '#src/engine/dead-letter.ts'
import { cutUtf8, headerText } from '#src/engine/headers.ts'
import { claimOf } from '#src/engine/provenance.ts'
import { toDeadLetterRecord } from '#src/inbox/record.ts'
import { aHeader, aRecord } from '../../support/records.ts'

function aDeadLetter(over: Partial<DeadLetter> = {}): DeadLetter {
  const record = aRecord({
    topic: 'or-ders',
    partition: 3,
    offset: 42n,
    timestampMs: 1_700_000_000_123,
    text: 'x\0\xff',
  })
  return {
    record,
    origin: record,
    rejection: {
      reason: 'schema_violation',
      error: 'required',
      pointer: '/payment/amount',
      message: 'is required',
      violations: [],
    },
    failedAtMs: Date.UTC(2024, 0, 2, 3, 4, 5, 6),
    attempts: 1,
    redriveCount: 0,
    key: null,
    groupId: 'holdfast',
    ...over,
  }
}

it('adds the documented headers, as text', () => {
  const added = Object.fromEntries(
    toDeadLetterRecord(aDeadLetter()).headers.map(([name, value]) => [name, value.toString()]),
  )
  expect(added).toEqual({
    '__dlq.errors.topic': 'or-ders',
    '__dlq.errors.partition': '3',
    '__dlq.errors.offset': '42',
    '__dlq.errors.group': 'holdfast',
    '__dlq.errors.delivery.count': '1',
    '__dlq.errors.message': 'is required',
    'holdfast.id': 'or-ders-3-42',
    'holdfast.reason': 'schema_violation',
    'holdfast.error': 'required',
    'holdfast.pointer': '/payment/amount',
    'holdfast.failed-at': '2024-01-02T03:04:05.006Z',
    'holdfast.timestamp': '1700000000123',
    'holdfast.replay-count': '0',
  })
})

it('keeps key, value and original headers byte for byte, repeats and order too, and takes the time of the failure', () => {
  const headers = [aHeader('a', '1'), aHeader('b', '2'), aHeader('a', '\xff')]
  const record = aRecord({ key: Buffer.from([0, 255]), value: null, headers })
  const produced = toDeadLetterRecord(aDeadLetter({ record }))
  expect(produced.key).toBe(record.key)
  expect(produced.value).toBeNull()
  expect(produced.headers.slice(0, 3)).toEqual(headers)
  expect(produced.timestampMs).toBe(Date.UTC(2024, 0, 2, 3, 4, 5, 6))
})

it('gives the origin of the first failure when a redriven record fails again, each header once', () => {
  const first = toDeadLetterRecord(aDeadLetter())
  const redriven = aRecord({
    topic: 'or-ders',
    partition: 5,
    offset: 99n,
    timestampMs: 5,
    headers: [...first.headers, aHeader('holdfast.replay-id', 'r1')],
  })
  const claim = claimOf(redriven)
  const origin = { topic: 'or-ders', partition: 3, offset: 42n, timestampMs: 1_700_000_000_123 }
  expect(claim).toEqual({ origin, redriveId: 'r1' })
  const again = toDeadLetterRecord(aDeadLetter({ record: redriven, ...claim, redriveCount: 1 }))
  const names = again.headers.map(([name]) => name)
  expect(new Set(names).size).toBe(names.length)
  expect(headerText(again, 'holdfast.id')).toBe('or-ders-3-42')
  expect(headerText(again, 'holdfast.replay-count')).toBe('1')
  expect(headerText(again, 'holdfast.replay-id')).toBe('r1')
})

it('bounds the message, and never cuts a character in two', () => {
  const long = aDeadLetter({ rejection: { ...aDeadLetter().rejection, message: 'é'.repeat(2_000) } })
  const header = toDeadLetterRecord(long).headers.find(([name]) => name === '__dlq.errors.message')
  expect(header?.[1].length).toBe(1_024)
  expect(cutUtf8('aé', 2)).toBe('a')
  expect(cutUtf8('a😀b', 4)).toBe('a')
  expect(cutUtf8('short', 5)).toBe('short')
})
