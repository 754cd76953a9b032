import { afterAll, beforeAll, describe, onTestFinished } from 'vitest'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { createConsumer } from '#src/engine/kafka/consumer.ts'
import { type KafkaProducer, startProducer } from '#src/engine/kafka/producer.ts'
import type { RecordSource } from '#src/engine/ports.ts'
import { freshTopics, kafkaBrokers } from '../support/stack.ts'
import { recordSourceSuite } from './record-source.suite.ts'

/** A member that does not poll for so long has left the group. */
const MAX_POLL_MS = 2_000
/** A member learns of a rebalance with its next heartbeat, by default every three seconds. */
const HEARTBEAT = { 'heartbeat.interval.ms': '300' }
const LOSABLE = {
  'max.poll.interval.ms': String(MAX_POLL_MS),
  'session.timeout.ms': '1500',
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
      lose: () => new Promise(resolve => setTimeout(resolve, MAX_POLL_MS + 500)),
    }
  })
})

/** Polls and answers rebalances, as a loop does. */
async function serve(source: RecordSource, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await source.poll(10, 50)
    const event = source.nextEvent()
    if (event?.kind === 'assigned') source.assign(event.partitions.map(at => ({ ...at, nextOffset: 0n })))
    else if (event?.kind === 'revoked') source.unassign(event.partitions)
  }
}
