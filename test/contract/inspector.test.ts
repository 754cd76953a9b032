import { expect, it, onTestFinished } from 'vitest'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { startKafkaBehindAWire } from '../support/kafka-behind-a-wire.ts'
import { freshTopics } from '../support/stack.ts'

const RECORDS = 60
/** Together more than a client fetches ahead. */
const SIZE_BYTES = 800_000
/** A broker on a busy machine may say nothing for so long. */
const SILENT_FOR_MS = 5_000

it('reads a topic to its end, and takes no silence of the broker for it', async () => {
  // Given a topic that is read over a wire
  const behind = await startKafkaBehindAWire()
  onTestFinished(() => behind[Symbol.asyncDispose]())
  const { kafka, wire, wiredBrokers } = behind
  const direct = { brokers: [kafka.brokers], security: {}, extra: {} }
  const names = freshTopics('inspected')
  await using producer = await startProducer({ connection: direct })
  await ensureTopics(direct, producer, { ...names, partitions: 1, replication: 1 })
  const record = { topic: names.topic, partition: 0, key: null, value: Buffer.alloc(SIZE_BYTES), headers: [] }
  await Promise.all(Array.from({ length: RECORDS }, () => producer.produce(record)))

  // When nothing moves on it for some seconds, in the midst of a reading
  const connection = { ...direct, brokers: [wiredBrokers] }
  await using inspector = await startInspector({ connection, groupId: names.groupId })
  const offsets: bigint[] = []
  let lastAtMs = performance.now()
  let longestMs = 0
  for await (const { offset } of inspector.read(names.topic)) {
    longestMs = Math.max(longestMs, performance.now() - lastAtMs)
    if (offset === 0n) {
      await wire.set({ kind: 'black-hole' })
      setTimeout(() => void wire.set({ kind: 'pass' }), SILENT_FOR_MS)
    }
    offsets.push(offset)
    lastAtMs = performance.now()
  }

  // Then all of it is read all the same
  expect(offsets).toEqual(Array.from({ length: RECORDS }, (_, i) => BigInt(i)))
  expect(longestMs).toBeGreaterThan(SILENT_FOR_MS / 2)
})
