import { afterAll, beforeAll, expect, it } from 'vitest'
import { headerText } from '#src/engine/headers.ts'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { type KafkaProducer, startProducer } from '#src/engine/kafka/producer.ts'
import type { Header, SourceRecord } from '#src/engine/record.ts'
import { createDeadLetterRecords } from '#src/inbox/kafka/dead-letter-records.ts'
import type { DeadLetterRow } from '#src/inbox/ports.ts'
import { toRedrivenRecord } from '#src/inbox/redriven-record.ts'
import { holdfast } from '../support/cli.ts'
import { fingerprint } from '../support/model.ts'
import { anOrder } from '../support/orders.ts'
import { aHeader } from '../support/records.ts'
import { aRedrive } from '../support/redrives.ts'
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
  return await stream.query<Row>('SELECT * FROM holdfast.dead_letters ORDER BY source_offset, id')
}

/** Its bytes, from where the index says that they stand. */
async function bytesOf(stream: Stream, { id, dlq_partition, dlq_offset }: Row): Promise<SourceRecord> {
  const { dlqTopic: topic, groupId } = stream
  await using records = createDeadLetterRecords({ connection, topic, sourceTopic: topic, groupId })
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
  const item = { id, origin, redriveCount: replay_count, place: undefined, edited: value, bytes }
  const record = await bytesOf(stream, row)
  const before = await stream.settled()
  await aRedrive(stream, 'r1', id)
  await producer.produce({ topic: stream.topic, ...toRedrivenRecord(record, item, 'r1') })
  await eventually(async () => (await stream.settled()) > before, 'the redriven record being settled')
}

/** As Spring Kafka, Kafka Connect and Kafka Streams say where a record stood, and why they set it aside. */
const FOREIGN = {
  spring(topic: string, offset: bigint): Header[] {
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
  },
  connect: (topic: string, offset: bigint): Header[] => [
    aHeader('__connect.errors.topic', topic),
    aHeader('__connect.errors.partition', '0'),
    aHeader('__connect.errors.offset', String(offset)),
    aHeader('__connect.errors.stage', 'TASK_PUT'),
    aHeader('__connect.errors.exception.class.name', 'org.apache.kafka.connect.errors.DataException'),
    aHeader('__connect.errors.exception.message', 'ada@example.org is unknown'),
  ],
  streams: (topic: string, offset: bigint): Header[] => [
    aHeader('__streams.errors.topic', topic),
    aHeader('__streams.errors.partition', '0'),
    aHeader('__streams.errors.offset', String(offset)),
    aHeader('__streams.errors.exception', 'java.lang.IllegalStateException: ada@example.org is unknown'),
  ],
} as const
const OF_OTHERS = /^(?:kafka_dlt-|__connect\.|__streams\.)/

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
    { key: 'stale', state: 'resolved', replay_count: 1 },
    { key: 'repaired', state: 'resolved', replay_count: 1 },
    { key: 'unrepaired', state: 'open', replay_count: 1, dlq_offset: '3' },
  ])
  const amounts = 'SELECT order_uid, amount::integer FROM payments ORDER BY order_uid'
  expect(await stream.query(amounts)).toEqual([
    { order_uid: 'repaired', amount: 1 },
    { order_uid: 'stale', amount: 2 },
  ])
  expect(await stream.findings()).toEqual([])

  // And an index that is lost comes back as it was, while the service runs
  const before = await letters(stream)
  await stream.query('TRUNCATE holdfast.dead_letters')
  const { stdout } = await holdfast(stream, 'dlq', 'reindex', '--json')
  expect(JSON.parse(stdout)).toMatchObject({ read: 4, letters: 3, added: 3, placed: 0, written_by: { holdfast: 3 } })
  const changes = (rows: Row[]) => rows.map(({ state_changed_at: _, ...row }) => row)
  expect(changes(await letters(stream))).toEqual(changes(before))
  expect(await stream.findings()).toEqual([])
})

