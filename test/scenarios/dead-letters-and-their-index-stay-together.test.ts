import { afterAll, beforeAll, expect, it } from 'vitest'
import type { DeadLetterRow } from '#src/core/dead-letter-desk.ts'
import type { Header, SourceRecord } from '#src/core/record.ts'
import { toRedrivenRecord } from '#src/core/redrive.ts'
import { createDeadLetterRecords } from '#src/kafka/dead-letter-records.ts'
import { type KafkaProducer, startProducer } from '#src/kafka/producer.ts'
import { holdfast } from '../support/cli.ts'
import { fingerprint } from '../support/model.ts'
import { anOrder } from '../support/orders.ts'
import { aHeader } from '../support/records.ts'
import { eventually, startService } from '../support/service.ts'
import { kafkaBrokers } from '../support/stack.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

const connection = { brokers: [kafkaBrokers()], security: {}, extra: {} }
let producer: KafkaProducer
beforeAll(async () => {
  producer = await startProducer({ connection })
})
afterAll(async () => {
  await producer.close()
})

const good = (uid: string, amount = 1) => JSON.stringify(anOrder({ uid, amount }))
/** Lacks its amount. */
const broken = (uid: string) => good(uid).replace(/"amount":\d+,/, '')

async function settle(stream: Stream, ...values: string[]): Promise<void> {
  const before = await stream.settled()
  await stream.produce(values.map(value => ({ key: null, value, partition: 0 })))
  await eventually(async () => (await stream.settled()) >= before + values.length, 'the records being settled')
}

type Row = DeadLetterRow & { readonly source_timestamp: string }

async function letters(stream: Stream): Promise<Row[]> {
  return await stream.query<Row>('SELECT * FROM dead_letters ORDER BY source_offset, id')
}

/** Its bytes, from where the index says that they stand. */
async function bytesOf(stream: Stream, { id, dlq_partition, dlq_offset }: Row): Promise<SourceRecord> {
  const { dlqTopic: topic, groupId } = stream
  await using records = createDeadLetterRecords({ connection, topic, groupId })
  const place = { id, partition: dlq_partition ?? -1, offset: BigInt(dlq_offset ?? -1) }
  const [found] = await Array.fromAsync(records.read([place]))
  if (found === undefined) throw new Error(`nothing of ${id} stands where the index says`)
  return found.record
}

/** Publishes a letter as the redrive `r1` would. */
async function redrive(stream: Stream, row: Row, edited?: string): Promise<void> {
  const { id, source_topic, source_partition, source_offset, source_timestamp, replay_count, bytes } = row
  const origin = {
    topic: source_topic,
    partition: source_partition,
    offset: BigInt(source_offset),
    timestampMs: Number(source_timestamp),
  }
  const value = edited === undefined ? undefined : Buffer.from(edited)
  const item = { id, origin, replayCount: replay_count, place: undefined, edited: value, bytes }
  const record = await bytesOf(stream, row)
  const before = await stream.settled()
  await producer.produce({ topic: stream.topic, ...toRedrivenRecord(record, item, 'r1') })
  await eventually(async () => (await stream.settled()) > before, 'the redriven record being settled')
}

function spring(topic: string, offset: bigint): Header[] {
  const partition = Buffer.alloc(4)
  const at = Buffer.alloc(8)
  at.writeBigInt64BE(offset)
  return [
    aHeader('kafka_dlt-original-topic', topic),
    ['kafka_dlt-original-partition', partition],
    ['kafka_dlt-original-offset', at],
    aHeader('kafka_dlt-exception-fqcn', 'com.example.WarehouseException'),
    aHeader('kafka_dlt-exception-message', 'ada@example.org is unknown'),
  ]
}

