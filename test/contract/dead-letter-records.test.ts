import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { BrokerUnavailableError } from '#src/engine/errors.ts'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { type KafkaProducer, startProducer } from '#src/engine/kafka/producer.ts'
import { createDeadLetterRecords } from '#src/inbox/kafka/dead-letter-records.ts'
import type { DeadLetterRecords, DlqPlace } from '#src/inbox/ports.ts'
import { toDeadLetterRecord } from '#src/inbox/record.ts'
import { deleteTopic, removeBelow } from '../support/kafka-tools.ts'
import { aDeadLetter } from '../support/orders.ts'
import { aRecord } from '../support/records.ts'
import { type FreshTopics, freshTopics, kafkaBrokers } from '../support/stack.ts'

const connection = { brokers: [kafkaBrokers()], security: {}, extra: {} }
let producer: KafkaProducer
beforeAll(async () => {
  producer = await startProducer({ connection })
})
afterAll(async () => {
  await producer.close()
})

interface Topic extends FreshTopics {
  readonly records: DeadLetterRecords
  /** Sets so many records aside, on partition 0 or 1 as their number is even or odd. */
  fill(count: number): Promise<DlqPlace[]>
}

async function aTopic(): Promise<Topic> {
  const names = freshTopics('letters')
  await ensureTopics(connection, producer, { ...names, partitions: 2, replication: 1 })
  const records = createDeadLetterRecords({
    connection,
    topic: names.dlqTopic,
    sourceTopic: names.topic,
    groupId: names.groupId,
  })
  onTestFinished(() => records[Symbol.asyncDispose]())
  return {
    ...names,
    records,
    async fill(count) {
      return await Promise.all(
        Array.from({ length: count }, async (_, i): Promise<DlqPlace> => {
          const record = aRecord({ partition: i % 2, offset: BigInt(i), text: `value ${i}` })
          const { timestampMs, ...produced } = toDeadLetterRecord(aDeadLetter(BigInt(i), { record, origin: record }))
          const at = await producer.produce({ topic: names.dlqTopic, partition: i % 2, ...produced })
          return { id: `orders-${i % 2}-${i}`, ...at }
        }),
      )
    },
  }
}

async function valuesAt(records: DeadLetterRecords, places: readonly DlqPlace[]): Promise<Record<string, string>> {
  const found: [string, string][] = []
  for await (const { id, record } of records.read(places)) found.push([id, record.value?.toString() ?? ''])
  return Object.fromEntries(found)
}

describe('the bytes of dead letters', () => {
  it('are read from where they stand, in the order of partitions and offsets, each once', async () => {
    const { records, fill } = await aTopic()
    const places = await fill(3_000)
    const wanted = places.filter((_, i) => i === 5 || i === 2_998 || i < 3).toReversed()
    const found = await Array.fromAsync(records.read(wanted))
    expect(found.map(({ id }) => id)).toEqual(['orders-0-0', 'orders-0-2', 'orders-0-2998', 'orders-1-1', 'orders-1-5'])
    expect(found.map(({ record }) => record.value?.toString())).toContain('value 2998')
    expect(Object.keys(await valuesAt(records, places))).toHaveLength(3_000)
  })

  it('may be asked for by several at once, and by one who has enough early', async () => {
    const { records, fill } = await aTopic()
    const places = await fill(50)
    const slow = records.read(places)[Symbol.asyncIterator]()
    await slow.next()
    const all = await Promise.all(Array.from({ length: 8 }, () => valuesAt(records, places)))
    expect(all.map(values => Object.keys(values).length)).toEqual(Array.from({ length: 8 }, () => 50))
    await slow.return?.()
    for await (const { record } of records.read(places.slice(7, 8))) {
      expect(record.value?.toString()).toBe('value 7')
      break
    }
    expect(await valuesAt(records, places.slice(3, 4))).toEqual({ 'orders-1-3': 'value 3' })
  })

  it('that retention has removed are missing, and so are places that never were', async () => {
    const { records, fill, dlqTopic } = await aTopic()
    const places = await fill(10)
    await removeBelow(kafkaBrokers(), dlqTopic, 0, 3)
    const never = [
      { id: 'orders-0-77', partition: 0, offset: 77n },
      { id: 'orders-0-78', partition: 9, offset: 0n },
    ]
    const found = await valuesAt(records, [...places, ...never])
    expect(Object.keys(found).sort()).toEqual(
      ['orders-0-6', 'orders-0-8', 'orders-1-1', 'orders-1-3', 'orders-1-5', 'orders-1-7', 'orders-1-9'].sort(),
    )
  })

  it('are not those of another letter that has come to stand at its place', async () => {
    const { records, fill } = await aTopic()
    const [first] = await fill(2)
    if (first === undefined) throw new Error('nothing was produced')
    expect(await valuesAt(records, [{ ...first, id: 'orders-0-1234' }])).toEqual({})
  })

  it('of a topic that is gone are gone', async () => {
    const { records, fill, dlqTopic } = await aTopic()
    const places = await fill(2)
    await deleteTopic(kafkaBrokers(), dlqTopic)
    // The broker forgets it a moment after it has said so.
    await expect.poll(() => valuesAt(records, places)).toEqual({})
  })

  it('cannot be had while the broker is away: that is said within a bound', async () => {
    const away = createDeadLetterRecords({
      connection: { ...connection, brokers: ['127.0.0.1:1'] },
      topic: 'letters',
      sourceTopic: 'orders',
      groupId: 'letters',
    })
    await expect(valuesAt(away, [{ id: 'orders-0-0', partition: 0, offset: 0n }])).rejects.toThrow(
      BrokerUnavailableError,
    )
    await away[Symbol.asyncDispose]()
  })
})