/** A group begins at `next`: what stands before it, other programs have had, and the ledger says that it was skipped. */
async function beginsAt({ query, topic, groupId }: Stream, next: number): Promise<void> {
  await query(
    'INSERT INTO holdfast.stream_progress (topic, partition, group_id, first_offset, next_offset) VALUES ($1, 0, $2, 0, $3)',
    [topic, groupId, next],
  )
  await query(
    `INSERT INTO holdfast.stream_ledger (topic, partition, group_id, from_offset, to_offset, records, written, duplicate, stale,
       superseded, dead_lettered, gaps, expired, skipped, inserted)
     VALUES ($1, 0, $2, 0, $3, 0, 0, 0, 0, 0, 0, 0, 0, $3, 0)`,
    [topic, groupId, next],
  )
}

it('dead letters of other programs are found, redriven by the command and resolved like ours', async () => {
  // Given orders that stood in the topic before our group began, and that programs of somebody else have set aside
  const stream = await aStream({ partitions: 1 })
  const programs = ['spring', 'connect', 'streams'] as const
  await stream.produce(programs.map(program => ({ value: good(program), headers: [aHeader('own', program)] })))
  await beginsAt(stream, programs.length)
  const service = await startService(stream)
  await eventually(() => service.log.some(({ event }) => event === 'jobs_started'), 'the jobs')
  await settle(stream, broken('ours'))
  const setAside = (value: string, headers: Header[]) =>
    producer.produce({ topic: stream.dlqTopic, partition: 0, key: null, value: Buffer.from(value), headers })
  for (const [offset, program] of programs.entries()) {
    await setAside(good(program), [aHeader('own', program), ...FOREIGN[program](stream.topic, BigInt(offset))])
  }
  // And one that both have set aside
  await setAside(broken('ours'), FOREIGN.spring(stream.topic, 3n))
  // And one of which nobody knows where it came from
  await setAside(good('stray'), [])
  // And one that stood in another topic
  const returns = { ...stream, topic: `${stream.topic}-returns`, groupId: `${stream.groupId}-returns` }
  await ensureTopics(connection, producer, { ...returns, partitions: 1, replication: 1 })
  await producer.produce({
    topic: returns.topic,
    partition: 0,
    key: null,
    value: Buffer.from(good('back')),
    headers: [],
  })
  await beginsAt(returns, 1)
  await setAside(good('back'), FOREIGN.connect(returns.topic, 0n))

  // When the index is brought up to date
  await holdfast(stream, 'dlq', 'reindex')

  // Then they are there, with what their headers say, and nothing that they quote; the proof holds
  const shown = (rows: Row[]) => rows.map(({ id, written_by, error, state }) => `${id} ${written_by} ${error} ${state}`)
  const indexed = (await letters(stream)).toSorted((a, b) => Number(a.dlq_offset) - Number(b.dlq_offset))
  expect(shown(indexed)).toEqual([
    `${stream.topic}-0-3 holdfast required open`,
    `${stream.topic}-0-0 spring WarehouseException open`,
    `${stream.topic}-0-1 connect DataException open`,
    `${stream.topic}-0-2 streams IllegalStateException open`,
    `${stream.dlqTopic}-0-5 unknown unknown open`,
    `${returns.topic}-0-0 connect DataException open`,
  ])
  expect(indexed.map(row => `${row.key} ${row.reason}`)).toEqual([
    'ours schema_violation',
    ...[...programs, 'stray', 'back'].map(uid => `${uid} unexpected_error`),
  ])
  expect(JSON.stringify(indexed)).not.toContain('ada@')
  expect(await stream.findings()).toEqual([])

  // And those that came from this topic, or from nobody knows where, are redriven, and are orders like any other
  const theirs = ['dlq', 'replay', 'reason:unexpected_error', '--to', 'topic'] as const
  const preview = JSON.parse((await holdfast(stream, ...theirs, '--dry-run', '--json')).stdout)
  expect(preview).toMatchObject({ preview: { count: 4, left_out: { other_topic: 1 } } })
  const said = await holdfast(stream, ...theirs, '--yes')
  expect(said.stdout).toMatch(/^redrive r\w{10} done: 4 of 4 published, 4 resolved\n$/)
  expect(said.stderr).toMatch(/^redriven 4 of 4 \(100%\) /m)
  const uids = 'SELECT order_uid FROM orders ORDER BY order_uid'
  expect((await stream.query(uids)).map(row => row.order_uid)).toEqual(['connect', 'spring', 'stray', 'streams'])
  const sent = (await stream.readAll(stream.topic)).slice(programs.length + 1)
  expect(sent.map(record => headerText(record, 'own')).toSorted()).toEqual([...programs, undefined].toSorted())
  expect(sent.flatMap(({ headers }) => headers.filter(([name]) => OF_OTHERS.test(name)))).toEqual([])

  // And the other one goes back to its topic when that is named, though a service of this one is free to work on it
  const consumer = await startService({ ...returns, roles: ['consumer', 'api'] })
  const done = await holdfast(returns, 'dlq', 'replay', `topic:${returns.topic}`, '--to', 'topic', '--yes', '--json')
  const ended = JSON.parse(done.stdout)
  expect(ended).toMatchObject({ state: 'done', total: 1, resolved: 1 })
  expect(service.log.filter(line => line.event === 'replay_taken' && line.replay_id === ended.id)).toEqual([])
  expect(await stream.readAll(returns.topic)).toHaveLength(2)
  expect((await stream.readAll(stream.topic)).length).toBe(programs.length + 1 + sent.length)
  expect(await consumer.stop()).toBe(0)
  expect((await letters(stream)).filter(({ state }) => state !== 'resolved').map(row => row.key)).toEqual(['ours'])
  expect(await stream.query(uids)).toHaveLength(5)

  // And another copy of what was redriven has no effect
  const stored = await fingerprint(stream)
  for (const row of indexed.filter(({ key }) => key === 'spring' || key === 'stray')) {
    await redrive(stream, row)
  }
  expect(await fingerprint(stream)).toBe(stored)
  expect(await stream.findings()).toEqual([])
})

