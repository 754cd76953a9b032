import { describe, expect, it, onTestFinished } from 'vitest'
import { HEADER } from '#src/engine/headers.ts'
import { createRedriveTopic } from '#src/inbox/kafka/redrive-topic.ts'
import type { RedriveTopic } from '#src/inbox/redrive-work.ts'
import type { RedrivenRecord } from '#src/inbox/redriven-record.ts'
import { createTopic } from '../support/kafka-tools.ts'
import { aHeader } from '../support/records.ts'
import { freshTopics, kafkaBrokers } from '../support/stack.ts'
import { aStream, streamTools } from '../support/stream.ts'
import { redriveTopicSuite } from './redrive-topic.suite.ts'

streamTools()

async function aTopic(topic: string, brokers = kafkaBrokers()): Promise<RedriveTopic> {
  const connection = { brokers: [brokers], security: {}, extra: {} }
  const opened = createRedriveTopic({ connection, topic })
  onTestFinished(() => opened[Symbol.asyncDispose]())
  return opened
}

function redriven(partition: number, id: string, redriveId: string, value = 'x'): RedrivenRecord {
  return {
    partition,
    key: null,
    value: Buffer.from(value),
    headers: [aHeader(HEADER.id, id), aHeader(HEADER.redriveId, redriveId)],
  }
}

describe('the topic that a redrive publishes to', () => {
  redriveTopicSuite(async () => aTopic((await aStream({ partitions: 2 })).topic))
})

it('finds what a redrive has published since its marks, among everything else, and nothing before them', async () => {
  const stream = await aStream({ partitions: 3 })
  const topic = await aTopic(stream.topic)
  await topic.publish(redriven(0, 'before', 'r1'))
  await stream.produce([{ value: 'live', partition: 0 }])
  const marks = await topic.ends([0, 1, 2])
  expect(marks).toEqual(
    new Map([
      [0, 2n],
      [1, 0n],
      [2, 0n],
    ]),
  )
  expect(await topic.published('r1', marks)).toEqual(new Set())

  expect(await topic.publish(redriven(0, 'a', 'r1'))).toBe('acknowledged')
  await stream.produce([
    { value: 'live', partition: 0 },
    { value: 'live', partition: 1 },
  ])
  await topic.publish(redriven(2, 'b', 'r1'))
  await topic.publish(redriven(2, 'c', 'r2'))
  expect(await topic.published('r1', marks)).toEqual(new Set(['a', 'b']))
  expect(await topic.published('r2', marks)).toEqual(new Set(['c']))
  expect(await topic.published('r1', await topic.ends([0, 2]))).toEqual(new Set())
})

it('looks through a topic that has been written to for long', async () => {
  const stream = await aStream({ partitions: 1 })
  const topic = await aTopic(stream.topic)
  const marks = await topic.ends([0])
  await stream.produce(Array.from({ length: 3_000 }, (_, n) => ({ value: `live ${n}` })))
  await topic.publish(redriven(0, 'a', 'r1'))
  await stream.produce(Array.from({ length: 3_000 }, (_, n) => ({ value: `live ${n}` })))
  expect(await topic.published('r1', marks)).toEqual(new Set(['a']))
})

it('tells a record that never fits from a broker that is away', async () => {
  const { topic: name } = freshTopics()
  await createTopic(kafkaBrokers(), name, 1, { 'max.message.bytes': '2000' })
  const topic = await aTopic(name)
  expect(await topic.publish(redriven(0, 'a', 'r1', 'x'.repeat(3_000)))).toBe('refused')
  expect(await topic.publish(redriven(0, 'b', 'r1'))).toBe('acknowledged')
  // A partition that the topic does not have, because it was made anew with fewer
  expect(await topic.ends([0, 7])).toEqual(new Map([[0, 1n]]))
  expect(await topic.publish(redriven(7, 'c', 'r1'))).toBe('refused')

  const nowhere = await aTopic(name, '127.0.0.1:1')
  const away = { code: 'broker_unavailable' }
  await Promise.all([
    expect(nowhere.ends([0])).rejects.toMatchObject(away),
    expect(nowhere.publish(redriven(0, 'a', 'r1'))).rejects.toMatchObject(away),
  ])
})
