import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { REASONS } from '#src/engine/dead-letter.ts'
import type { Header, SourceRecord } from '#src/engine/record.ts'
import { readDeadLetter } from '#src/inbox/reading.ts'
import { toDeadLetterRecord } from '#src/inbox/record.ts'
import { aDeadLetter } from '../../support/orders.ts'
import { aHeader, aRecord } from '../../support/records.ts'

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(value)
  return bytes
}

/** As it stands in the DLQ topic. */
function standing(headers: readonly Header[], over: Partial<SourceRecord> = {}): SourceRecord {
  return aRecord({ topic: 'orders.dlq', partition: 2, offset: 17n, timestampMs: 1_760_000_000_000, headers, ...over })
}

const SPRING: Header[] = [
  aHeader('kafka_dlt-original-topic', 'orders'),
  ['kafka_dlt-original-partition', int32(3)],
  ['kafka_dlt-original-offset', int64(5_000_000_000n)],
  ['kafka_dlt-original-timestamp', int64(1_700_000_000_123n)],
  aHeader('kafka_dlt-original-timestamp-type', 'CreateTime'),
  aHeader('kafka_dlt-original-consumer-group', 'billing'),
  aHeader('kafka_dlt-exception-fqcn', 'org.springframework.kafka.listener.ListenerExecutionFailedException'),
  aHeader('kafka_dlt-exception-cause-fqcn', 'com.example.Orders$BadOrderException'),
  aHeader('kafka_dlt-exception-message', 'cannot read {"email":"ada@example.org"}'),
]

describe('a dead letter of ours', () => {
  it('is read back as it was written', () => {
    const letter = aDeadLetter(41n, {
      attempts: 3,
      redriveCount: 2,
      redriveId: 'r1',
      rejection: { reason: 'schema_violation', error: 'type', pointer: '/a~1b', message: 'é', violations: [] },
    })
    const { key, value, headers, timestampMs } = toDeadLetterRecord(letter)
    expect(readDeadLetter(standing(headers, { key, value, timestampMs }))).toEqual({
      writtenBy: 'holdfast',
      id: 'orders-0-41',
      origin: { topic: 'orders', partition: 0, offset: 41n, timestampMs: letter.origin.timestampMs },
      groupId: 'holdfast',
      reason: 'schema_violation',
      error: 'type',
      pointer: '/a~1b',
      message: 'é',
      failedAtMs: letter.failedAtMs,
      attempts: 3,
      redriveCount: 2,
      redriveId: 'r1',
    })
  })
})

