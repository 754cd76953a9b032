import { expect, it } from 'vitest'
import type { Reason } from '#src/engine/dead-letter.ts'
import { addedText, openDeadLetter } from '../support/dead-letters.ts'
import { anOrder } from '../support/orders.ts'
import { aHeader } from '../support/records.ts'
import { eventually, startService } from '../support/service.ts'
import { aStream, type ProducedRecord, streamTools, totalOf } from '../support/stream.ts'

streamTools()

const PARTITIONS = 3
const LIMIT_BYTES = 16_384
/** Long ago: so that the time of a failure cannot be taken for the record's own. */
const PRODUCED_AT_MS = Date.UTC(2020, 1, 2, 3, 4, 5, 6)
const OVER_THE_LIMIT = Buffer.alloc(LIMIT_BYTES + 1, ' ')

interface Case extends Omit<ProducedRecord, 'value'> {
  readonly what: string
  readonly value: Buffer | null
  readonly reason: Reason
  readonly error: string
  readonly pointer?: string
  /** Under which it must be found in the index. */
  readonly uid?: string
}

const order = (over: object = {}) => ({ ...anOrder({ uid: 'invalid-1' }), ...over })
const json = (value: unknown) => Buffer.from(JSON.stringify(value))
const text = JSON.stringify(order())

const empty = { reason: 'empty_value' } as const
const malformed = { reason: 'malformed_json', error: 'not_json' } as const
const violation = { reason: 'schema_violation', uid: 'invalid-1' } as const

const CASES: readonly Case[] = [
  { what: 'a tombstone', value: null, ...empty, error: 'tombstone', key: Buffer.from('gone') },
  { what: 'zero bytes', value: Buffer.alloc(0), ...empty, error: 'zero_bytes' },
  { what: 'one byte too many', value: OVER_THE_LIMIT, reason: 'too_large', error: 'max_bytes' },

  { what: 'spaces only', value: Buffer.from('  \n'), ...malformed },
  { what: 'JSON cut short', value: Buffer.from(text.slice(0, -7)), ...malformed },
  { what: 'text behind the order', value: Buffer.from(`${text} tail`), ...malformed },
  { what: 'two orders in one record', value: Buffer.from(`${text}\n${text}`), ...malformed },
  { what: 'single quotes', value: Buffer.from("{'a':1}"), ...malformed },
  { what: 'bad UTF-8 inside a string', value: spliced(text, 'Test', [0xff, 0xfe]), ...malformed, error: 'not_utf8' },
  { what: 'UTF-16', value: Buffer.from(`\ufeff${text}`, 'utf16le'), ...malformed, error: 'not_utf8' },
  { what: 'a compressed body', value: Buffer.from('1f8b08000000000000ff', 'hex'), ...malformed, error: 'not_utf8' },

  { what: 'null', value: json(null), ...violation, error: 'type', uid: '' },
  { what: 'a list', value: json([order()]), ...violation, error: 'type', uid: '' },
  { what: 'no uid', value: json(order({ order_uid: undefined })), ...required('/order_uid'), uid: '' },
  { what: 'a path for a uid', value: json(order({ order_uid: '../x' })), ...at('/order_uid', 'pattern'), uid: '' },
  { what: 'no payment', value: json(order({ payment: undefined })), ...required('/payment') },
  { what: 'no items at all', value: json(order({ items: [] })), ...at('/items', 'minItems') },
  { what: 'items as an object', value: json(order({ items: {} })), ...at('/items', 'type') },
  { what: 'an amount as text', value: payment({ amount: '100' }), ...at('/payment/amount', 'type') },
  { what: 'a fraction', value: payment({ amount: 19.99 }), ...at('/payment/amount', 'type') },
  { what: 'beyond exact integers', value: payment({ amount: 2 ** 53 }), ...at('/payment/amount', 'maximum') },
  { what: 'a negative amount', value: payment({ amount: -1 }), ...at('/payment/amount', 'minimum') },
  { what: 'NUL in a name', value: delivery({ name: 'a\u0000b' }), ...at('/delivery/name', 'pattern') },
  { what: 'half a surrogate pair', value: delivery({ name: '\ud800' }), ...at('/delivery/name', 'pattern') },
  { what: 'an endless name', value: delivery({ name: 'x'.repeat(1_025) }), ...at('/delivery/name', 'maxLength') },
  {
    what: 'no such day',
    value: json(order({ date_created: '2024-02-30T00:00:00Z' })),
    ...at('/date_created', 'format'),
  },
  {
    what: 'a leap second',
    value: json(order({ date_created: '2016-12-31T23:59:60Z' })),
    ...at('/date_created', 'format'),
  },
  {
    what: 'nested too deep',
    value: Buffer.from(`${text.slice(0, -1)},"x":${'['.repeat(64)}${']'.repeat(64)}}`),
    ...violation,
    error: 'max_depth',
  },

  {
    what: 'awkward key and headers',
    key: Buffer.from([0x00, 0xff, 0xfe, 0x0a, 0x80]),
    value: Buffer.from([0x00, 0xff, 0x7b]),
    headers: [
      aHeader('twice', 'first'),
      aHeader('once', ''),
      aHeader('twice', 'second'),
      aHeader('__proto__', 'an ordinary name'),
      ['nul', Buffer.from('before\u0000behind')],
      ['binary', Buffer.from([0xff, 0x00, 0xc3, 0x28])],
      aHeader('holdfast.not-ours', 'kept'),
      aHeader('имя', 'значение'),
    ],
    reason: 'malformed_json',
    error: 'not_utf8',
  },
]

