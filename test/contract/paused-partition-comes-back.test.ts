import { expect, it } from 'vitest'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { createConsumer } from '#src/engine/kafka/consumer.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import type { RecordSource, SourceEvent } from '#src/engine/ports.ts'
import type { SourceRecord } from '#src/engine/record.ts'
import { eventually } from '../support/service.ts'
import { freshTopics, kafkaBrokers } from '../support/stack.ts'

/**
 * The client keeps a pause beyond the assignment that it was made for. Without care a partition that was taken away while
 * its store was down, and given back later, is fetched never again: no error, no lag of zero, a healthy process.
 */
it('flows again after it was taken away while paused, and given back', async () => {
  // Given a member that has paused both partitions of a topic
  const connection = { brokers: [kafkaBrokers()], security: {}, extra: {} }
  await using producer = await startProducer({ connection })
  const names = freshTopics('paused')
  await ensureTopics(connection, producer, { ...names, partitions: 2, replication: 1 })
  const member = createConsumer({ connection, ...names, onWarning: () => {} })
  const other = createConsumer({ connection, ...names, onWarning: () => {} })
  await member.start()
  const both = [0, 1].map(partition => ({ topic: names.topic, partition }))
  try {
    await answering(member, event => event.kind === 'assigned' && event.partitions.length === 2)
    member.pause(both)

    // When another one joins, takes a partition, and leaves it to the first again
    await other.start()
    const joined = answering(other, event => event.kind === 'assigned' && event.partitions.length === 1)
    await answering(member, event => event.kind === 'revoked')
    await Promise.all([joined, answering(member, event => event.kind === 'assigned')])
    await other.close()
    const { partitions } = await answering(member, event => event.partitions.length === 1)
    const [back] = partitions

    // Then it is read from the position that it was assigned at, while the other one stays paused
    await Promise.all(both.map(at => producer.produce({ ...at, key: null, value: Buffer.from('record'), headers: [] })))
    const records: SourceRecord[] = []
    await eventually(async () => {
      records.push(...(await member.poll(10, 100)))
      return records.length > 0
    }, 'a record of the partition that came back')
    expect(records.map(({ partition, offset }) => ({ partition, offset }))).toEqual([
      { partition: back?.partition, offset: 0n },
    ])
  } finally {
    await Promise.all([member.close(), other.close()])
  }
})

type Rebalance = Exclude<SourceEvent, { kind: 'fetch_failed' }>

/** Polls and answers rebalances, everything from the beginning, until this one has been answered. */
async function answering(source: RecordSource, isLast: (event: Rebalance) => boolean): Promise<Rebalance> {
  return await eventually(async () => {
    await source.poll(10, 50)
    const event = source.nextEvent()
    if (event === undefined || event.kind === 'fetch_failed') return undefined
    if (event.kind === 'assigned') source.assign(event.partitions.map(at => ({ ...at, nextOffset: 0n })))
    else source.unassign(event.partitions)
    return isLast(event) && event
  }, 'the rebalance')
}