describe('a dead letter of another program', () => {
  it('of Spring has its numbers in binary, and is named by what caused it', () => {
    expect(readDeadLetter(standing(SPRING))).toEqual({
      writtenBy: 'spring',
      id: 'orders-3-5000000000',
      origin: { topic: 'orders', partition: 3, offset: 5_000_000_000n, timestampMs: 1_700_000_000_123 },
      groupId: 'billing',
      reason: undefined,
      error: 'BadOrderException',
      pointer: '',
      message: 'set aside by Spring Kafka with com.example.Orders$BadOrderException',
      failedAtMs: 1_760_000_000_000,
      attempts: 1,
      redriveCount: 0,
      redriveId: undefined,
    })
  })

  it('of Spring that was passed on counts with its first position', () => {
    const passedOn: Header[] = [
      ...SPRING,
      aHeader('kafka_dlt-original-topic', 'orders-retry-0'),
      ['kafka_dlt-original-partition', int32(0)],
      ['kafka_dlt-original-offset', int64(1n)],
    ]
    expect(readDeadLetter(standing(passedOn)).id).toBe('orders-3-5000000000')
  })

  it('of Kafka Connect has text, and its stage', () => {
    const reading = readDeadLetter(
      standing([
        aHeader('__connect.errors.topic', 'orders'),
        aHeader('__connect.errors.partition', '4'),
        aHeader('__connect.errors.offset', '99'),
        aHeader('__connect.errors.connector.name', 'warehouse'),
        aHeader('__connect.errors.stage', 'VALUE_CONVERTER'),
        aHeader('__connect.errors.exception.class.name', 'org.apache.kafka.connect.errors.DataException'),
        aHeader('__connect.errors.exception.message', 'secret'),
      ]),
    )
    expect(reading).toMatchObject({
      writtenBy: 'connect',
      id: 'orders-4-99',
      groupId: 'warehouse',
      error: 'DataException',
      message:
        'set aside by Kafka Connect with org.apache.kafka.connect.errors.DataException at the stage VALUE_CONVERTER',
      origin: { timestampMs: 1_760_000_000_000 },
    })
  })

  it('of Kafka Streams names exception and message in one header: only the class is kept', () => {
    const reading = readDeadLetter(
      standing([
        aHeader('__streams.errors.topic', 'orders'),
        aHeader('__streams.errors.partition', '1'),
        aHeader('__streams.errors.offset', '2'),
        aHeader('__streams.errors.exception', 'java.lang.IllegalStateException: ada@example.org'),
        aHeader('__streams.errors.message', 'ada@example.org'),
      ]),
    )
    expect(reading).toMatchObject({ writtenBy: 'streams', id: 'orders-1-2', error: 'IllegalStateException' })
    expect(JSON.stringify({ ...reading, origin: undefined })).not.toContain('ada@')
  })

  it('of a share group has the contract of Kafka', () => {
    const reading = readDeadLetter(
      standing([
        aHeader('__dlq.errors.topic', 'orders'),
        aHeader('__dlq.errors.partition', '0'),
        aHeader('__dlq.errors.offset', '8'),
        aHeader('__dlq.errors.group', 'share'),
        aHeader('__dlq.errors.delivery.count', '5'),
        aHeader('__dlq.errors.message', 'Offset rejected by client.'),
      ]),
    )
    expect(reading).toMatchObject({ writtenBy: 'kafka', id: 'orders-0-8', groupId: 'share', attempts: 5, error: '' })
  })

  it('that says nothing is known by its place in the dead-letter topic', () => {
    expect(readDeadLetter(standing([aHeader('x', 'y')]))).toMatchObject({
      writtenBy: 'unknown',
      id: 'orders.dlq-2-17',
      origin: { topic: 'orders.dlq', partition: 2, offset: 17n },
    })
  })

  it.each([-1n, 1_700_000_000_000_000_000n, 2n ** 63n - 1n])(
    'of Spring Kafka may have any timestamp: %s',
    timestamp => {
      const headers: Header[] = [...SPRING.slice(0, 3), ['kafka_dlt-original-timestamp', int64(timestamp)]]
      expect(readDeadLetter(standing(headers)).origin.timestampMs).toBe(Number(timestamp))
    },
  )

  it('whose position was written as text is read, too, where an integer of eight bytes is usual', () => {
    const headers = [...SPRING.slice(0, 2), aHeader('kafka_dlt-original-offset', '12345678')]
    expect(readDeadLetter(standing(headers)).id).toBe('orders-3-12345678')
  })

  it.each<[string, Header[]]>([
    ['a topic that cannot be one', [aHeader('kafka_dlt-original-topic', 'a\0b'), ...SPRING.slice(1)]],
    ['a negative offset', [...SPRING.slice(0, 2), ['kafka_dlt-original-offset', int64(-1n)]]],
    ['no offset', SPRING.slice(0, 2)],
  ])('whose position cannot be read is known by its place: %s', (_, headers) => {
    expect(readDeadLetter(standing(headers))).toMatchObject({ writtenBy: 'spring', id: 'orders.dlq-2-17' })
  })

  it('can hold anything: nothing of it throws, and only names are kept', () => {
    const names = [
      ...['kafka_dlt-original-topic', 'kafka_dlt-original-partition', 'kafka_dlt-original-offset'],
      ...['kafka_dlt-exception-fqcn', '__connect.errors.topic', '__connect.errors.exception.class.name'],
      ...['__streams.errors.exception', '__dlq.errors.topic', '__dlq.errors.delivery.count', '__dlq.errors.group'],
      ...['holdfast.id', 'holdfast.reason', 'holdfast.failed-at', 'holdfast.timestamp', 'holdfast.replay-count'],
    ]
    const value = fc.oneof(
      fc.uint8Array({ maxLength: 12 }).map(bytes => Buffer.from(bytes)),
      fc.string({ unit: 'grapheme' }).map(text => Buffer.from(text)),
      fc.constantFrom('orders', 'orders-0-1', '3', ...REASONS, 'a.b.C', '2024-01-01T00:00:00Z').map(Buffer.from),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...names), value)), headers => {
        const reading = readDeadLetter(standing(headers))
        expect(reading.id).toMatch(/^[A-Za-z0-9._-]{1,249}-\d+-\d+$/)
        if (reading.writtenBy !== 'holdfast') {
          expect(reading.message).toMatch(/^[\p{L}\p{N}_$.; ,-]+$/u)
          expect(reading.error).toMatch(/^[\p{L}\p{N}_]*$/u)
        }
        expect(new Date(reading.failedAtMs).toISOString()).toMatch(/^\d{4}-/)
      }),
      { numRuns: 500 },
    )
  })
})
