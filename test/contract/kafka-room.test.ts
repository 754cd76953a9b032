import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HEADER } from '#src/engine/headers.ts'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { createConsumer } from '#src/engine/kafka/consumer.ts'
import { type KafkaProducer, startProducer } from '#src/engine/kafka/producer.ts'
import type { RecordSource, SourceEvent } from '#src/engine/ports.ts'
import type { SourceRecord } from '#src/engine/record.ts'
import { createDeadLetterSink } from '#src/inbox/kafka/dead-letter-sink.ts'
import { fetchRaw, headerKind } from '../support/raw-fetch.ts'
import { aHeader, aRecord } from '../support/records.ts'
import { type FreshTopics, freshTopics, kafkaBrokers } from '../support/stack.ts'

/** What the client really does, as far as the guarantees rest on it. */

const connection = { brokers: [kafkaBrokers()], security: {}, extra: {} }
/** It only ends a broken test. */
const PATIENCE_MS = 90_000
let producer: KafkaProducer

beforeAll(async () => {
  producer = await startProducer({ connection })
})
afterAll(async () => {
  await producer.close()
})

async function topicsOf(partitions: number): Promise<FreshTopics> {
  const names = freshTopics('kafka-room')
  await ensureTopics(connection, producer, { ...names, partitions, replication: 1 })
  return names
}

async function produce(topic: string, count: number, partition = 0): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, i) =>
      producer.produce({ topic, partition, key: null, value: Buffer.from(String(i)), headers: [] }),
    ),
  )
}

async function aConsumer({ topic, groupId }: FreshTopics): Promise<RecordSource> {
  const source = createConsumer({ connection, topic, groupId, onWarning: () => {} })
  await source.start()
  return source
}

/** Polls until an event of that kind comes; records read meanwhile are collected. */
async function untilEvent<K extends SourceEvent['kind']>(
  source: RecordSource,
  kind: K,
  records: SourceRecord[] = [],
): Promise<Extract<SourceEvent, { kind: K }>> {
  for (const until = performance.now() + PATIENCE_MS; performance.now() < until; ) {
    const event = source.nextEvent()
    // A new member first hears that nothing is free yet.
    if (event?.kind === 'assigned' && event.partitions.length === 0) source.assign([])
    else if (event?.kind === kind) return event as Extract<SourceEvent, { kind: K }>
    records.push(...(await source.poll(1_000, 100)))
  }
  throw new Error(`no ${kind} event came`)
}

async function read(source: RecordSource, count: number, max = 1_000): Promise<SourceRecord[]> {
  const records: SourceRecord[] = []
  const until = performance.now() + PATIENCE_MS
  while (records.length < count && performance.now() < until) records.push(...(await source.poll(max, 100)))
  return records
}

/** Keeps a consumer polling until `work` is done: answers of the broker only arrive there. */
async function served<R>(source: RecordSource, work: Promise<R>): Promise<R> {
  let done = false
  const finish = () => {
    done = true
  }
  work.then(finish, finish)
  while (!done) {
    await source.poll(1, 50)
    if (source.nextEvent()?.kind === 'assigned') source.assign([])
  }
  return await work
}

const offsets = (records: readonly SourceRecord[]) => records.map(({ offset }) => Number(offset))
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

it('creates topics once, mirrors the partitions, and keeps dead letters for ever', async () => {
  const { topic, dlqTopic } = await topicsOf(3)
  await ensureTopics(connection, producer, { topic, dlqTopic, partitions: 99, replication: 1 })
  expect(await producer.partitionCount(topic)).toBe(3)
  expect(await producer.partitionCount(dlqTopic)).toBe(3)
  expect(await producer.partitionCount('no-such-topic')).toBe(0)
})

describe('positions', () => {
  it('starts where the assignment says, survives pause and resume without a gap, and moves by seek', async () => {
    const names = await topicsOf(1)
    await produce(names.topic, 500)
    const source = await aConsumer(names)
    const at = { topic: names.topic, partition: 0 }

    const { partitions } = await untilEvent(source, 'assigned')
    expect(partitions).toEqual([at])
    source.assign([{ ...at, nextOffset: 100n }])
    expect(offsets(await read(source, 50, 50))).toEqual(range(100, 150))

    source.pause([at])
    expect(await source.poll(100, 300)).toEqual([])
    source.resume([at])
    expect(offsets(await read(source, 100, 100))).toEqual(range(150, 250))

    source.pause([at])
    await source.seek({ ...at, nextOffset: 20n })
    source.resume([at])
    expect(offsets(await read(source, 10, 10))).toEqual(range(20, 30))
    await source.seek({ ...at, nextOffset: 400n })
    expect(offsets(await read(source, 100))).toEqual(range(400, 500))
    expect(await source.watermarks(at)).toEqual({ low: 0n, high: 500n })
    await source.close()
  })

  it('tells of a position that the log does not hold, instead of starting elsewhere', async () => {
    const names = await topicsOf(1)
    await produce(names.topic, 5)
    const source = await aConsumer(names)
    await untilEvent(source, 'assigned')
    source.assign([{ topic: names.topic, partition: 0, nextOffset: 77n }])
    const records: SourceRecord[] = []
    await untilEvent(source, 'fetch_failed', records)
    expect(records).toEqual([])

    // And from there it can be moved to one that the log holds
    await source.seek({ topic: names.topic, partition: 0, nextOffset: 2n })
    expect(offsets(await read(source, 3))).toEqual(range(2, 5))
    await source.close()
  })

  it('resolves a commit with the answer of the broker', async () => {
    const names = await topicsOf(1)
    await produce(names.topic, 5)
    const source = await aConsumer(names)
    await untilEvent(source, 'assigned')
    const at = { topic: names.topic, partition: 0 }
    source.assign([{ ...at, nextOffset: 0n }])
    expect(await source.committed([at])).toEqual([])
    expect(await served(source, source.commit([{ ...at, nextOffset: 3n }]))).toEqual({ ok: true })
    expect(await source.committed([at])).toEqual([{ ...at, nextOffset: 3n }])
    await source.close()
  })
})

