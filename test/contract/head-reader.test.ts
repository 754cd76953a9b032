import { isDeepStrictEqual } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { BrokerUnavailableError } from '#src/engine/errors.ts'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { createHeadReader } from '#src/engine/kafka/head-reader.ts'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { startKafkaBehindAWire } from '../support/kafka-behind-a-wire.ts'
import { eventually } from '../support/service.ts'
import { freshTopics, kafkaBrokers } from '../support/stack.ts'
import { transactionalProducer } from '../support/transactions.ts'

const T0 = 1_600_000_000_000

it('tells the timestamp of the record at an offset, and where there is none; it joins no group and moves nothing', async () => {
  const connection = { brokers: [kafkaBrokers()], security: {}, extra: {} }
  const names = freshTopics('heads')
  await using producer = await startProducer({ connection })
  await ensureTopics(connection, producer, { ...names, partitions: 2, replication: 1 })
  for (let i = 0; i < 5; i++) {
    const record = { topic: names.topic, partition: 1, key: null, value: Buffer.alloc(50_000), headers: [] }
    await producer.produce({ ...record, timestampMs: T0 + i })
  }
  const at = (nextOffset: bigint, partition = 1) => ({ topic: names.topic, partition, nextOffset })

  await using heads = createHeadReader({ connection, ...names })
  const asked = [at(3n), at(0n), at(4n), at(5n), at(0n, 0), at(77n), at(2n)]
  expect(await Promise.all(asked.map(place => heads.headAt(place)))).toEqual([
    { timestampMs: T0 + 3 },
    { timestampMs: T0 },
    { timestampMs: T0 + 4 },
    ...[{ emptyTo: 5n }, { emptyTo: 0n }, { emptyTo: 77n }],
    { timestampMs: T0 + 2 },
  ])
  await using inspector = await startInspector({ connection, groupId: names.groupId })
  expect((await inspector.group(names.topic)).members).toBe(0)
  expect(await inspector.committed(await inspector.partitions(names.topic))).toEqual([])
})

it('finds nothing in what a transaction left behind, and what comes after it', async () => {
  // Given a record, one that was taken back, and the markers of both transactions
  const connection = { brokers: [kafkaBrokers()], security: {}, extra: {} }
  const names = freshTopics('heads')
  await using producer = await startProducer({ connection })
  await ensureTopics(connection, producer, { ...names, partitions: 1, replication: 1 })
  const transactional = await transactionalProducer(kafkaBrokers())
  const record = (text: string) => ({ topic: names.topic, partition: 0, value: Buffer.from(text), timestampMs: T0 })
  await transactional.send('commit', [record('stays')])
  await transactional.send('abort', [record('goes'), record('goes')])
  await using heads = createHeadReader({ connection, ...names })
  const at = (nextOffset: bigint) => ({ topic: names.topic, partition: 0, nextOffset })
  expect(await heads.headAt(at(0n))).toEqual({ timestampMs: T0 })
  // The coordinator has the end of a transaction before the partition has its marker.
  const isEmpty = async () => isDeepStrictEqual(await heads.headAt(at(1n)), { emptyTo: 5n })
  await eventually(isEmpty, 'the marker of the transaction that was taken back')

  // While a transaction is open, its record does not count as there either
  const end = await transactional.begin([record('open')])
  expect(await heads.headAt(at(1n))).toEqual({ emptyTo: 5n })
  await end('commit')
  const isThere = async () => 'timestampMs' in (await heads.headAt(at(1n)))
  await eventually(isThere, 'the record of the transaction that was open')
})

it('says so when the broker does not answer, and asks with a new client when it is there again', async () => {
  const behind = await startKafkaBehindAWire()
  onTestFinished(() => behind[Symbol.asyncDispose]())
  const { kafka, wire, wiredBrokers } = behind
  const direct = { brokers: [kafka.brokers], security: {}, extra: {} }
  const names = freshTopics('heads')
  await using producer = await startProducer({ connection: direct })
  await ensureTopics(direct, producer, { ...names, partitions: 1, replication: 1 })
  const place = { topic: names.topic, partition: 0 }
  await producer.produce({ ...place, key: null, value: null, headers: [], timestampMs: T0 })

  await using heads = createHeadReader({
    connection: { ...direct, brokers: [wiredBrokers] },
    ...names,
  })
  expect(await heads.headAt({ ...place, nextOffset: 0n })).toEqual({ timestampMs: T0 })
  await wire.set({ kind: 'black-hole' })
  await expect(heads.headAt({ ...place, nextOffset: 0n })).rejects.toMatchObject({ code: 'broker_unavailable' })
  await wire.set({ kind: 'pass' })
  // On a busy machine a new client may be late as well: then the next one asks.
  const head = await eventually(
    () => heads.headAt({ ...place, nextOffset: 0n }).catch(unlessAway),
    'an answer of the broker that is there again',
  )
  expect(head).toEqual({ timestampMs: T0 })
})

function unlessAway(error: unknown): undefined {
  if (!(error instanceof BrokerUnavailableError)) throw error
}
