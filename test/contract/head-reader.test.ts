import { expect, it, onTestFinished } from 'vitest'
import { startKafka } from '#src/embedded/kafka.ts'
import { freePorts } from '#src/embedded/machine.ts'
import { ensureTopics } from '#src/kafka/admin.ts'
import { createHeadReader } from '#src/kafka/head-reader.ts'
import { startInspector } from '#src/kafka/inspector.ts'
import { startProducer } from '#src/kafka/producer.ts'
import { startWire } from '../support/faults/start-wire.ts'
import { freshTopics, kafkaBrokers } from '../support/stack.ts'

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
  expect(await Promise.all(asked.map(place => heads.timestampAt(place)))).toEqual([
    T0 + 3,
    T0,
    T0 + 4,
    ...[undefined, undefined, undefined],
    T0 + 2,
  ])
  await using inspector = await startInspector({ connection, groupId: names.groupId })
  expect(await inspector.members(names.topic)).toBe(0)
  expect(await inspector.committed(await inspector.partitions(names.topic))).toEqual([])
})

it('says so when the broker does not answer, and asks with a new client when it is there again', async () => {
  const [proxyPort = 0] = await freePorts(1)
  const kafka = await startKafka({ proxyPort })
  onTestFinished(() => kafka[Symbol.asyncDispose]())
  if (kafka.proxied === undefined) throw new Error('Kafka has no listener for the wire')
  const wire = await startWire({ port: proxyPort, targetPort: kafka.proxied.upstreamPort })
  onTestFinished(() => wire[Symbol.asyncDispose]())
  const direct = { brokers: [kafka.brokers], security: {}, extra: {} }
  const names = freshTopics('heads')
  await using producer = await startProducer({ connection: direct })
  await ensureTopics(direct, producer, { ...names, partitions: 1, replication: 1 })
  const place = { topic: names.topic, partition: 0 }
  await producer.produce({ ...place, key: null, value: null, headers: [], timestampMs: T0 })

  await using heads = createHeadReader({
    connection: { ...direct, brokers: [kafka.proxied.brokers] },
    ...names,
  })
  expect(await heads.timestampAt({ ...place, nextOffset: 0n })).toBe(T0)
  await wire.set({ kind: 'black-hole' })
  await expect(heads.timestampAt({ ...place, nextOffset: 0n })).rejects.toMatchObject({ code: 'broker_unavailable' })
  await wire.set({ kind: 'pass' })
  expect(await heads.timestampAt({ ...place, nextOffset: 0n })).toBe(T0)
})
