import { expect, it } from 'vitest'
import type { NativeClient, NativeError } from '#src/engine/kafka/native.ts'
import { askWatermarks } from '#src/engine/kafka/questions.ts'

/** What is asked about a partition whose broker, or whose own client, does not know it yet. */

const AT = { topic: 'orders', partition: 7 }
const UNKNOWN: NativeError = { message: 'Local: Unknown partition', code: -190 }

/** @param answers to the question for the ends of a partition, the last one again and again; without an error there are ten records */
function aClient(...answers: readonly (NativeError | undefined)[]) {
  const asked: string[] = []
  const client: Pick<NativeClient, 'getMetadata' | 'queryWatermarkOffsets'> = {
    getMetadata({ topic = '' }, done) {
      asked.push(`topic ${topic}`)
      done(null, { brokers: [{ id: 1 }], topics: [{ name: topic, partitions: [{ id: 7 }] }] })
    },
    queryWatermarkOffsets(topic, partition, _timeoutMs, done) {
      const error = answers[Math.min(asked.filter(what => what.startsWith('ends')).length, answers.length - 1)]
      asked.push(`ends of ${topic}-${partition}`)
      done(error ?? null, { lowOffset: 0, highOffset: 10 })
    },
  }
  return { client: client as NativeClient, asked }
}

it('looks at the topic again before it says that a partition is not there: it may just have been added', async () => {
  const { client, asked } = aClient(UNKNOWN, undefined)
  expect(await askWatermarks(client, AT, 100)).toEqual({ low: 0n, high: 10n })
  expect(asked).toEqual(['ends of orders-7', 'topic orders', 'ends of orders-7'])
})

it('asks once more only, and then the partition waits alone', async () => {
  const { client, asked } = aClient(UNKNOWN)
  await expect(askWatermarks(client, AT, 100)).rejects.toMatchObject({ name: 'PartitionUnavailableError' })
  expect(asked).toHaveLength(3)
})

it('takes a leader that is not ready after an election for a matter of its partition alone', async () => {
  const { client } = aClient({ message: 'Broker: Leader high watermark is not caught up', code: 78 })
  await expect(askWatermarks(client, AT, 100)).rejects.toMatchObject({
    name: 'PartitionUnavailableError',
    what: expect.stringContaining('its new leader is not ready yet'),
  })
})

it('names the broker that leads the partition when no answer comes', async () => {
  const { client } = aClient({ message: 'Local: Timed out', code: -185 })
  await expect(askWatermarks(client, AT, 100)).rejects.toMatchObject({
    name: 'BrokerUnavailableError',
    what: expect.stringContaining('the broker that leads this partition does not answer'),
    remedy: expect.any(String),
  })
})
