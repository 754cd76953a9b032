import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { HEADER, headerText } from '#src/engine/headers.ts'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import { holdfast } from '../support/cli.ts'
import { createTopic, deleteTopic, forgetGroup, removeBelow } from '../support/kafka-tools.ts'
import { anOrder } from '../support/orders.ts'
import { eventually, startService } from '../support/service.ts'
import { aStream, type ProducedRecord, type Stream, streamTools, totalOf } from '../support/stream.ts'
import { transactionalProducer } from '../support/transactions.ts'

streamTools()

it('reads what transactions have committed, counts the rest as gaps, and goes on to the end of the log', async () => {
  // Given a partition with committed and aborted transactions, which ends with an aborted one, and one that holds nothing else
  const stream = await aStream({ partitions: 2 })
  const producer = await transactionalProducer(stream.brokers)
  const order = (uid: string) => ({ topic: stream.topic, partition: 0, ...anOrderOf(uid) })
  await producer.send('commit', [order('one'), order('two')])
  await producer.send('abort', [order('never'), order('one')])
  await producer.send('commit', [order('three')])
  await producer.send('abort', [order('never'), order('never')])
  await producer.send('abort', [{ ...order('never'), partition: 1 }])
  const service = await startService(stream)

  // Then the lag is of no record, here and on the command line
  const uids = async () => (await stream.query('SELECT order_uid AS uid FROM orders ORDER BY 1')).map(({ uid }) => uid)
  await eventually(async () => (await uids()).length === 3, 'the committed ones being stored')
  await eventually(async () => (await lagOf()) === '0 0', 'no lag')
  expect(await uids()).toEqual(['one', 'three', 'two'])

  // And progress and Kafka's offset go to the end of the log, beyond the last record that can be read
  await eventually(async () => (await stream.committed()) === 13, 'the end of the log being committed')
  expect(totalOf(await stream.ledger())).toMatchObject({ offsets: 13, records: 3, written: 3, gaps: 10 })
  const lag = (await holdfast(stream, 'lag', '--json')).stdout.trim().split('\n')
  for (const line of lag) expect(JSON.parse(line)).toMatchObject({ lag_records: 0, lag_seconds: 0 })

  // When a transaction stays open for longer than it takes to look, its record is not passed over, and counts once it is committed
  const end = await producer.begin([order('four')])
  await stream.produce([{ ...anOrderOf('five'), partition: 0 }])
  await new Promise<void>(resolve => setTimeout(resolve, 3_000))
  expect(await uids()).toHaveLength(3)
  expect(await stream.committed()).toBe(13)
  await end('commit')
  await eventually(async () => (await uids()).length === 5, 'both being stored')
  await eventually(async () => (await stream.committed()) === 16, 'the end of the log being committed')
  // (The service learns where the log ends by asking every two seconds.)
  await eventually(async () => (await lagOf()) === '0 0', 'no lag')

  // When retention then removes all of it, nothing was lost and nothing is said to be, neither now nor after a restart
  await removeBelow(stream.brokers, stream.topic, 0, 14)
  await removeBelow(stream.brokers, stream.topic, 1, 2)
  expect(await service.stop()).toBe(0)
  const second = await startService(stream)
  await stream.produce([{ ...anOrderOf('six'), partition: 0 }])
  await eventually(async () => (await stream.committed()) === 17, 'the next one being committed')
  for (const { log } of [service, second]) expect(log.filter(({ event }) => event === 'expired')).toEqual([])
  expect(totalOf(await stream.ledger())).toMatchObject({ offsets: 17, records: 6, gaps: 11, expired: 0 })
  expect(await stream.findings()).toEqual([])

  async function lagOf(): Promise<string> {
    const page = await (await fetch(`${service.url}/metrics`)).text()
    const of = (name: string) =>
      page
        .split('\n')
        .find(line => line.startsWith(`holdfast_${name}{`))
        ?.split(' ')[1]
    return `${of('consumer_lag_records')} ${of('consumer_lag_seconds')}`
  }
})