it('redriven records close the loop of their letters, and the index can be made anew from the topic', async () => {
  // Given dead letters, and a newer version of one of their orders
  const stream = await aStream({ partitions: 1 })
  await startService(stream)
  await settle(stream, broken('stale'), broken('repaired'), broken('unrepaired'), good('stale', 2))
  const [stale, repaired, unrepaired] = await letters(stream)
  if (!stale || !repaired || !unrepaired) throw new Error('there are not three dead letters')
  expect((await bytesOf(stream, repaired)).value?.toString()).toBe(broken('repaired'))

  // When they are redriven, two of them repaired
  await redrive(stream, stale, good('stale', 1))
  await redrive(stream, repaired, good('repaired'))
  await redrive(stream, unrepaired)

  // Then each knows how it went, and the newer version is untouched
  expect(await letters(stream)).toMatchObject([
    { order_uid: 'stale', state: 'resolved', replay_count: 1 },
    { order_uid: 'repaired', state: 'resolved', replay_count: 1 },
    { order_uid: 'unrepaired', state: 'open', replay_count: 1, dlq_offset: '3' },
  ])
  const amounts = 'SELECT order_uid, amount::integer FROM payments ORDER BY order_uid'
  expect(await stream.query(amounts)).toEqual([
    { order_uid: 'repaired', amount: 1 },
    { order_uid: 'stale', amount: 2 },
  ])
  expect(await stream.findings()).toEqual([])

  // And an index that is lost comes back as it was, while the service runs
  const before = await letters(stream)
  await stream.query('TRUNCATE dead_letters')
  const { stdout } = await holdfast(stream, 'dlq', 'reindex', '--json')
  expect(JSON.parse(stdout)).toMatchObject({ read: 4, letters: 3, added: 3, placed: 0, written_by: { holdfast: 3 } })
  const changes = (rows: Row[]) => rows.map(({ state_changed_at: _, ...row }) => row)
  expect(changes(await letters(stream))).toEqual(changes(before))
  expect(await stream.findings()).toEqual([])
})

it('a dead letter of another program is found, redriven and resolved like one of ours', async () => {
  // Given an order that stood in the topic before our group began, and that a program of somebody else has set aside
  const stream = await aStream({ partitions: 1 })
  await stream.produce([{ value: good('theirs'), partition: 0 }])
  await stream.query(
    `INSERT INTO stream_progress (topic, partition, group_id, first_offset, next_offset) VALUES ($1, 0, $2, 1, 1)`,
    [stream.topic, stream.groupId],
  )
  await startService(stream)
  await settle(stream, broken('ours'))
  const theirs = { topic: stream.dlqTopic, partition: 0, key: null, value: Buffer.from(good('theirs')) }
  await producer.produce({ ...theirs, headers: spring(stream.topic, 0n) })
  // And one that both have set aside
  await producer.produce({ ...theirs, value: Buffer.from(broken('ours')), headers: spring(stream.topic, 1n) })
  // And one of which nobody knows where it came from
  await producer.produce({ ...theirs, value: Buffer.from(good('stray')), headers: [] })

  // When the index is brought up to date
  await holdfast(stream, 'dlq', 'reindex')

  // Then it is there, with what its headers say, and nothing that they quote; the proof holds
  const [found, ours, stray] = await letters(stream)
  expect(ours).toMatchObject({ order_uid: 'ours', written_by: 'holdfast', reason: 'schema_violation' })
  expect(found).toMatchObject({
    id: `${stream.topic}-0-0`,
    written_by: 'spring',
    order_uid: 'theirs',
    reason: 'unexpected_error',
    error: 'WarehouseException',
    state: 'open',
  })
  expect(JSON.stringify(found)).not.toContain('ada@')
  expect(await stream.findings()).toEqual([])

  // And redriven they are orders like any other
  if (found === undefined || stray === undefined) throw new Error('they are not there')
  expect(stray).toMatchObject({ id: `${stream.dlqTopic}-0-3`, written_by: 'unknown', state: 'open' })
  await redrive(stream, found)
  await redrive(stream, stray)
  expect((await letters(stream)).map(({ state }) => state)).toEqual(['resolved', 'open', 'resolved'])
  expect(await stream.query('SELECT order_uid FROM orders ORDER BY order_uid')).toEqual([
    { order_uid: 'stray' },
    { order_uid: 'theirs' },
  ])
  const stored = await fingerprint(stream)
  await redrive(stream, found)
  await redrive(stream, stray)
  expect(await fingerprint(stream)).toBe(stored)
  expect(await stream.findings()).toEqual([])
})