it('what steers a terminal in a dead letter, its headers or its reasons is escaped by every command that shows it', async () => {
  // Given a record of the dead-letter topic whose every text holds what a terminal obeys, or nobody sees
  const stream = await aStream({ partitions: 1 })
  await ensureTopics(connection, producer, { ...stream, partitions: 1, replication: 1 })
  await ensureTopics(connection, producer, { ...stream, topic: stream.dlqTopic, partitions: 1, replication: 1 })
  const hostile = '\u001b[2J\u0007\r\nok: 1 records\u009b31m\u202e\u200b'
  const order = anOrder({ uid: 'hostile' })
  const value = JSON.stringify({ ...order, delivery: { ...order.delivery, name: hostile }, [hostile]: 1, entry: 5 })
  const texts = { error: hostile, pointer: `/${hostile}`, group: hostile, [hostile]: hostile }
  const headers = [
    aHeader('holdfast.id', `${stream.topic}-0-0`),
    aHeader('holdfast.reason', 'schema_violation'),
    aHeader('holdfast.failed-at', '2026-01-01T00:00:00Z'),
    ...Object.entries(texts).map(([name, text]) => aHeader(`holdfast.${name}`, text)),
    ...['__dlq.errors.message', '__dlq.errors.group'].map(name => aHeader(name, hostile)),
  ]
  await producer.produce({
    topic: stream.dlqTopic,
    partition: 0,
    key: Buffer.from(hostile),
    value: Buffer.from(value),
    headers,
  })

  // When it is brought into the index, and looked at
  const id = `${stream.topic}-0-0`
  const said = [await holdfast(stream, 'dlq', 'reindex')]
  const commands = [
    ...[['ls'], ['ls', '--json'], ['stats'], ['stats', '--json'], ['check'], ['export']],
    ...[
      ['show', id],
      ['show', id, '--reveal', '--json'],
      ['show', id, '--reveal'],
      ['replay', 'state:open', '--dry-run'],
    ],
  ]
  said.push(...(await Promise.all(commands.map(command => holdfast(stream, 'dlq', ...command)))))

  // Then nothing of that reaches the terminal as it is, and JSON is JSON still
  for (const [index, { stdout, stderr }] of said.entries()) {
    const command = ['reindex', ...commands][index]
    expect(/[\p{Cc}\p{Cf}]/u.test((stdout + stderr).replaceAll('\n', '')), `${command}: ${stdout}${stderr}`).toBe(false)
    expect(`${stdout}${stderr}`).not.toMatch(/^ok: 1 records/m)
  }
  const json = JSON.parse(said[8]?.stdout ?? '')
  expect(JSON.parse(json.value.text).delivery.name).toBe(hostile)
  expect(said[1]?.stdout).toContain('\\u001b[2J')
})