it('sets each of them aside byte for byte, says why, and writes their neighbours', async () => {
  const stream = await aStream({ partitions: PARTITIONS })
  // Given a valid order before and after each invalid record, so that every batch is a mixed one
  const neighbours = CASES.length + 1
  const neighbour = (i: number): ProducedRecord => {
    return { value: json(anOrder({ uid: `neighbour-${i}` })), partition: i % PARTITIONS, timestampMs: PRODUCED_AT_MS }
  }
  const invalid = CASES.map((each, i) => ({ ...each, partition: i % PARTITIONS, timestampMs: PRODUCED_AT_MS + i }))
  const at = await stream.produce([...invalid.flatMap((each, i) => [neighbour(i), each]), neighbour(CASES.length)])
  const startedMs = Date.now()

  // When the service reads them
  const env = { RECORD_MAX_BYTES: String(LIMIT_BYTES) }
  const service = await startService({ ...stream, env })
  await eventually(async () => (await stream.settled()) === neighbours + CASES.length, 'all of them being settled')

  // Then each invalid one is in the topic once, as it was
  const letters = (await stream.readAll(stream.dlqTopic)).map(openDeadLetter)
  const byId = new Map(letters.map(letter => [addedText(letter, 'id'), letter]))
  expect(letters.length).toBe(CASES.length)
  expect(byId.size).toBe(CASES.length)
  for (const [i, { what, key = null, value, headers = [], partition, timestampMs, ...expected }] of invalid.entries()) {
    const { offset } = at[2 * i + 1] ?? { offset: -1n }
    const id = `${stream.topic}-${partition}-${offset}`
    const letter = byId.get(id)
    if (letter === undefined) throw new Error(`${what}: ${id} is not in the DLQ topic`)
    expect(letter.original, what).toEqual({ key, value, headers })
    const { '__dlq.errors.message': message = '', 'holdfast.failed-at': failedAt = '' } = Object.fromEntries(
      letter.added,
    )
    expect(letter.added, what).toEqual([
      ['__dlq.errors.topic', stream.topic],
      ['__dlq.errors.partition', String(partition)],
      ['__dlq.errors.offset', String(offset)],
      ['__dlq.errors.group', stream.groupId],
      ['__dlq.errors.delivery.count', '1'],
      ['__dlq.errors.message', message],
      ['holdfast.id', id],
      ['holdfast.reason', expected.reason],
      ['holdfast.error', expected.error],
      ['holdfast.pointer', expected.pointer ?? ''],
      ['holdfast.failed-at', failedAt],
      ['holdfast.timestamp', String(timestampMs)],
      ['holdfast.replay-count', '0'],
      ['traceparent', expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)],
    ])
    expect(message, what).toMatch(/^.{5,1024}$/)
    expect(letter.partition, what).toBe(partition)
    // And its time is that of the failure, so that retention counts from there
    expect(letter.timestampMs, what).toBeGreaterThanOrEqual(startedMs)
    expect(letter.timestampMs, what).toBeLessThanOrEqual(Date.now())
    expect(failedAt, what).toBe(new Date(letter.timestampMs).toISOString())
  }

  // And each has its row in the index
  const rows = await stream.query<Record<string, unknown>>(
    `SELECT id, reason, error, pointer, key, source_topic, source_partition, source_offset, source_timestamp,
       group_id, failures, attempts, replay_count, state, bytes FROM holdfast.dead_letters`,
  )
  expect(new Map(rows.map(row => [row.id, row]))).toEqual(
    new Map(
      invalid.map(({ reason, error, pointer = '', uid = '', key, value, headers = [], partition, timestampMs }, i) => {
        const offset = String(at[2 * i + 1]?.offset)
        const id = `${stream.topic}-${partition}-${offset}`
        const headerBytes = headers.reduce((sum, [name, bytes]) => sum + name.length + bytes.length, 0)
        const row = {
          id,
          ...{ reason, error, pointer, key: uid === '' ? null : uid },
          ...{ source_topic: stream.topic, source_partition: partition, source_offset: offset },
          source_timestamp: String(timestampMs),
          ...{ group_id: stream.groupId, failures: '1', attempts: 1, replay_count: 0, state: 'open' },
          bytes: String((key?.length ?? 0) + (value?.length ?? 0) + headerBytes),
        }
        return [id, row]
      }),
    ),
  )

  // And their neighbours are written, and the ledger adds up
  const written = await stream.query<{ uid: string }>('SELECT order_uid AS uid FROM orders')
  expect(written.map(({ uid }) => uid).sort()).toEqual(
    Array.from({ length: neighbours }, (_, i) => `neighbour-${i}`).sort(),
  )
  const total = neighbours + CASES.length
  expect(totalOf(await stream.ledger())).toMatchObject({
    offsets: total,
    records: total,
    written: neighbours,
    dead_lettered: CASES.length,
  })
  await eventually(async () => (await stream.committed()) === total, 'the commits')
  expect(await stream.findings()).toEqual([])
  expect(await service.metric('dead_letters_total')).toBe(CASES.length)

  // And a restart does not set them aside again
  expect(await service.stop()).toBe(0)
  await startService({ ...stream, env })
  await stream.produce([{ value: json(anOrder({ uid: 'after-the-restart' })) }])
  await eventually(async () => (await stream.settled()) === total + 1, 'the stream going on')
  expect(await stream.readAll(stream.dlqTopic)).toHaveLength(CASES.length)
})

function at(pointer: string, error: string) {
  return { ...violation, pointer, error }
}

function required(pointer: string) {
  return at(pointer, 'required')
}

function payment(over: object): Buffer {
  return json(order({ payment: { ...order().payment, ...over } }))
}

function delivery(over: object): Buffer {
  return json(order({ delivery: { ...order().delivery, ...over } }))
}

/** Bytes put into a text, behind its first `mark`. */
function spliced(whole: string, mark: string, bytes: number[]): Buffer {
  const bytesOf = Buffer.from(whole)
  const place = bytesOf.indexOf(mark) + Buffer.byteLength(mark)
  return Buffer.concat([bytesOf.subarray(0, place), Buffer.from(bytes), bytesOf.subarray(place)])
}
