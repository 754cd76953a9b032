import { expect, it } from 'vitest'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { openPartitionReader, type PartitionReader } from '#src/engine/kafka/partition-reader.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { eventually } from '../support/service.ts'
import { freshTopics, kafkaBrokers } from '../support/stack.ts'
import { transactionalProducer } from '../support/transactions.ts'

it('a range is read to its end and not beyond, also where its last offsets hold no record', async () => {
  // Given a record, one that was taken back, the markers of both transactions, and a record behind them
  const connection = { brokers: [kafkaBrokers()], security: {}, extra: {} }
  const names = freshTopics('ranges')
  await using producer = await startProducer({ connection })
  await ensureTopics(connection, producer, { ...names, partitions: 1, replication: 1 })
  const transactional = await transactionalProducer(kafkaBrokers())
  const record = (text: string) => ({ topic: names.topic, partition: 0, value: Buffer.from(text) })
  await transactional.send('commit', [record('stays')])
  await transactional.send('abort', [record('goes')])
  await transactional.send('commit', [record('behind')])

  await using reader = await openPartitionReader({ connection, ...names })
  // The coordinator has the end of a transaction before the partition has its marker.
  await eventually(async () => (await reader.watermarks(0)).high === 6n, 'the marker of the last transaction')
  expect(await read(reader, 0n, 4n)).toEqual({ texts: ['stays'], to: 4n })
  expect(await read(reader, 0n, 6n)).toEqual({ texts: ['stays', 'behind'], to: 6n })
})

async function read(reader: PartitionReader, from: bigint, to: bigint) {
  const texts: string[] = []
  const reading = reader.read(0, from, to)
  for (let next = await reading.next(); ; next = await reading.next()) {
    if (next.done) return { texts, to: next.value }
    texts.push(String(next.value.value))
  }
}
