import { expect, it } from 'vitest'
import { BrokerUnavailableError } from '#src/engine/errors.ts'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { createPublisher } from '#src/engine/kafka/publisher.ts'
import { freshTopics, kafkaBrokers } from '../support/stack.ts'

const connection = { brokers: [kafkaBrokers()], security: {}, extra: {} }

it('connects when it is first asked, and tells where the record stands', async () => {
  const names = freshTopics('publisher')
  await using producer = await startProducer({ connection })
  await ensureTopics(connection, producer, { ...names, partitions: 1, replication: 1 })
  await using publisher = createPublisher({ connection })
  const record = { topic: names.topic, key: Buffer.from('a'), value: Buffer.from('1'), headers: [], timestampMs: 1_000 }
  const both = await Promise.all([publisher.publish(record), publisher.publish(record)])
  expect(both.map(({ offset }) => offset).sort()).toEqual([0n, 1n])
  await publisher.close()
  await using inspector = await startInspector({ connection, groupId: names.groupId })
  const [first] = await Array.fromAsync(inspector.read(names.topic))
  expect(first).toMatchObject({ key: Buffer.from('a'), value: Buffer.from('1'), timestampMs: 1_000 })
})

it('says that Kafka is away, each time anew', async () => {
  const nowhere = { ...connection, brokers: ['127.0.0.1:1'] }
  await using publisher = createPublisher({ connection: nowhere, connectTimeoutMs: 300 })
  const record = { topic: 'orders', key: null, value: Buffer.from('1'), headers: [] }
  await expect(publisher.publish(record)).rejects.toThrow(BrokerUnavailableError)
  await expect(publisher.publish(record)).rejects.toThrow(BrokerUnavailableError)
})

it('takes nothing more once it is closed, and may be closed unused, and twice', async () => {
  const publisher = createPublisher({ connection })
  await publisher.close()
  await publisher.close()
  const record = { topic: 'orders', key: null, value: Buffer.from('1'), headers: [] }
  await expect(publisher.publish(record)).rejects.toThrow(BrokerUnavailableError)
})
