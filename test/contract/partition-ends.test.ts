import { expect, it } from 'vitest'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { createPartitionEnds } from '#src/engine/kafka/partition-ends.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { eventually } from '../support/service.ts'
import { freshTopics, kafkaBrokers } from '../support/stack.ts'

it('tells where partitions end without letting anybody wait, and learns of more', async () => {
  const connection = { brokers: [kafkaBrokers()], security: {}, extra: {} }
  const names = freshTopics('ends')
  await using producer = await startProducer({ connection })
  await ensureTopics(connection, producer, { ...names, partitions: 2, replication: 1 })
  const send = () => producer.produce({ topic: names.topic, partition: 1, key: null, value: null, headers: [] })
  await send()

  await using ends = createPartitionEnds({ connection, ...names })
  expect(ends.of([0, 1]), 'not asked yet').toEqual(new Map())
  const told = async (...expected: (readonly [number, bigint])[]) =>
    await eventually(
      () => JSON.stringify([...ends.of([0, 1])], asText) === JSON.stringify(expected, asText),
      'the ends being told',
    )
  await told([0, 0n], [1, 1n])
  await send()
  await told([0, 0n], [1, 2n])
})

it('knows nothing where no broker answers, and says no more than that', async () => {
  const connection = { brokers: ['127.0.0.1:1'], security: {}, extra: {} }
  await using ends = createPartitionEnds({ connection, ...freshTopics('ends') })
  expect(ends.of([0])).toEqual(new Map())
  await new Promise<void>(resolve => setTimeout(resolve, 200))
  expect(ends.of([0])).toEqual(new Map())
})

function asText(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