/** Milliseconds, as they should be; then what producers write that mistake the unit, and the ends of what Kafka can hold. */
const TIMESTAMPS = [
  ...[-1, 1, Date.parse('2200-01-01T00:00:00Z'), Number.MAX_SAFE_INTEGER],
  ...[1_700_000_000, 1_700_000_000_000_000, 1_700_000_000_000_000_000, -5, 2 ** 63],
]
const INT64_MAX = '9223372036854775807'

it('takes timestamps as they come: none, the epoch, years ahead, seconds, micro- and nanoseconds, any 64-bit integer', async () => {
  // Given a topic that lets its producers claim whatever time they like
  const stream = await aStreamOfAnyTime()
  const records = TIMESTAMPS.flatMap((timestampMs, i) => [
    { ...anOrderOf(`order-${i}`), timestampMs, partition: 0 },
    { key: null, value: null, timestampMs, partition: 0 },
  ])
  await stream.produce(records)

  // Then the orders are stored, the tombstones are dead letters, and no figure becomes nonsense
  const service = await startService(stream)
  const count = TIMESTAMPS.length
  await eventually(async () => (await stream.committed()) === 2 * count, 'all of them being committed')
  expect(totalOf(await stream.ledger())).toMatchObject({ records: 2 * count, written: count, dead_lettered: count })
  const page = await (await fetch(`${service.url}/metrics`)).text()
  expect(page).not.toMatch(/^holdfast_\S+ (NaN|-)/m)
  const timestamps = TIMESTAMPS.map(timestampMs => (timestampMs === 2 ** 63 ? INT64_MAX : String(timestampMs)))
  const stored = await stream.query('SELECT source_timestamp AS at FROM orders ORDER BY source_offset')
  expect(stored.map(({ at }) => at)).toEqual(timestamps)
  const indexed = await stream.query('SELECT source_timestamp AS at FROM holdfast.dead_letters ORDER BY source_offset')
  expect(indexed.map(({ at }) => at)).toEqual(timestamps)
  const set = (await stream.readAll(stream.dlqTopic)).map(record => headerText(record, HEADER.timestamp))
  expect(set).toEqual(timestamps)
  const letters = (await holdfast(stream, 'dlq', 'ls', '--json')).stdout.trim().split('\n')
  expect(letters.map(line => JSON.parse(line).reason)).toEqual(Array(count).fill('empty_value'))
  expect(await stream.findings()).toEqual([])
})

