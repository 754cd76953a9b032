import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { createConsumer } from '#src/engine/kafka/consumer.ts'
import { groupFacts } from '#src/engine/kafka/group-rights.ts'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import { type KafkaProducer, startProducer } from '#src/engine/kafka/producer.ts'
import type { RecordSource } from '#src/engine/ports.ts'
import type { TopicPartition } from '#src/engine/record.ts'
import { eventually } from '../support/service.ts'
import { freshTopics, kafkaBrokers } from '../support/stack.ts'
import { recordSourceSuite } from './record-source.suite.ts'

/** A member that does not poll for so long has left the group. */
const MAX_POLL_MS = 6_000
/** A member learns of a rebalance with its next heartbeat, by default every three seconds. */
const HEARTBEAT = { 'heartbeat.interval.ms': '300' }
const LOSABLE = {
  'max.poll.interval.ms': String(MAX_POLL_MS),
  'session.timeout.ms': String(MAX_POLL_MS),
  ...HEARTBEAT,
}

let producer: KafkaProducer
const connection = () => ({ brokers: [kafkaBrokers()], security: {}, extra: {} })
beforeAll(async () => {
  producer = await startProducer({ connection: connection() })
})
afterAll(() => producer.close())

describe('the group consumer', () => {
  recordSourceSuite(async ({ losable } = { losable: false }) => {
    const names = freshTopics('source')
    await ensureTopics(connection(), producer, { ...names, partitions: 2, replication: 1 })
    const member = () => {
      const source = createConsumer({
        connection: { ...connection(), extra: losable ? LOSABLE : HEARTBEAT },
        ...names,
        onWarning: () => {},
      })
      onTestFinished(() => source.close())
      return source
    }
    return {
      topic: names.topic,
      source: member(),
      async append(partition, ...texts) {
        for (const text of texts) {
          await producer.produce({ topic: names.topic, partition, key: null, value: Buffer.from(text), headers: [] })
        }
      },
      async another() {
        const other = member()
        await other.start()
        const stop = new AbortController()
        const serving = serve(other, stop.signal)
        return {
          async leave() {
            stop.abort()
            await serving
            await other.close()
          },
        }
      },
      async lose() {
        // A poll before the client has noticed would save its membership.
        await using inspector = await startInspector({ connection: connection(), groupId: names.groupId })
        const hasLeft = async () => (await inspector.group(names.topic)).members === 0
        await eventually(hasLeft, 'the member that does not poll leaving')
      },
    }
  })

  it('is gone at once when it closes, also one that has no partition', async () => {
    const names = freshTopics('source')
    await ensureTopics(connection(), producer, { ...names, partitions: 1, replication: 1 })
    const stop = new AbortController()
    const member = async () => {
      const source = createConsumer({ connection: connection(), ...names, onWarning: () => {} })
      onTestFinished(() => source.close())
      await source.start()
      const owned = new Set<number>()
      const assigned = Promise.withResolvers<void>()
      const serving = serve(source, stop.signal, partitions => {
        for (const { partition } of partitions) owned.add(partition)
        assigned.resolve()
      })
      onTestFinished(() => serving)
      onTestFinished(() => stop.abort())
      await assigned.promise
      return { source, owned }
    }
    const members = async () => {
      const ask = () => first.source.committed([{ topic: names.topic, partition: 0 }])
      return (await groupFacts(connection(), names.groupId, ask)).members
    }
    const first = await member()
    const second = await member()
    expect([first.owned.size, second.owned.size]).toEqual([1, 0])
    expect(await members()).toBe(2)

    await second.source.close()

    expect(await members()).toBe(1)
  })
})

/** Polls and answers rebalances, as a loop does. */
async function serve(
  source: RecordSource,
  signal: AbortSignal,
  onAssigned: (partitions: readonly TopicPartition[]) => void = () => {},
): Promise<void> {
  while (!signal.aborted) {
    await source.poll(10, 50)
    const event = source.nextEvent()
    if (event?.kind === 'assigned') {
      source.assign(event.partitions.map(at => ({ ...at, nextOffset: 0n })))
      onAssigned(event.partitions)
    } else if (event?.kind === 'revoked') source.unassign(event.partitions)
  }
}