it('waits with a revoke until it is answered, so that in-flight work can settle and be committed first', async () => {
  const names = await topicsOf(2)
  await produce(names.topic, 10, 0)
  const first = await aConsumer(names)
  const both = (await untilEvent(first, 'assigned')).partitions
  first.assign(both.map(partition => ({ ...partition, nextOffset: 0n })))
  await read(first, 10)

  const second = await aConsumer(names)
  const secondAssigned = untilEvent(second, 'assigned')
  const revoked = await untilEvent(first, 'revoked')
  expect(revoked.lost).toBe(false)
  expect(revoked.partitions).toHaveLength(1)
  const given = revoked.partitions.map(partition => ({ ...partition, nextOffset: 7n }))
  expect(await served(first, first.commit(given))).toEqual({ ok: true })

  first.unassign(revoked.partitions)
  const event = await served(first, secondAssigned)
  expect(event.partitions).toEqual(revoked.partitions)
  expect(await second.committed(event.partitions)).toEqual(given)
  second.assign(given)
  await Promise.all([first.close(), second.close()])
})

it('closes although a rebalance was never answered', async () => {
  const names = await topicsOf(1)
  const source = await aConsumer(names)
  for (let i = 0; i < 100; i++) await source.poll(1, 20)
  await source.close()
  await source.close()
})

it('carries bytes: keys, null and empty values, repeated and awkward headers', async () => {
  const names = await topicsOf(1)
  const headers = [
    aHeader('a', '1'),
    aHeader('__proto__', 'p'),
    aHeader('a', '2'),
    ['nul', Buffer.from([0, 255, 0])],
    ['empty', Buffer.alloc(0)],
  ] as const
  const sent = [
    { key: Buffer.from([0, 1, 255]), value: Buffer.from([0, 255]), headers },
    { key: null, value: null, headers: [] },
    { key: Buffer.alloc(0), value: Buffer.alloc(0), headers: [] },
  ]
  for (const record of sent)
    await producer.produce({ topic: names.topic, partition: 0, ...record, timestampMs: 1_600_000_000_000 })
  const source = await aConsumer(names)
  await untilEvent(source, 'assigned')
  source.assign([{ topic: names.topic, partition: 0, nextOffset: 0n }])
  const received = await read(source, 3)
  expect(received.map(({ key, value, headers }) => ({ key, value, headers }))).toEqual(sent)
  expect(received[0]?.timestampMs).toBe(1_600_000_000_000)
  expect({}).not.toHaveProperty('length')
  const batches = await fetchRaw(kafkaBrokers(), names.topic, 0)
  expect(headerKind(batches, 'empty'), 'no null, which the client makes of an empty Buffer').toBe('empty')
  await source.close()
})

it('sends a dead letter to the partition that mirrors its source, and asks for the topic before it sends', async () => {
  const names = await topicsOf(3)
  const record = aRecord({ topic: names.topic, partition: 5, offset: 9n, text: 'x' })
  const deadLetter = {
    record,
    origin: record,
    rejection: { reason: 'malformed_json', error: 'malformed_json', pointer: '', message: 'no JSON', violations: [] },
    failedAtMs: 1_650_000_000_000,
    attempts: 1,
    redriveCount: 0,
    key: null,
    groupId: names.groupId,
  } as const
  await createDeadLetterSink(producer, names.dlqTopic).send(deadLetter)
  await expect(createDeadLetterSink(producer, 'missing.dlq').send(deadLetter)).rejects.toThrow(
    /missing\.dlq does not exist/,
  )

  const source = await aConsumer({ ...names, topic: names.dlqTopic })
  const { partitions } = await untilEvent(source, 'assigned')
  source.assign(partitions.map(partition => ({ ...partition, nextOffset: 0n })))
  const [received] = await read(source, 1)
  expect(received).toMatchObject({ partition: 5 % 3, timestampMs: 1_650_000_000_000, value: Buffer.from('x') })
  expect(received?.headers.find(([name]) => name === HEADER.id)?.[1].toString()).toBe(`${names.topic}-5-9`)
  const batches = await fetchRaw(kafkaBrokers(), names.dlqTopic, 5 % 3)
  // Of a redriven record, and of one that is too large.
  const unusual: readonly string[] = [HEADER.redriveId, HEADER.value, HEADER.valueAt, HEADER.valueHash, HEADER.record]
  const kinds = Object.values(HEADER)
    .filter(name => !unusual.includes(name))
    .map(name => headerKind(batches, name))
  expect(new Set(kinds), 'a reader in Java meets no null in them').toEqual(new Set(['empty', 'bytes']))
  await source.close()
})