it('redrives an old version behind the newer one when timestamps are microseconds', async () => {
  // Given a broken version of an order and a newer one
  const timestampMs = 1_700_000_000_000_000
  const stream = await aStreamOfAnyTime()
  const broken = { key: Buffer.from('one'), value: '{"order_uid":"one"}', timestampMs, partition: 0 }
  const newer = { ...anOrderOf('one', 2), timestampMs: timestampMs + 1_000_000, partition: 0 }
  await stream.produce([broken])
  await stream.produce([newer])
  await startService(stream)
  await eventually(async () => (await stream.settled()) === 2, 'both being settled')

  // When the older one is repaired and redriven, then it is stale, its letter is resolved, and the newer one stays
  const folder = await mkdtemp(join(tmpdir(), 'repaired-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const repaired = join(folder, 'fix.json')
  await writeFile(repaired, anOrderOf('one', 1).value)
  const id = `${stream.topic}-0-0`
  const done = await holdfast(
    stream,
    'dlq',
    'replay',
    `id:${id}`,
    '--edit',
    repaired,
    '--to',
    'topic',
    '--yes',
    '--json',
  )
  expect(JSON.parse(done.stdout)).toMatchObject({ state: 'done', total: 1, resolved: 1 })
  expect(await stream.query('SELECT outcome FROM holdfast.replay_items')).toEqual([{ outcome: 'stale' }])
  expect(await stream.query('SELECT state FROM holdfast.dead_letters')).toEqual([{ state: 'resolved' }])
  expect(await stream.query('SELECT amount FROM payments')).toEqual([{ amount: '2' }])
  expect(await stream.findings()).toEqual([])
})

/** Of one partition, in which a record may have any timestamp: Kafka 4 refuses those far ahead unless told otherwise. */
async function aStreamOfAnyTime(): Promise<Stream> {
  const stream = await aStream({ partitions: 1 })
  await deleteTopic(stream.brokers, stream.topic)
  const config = { 'message.timestamp.after.max.ms': INT64_MAX }
  const create = () =>
    createTopic(stream.brokers, stream.topic, 1, config).then(
      () => true,
      () => false,
    )
  await eventually(create, 'the topic being made anew')
  return stream
}

it('has a dead-letter topic with fewer partitions than the source', async () => {
  const stream = await aStream({ partitions: 3 })
  await deleteTopic(stream.brokers, stream.dlqTopic)
  const create = () =>
    createTopic(stream.brokers, stream.dlqTopic, 1).then(
      () => true,
      () => false,
    )
  await eventually(create, 'the topic being made anew')
  const service = await startService(stream)
  await stream.produce([0, 1, 2].map(partition => ({ key: null, value: 'no order', partition })))
  await eventually(async () => (await stream.committed()) === 3, 'all of them being committed')
  expect((await stream.readAll(stream.dlqTopic)).map(({ partition }) => partition)).toEqual([0, 0, 0])
  const shown = await holdfast(stream, 'dlq', 'show', `${stream.topic}-2-0`, '--json')
  expect(JSON.parse(shown.stdout)).toMatchObject({ dlq_partition: 0 })
  expect(await stream.findings()).toEqual([])
  expect(await service.stop()).toBe(0)
})

it('takes a group over where another application has committed it, if told so, and enters what that passes over', async () => {
  // Given a group that another application has brought to the middle of one partition, and to the end of the other
  const stream = await aStream({ partitions: 2 })
  await stream.produce(Array.from({ length: 10 }, (_, i) => ({ ...anOrderOf(`order-${i}`), partition: i % 2 })))
  await using inspector = await startInspector({
    connection: { brokers: [stream.brokers], security: {}, extra: {} },
    groupId: stream.groupId,
  })
  const committed = [3n, 5n].map((nextOffset, partition) => ({ topic: stream.topic, partition, nextOffset }))
  await inspector.commit(committed)

  // When the service starts with the setting for that
  const service = await startService({ ...stream, env: { KAFKA_START_AT: 'committed' } })
  await eventually(async () => (await stream.committed()) === 10, 'the rest being committed')

  // Then the rest is stored, and the proof knows of what was passed over
  expect(await stream.query('SELECT order_uid AS uid FROM orders ORDER BY 1')).toEqual(
    ['order-6', 'order-8'].map(uid => ({ uid })),
  )
  expect(totalOf(await stream.ledger())).toMatchObject({ offsets: 10, records: 2, skipped: 8 })
  expect(await stream.findings()).toEqual([])
  expect(await service.stop()).toBe(0)
})

it('has lost the offsets that Kafka held for it, and goes on by its own', async () => {
  // Given a stream at rest whose group is then deleted
  const stream = await aStream({ partitions: 2 })
  const first = await startService(stream)
  await stream.produce([0, 1, 0].map((partition, i) => ({ ...anOrderOf(`order-${i}`), partition })))
  await eventually(async () => (await stream.committed()) === 3, 'all of them being committed')
  expect(await first.stop()).toBe(0)
  await eventually(() => forgetGroup(stream.brokers, stream.groupId), 'the group being forgotten')
  expect(await stream.committed()).toBe(0)

  // When the service comes back, then nothing is read twice, and Kafka learns of it again
  const second = await startService(stream)
  await eventually(async () => (await stream.committed()) === 3, 'the offsets being there again')
  await stream.produce([{ ...anOrderOf('order-3'), partition: 1 }])
  await eventually(async () => (await stream.committed()) === 4, 'the next one')
  expect(totalOf(await stream.ledger())).toMatchObject({ records: 4, written: 4, duplicate: 0 })
  expect(await stream.findings()).toEqual([])
  expect(await second.stop()).toBe(0)
})

function anOrderOf(uid: string, amount = 100): { readonly key: Buffer; readonly value: Buffer } {
  return {
    key: Buffer.from(uid),
    value: Buffer.from(JSON.stringify(anOrder({ uid, amount }))),
  } satisfies ProducedRecord
}
