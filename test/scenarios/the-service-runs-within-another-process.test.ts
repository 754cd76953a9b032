import { expect, it } from 'vitest'
import { startHoldfast } from '#src/index.ts'
import { orders } from '#src/streams/orders/definition.ts'
import { anOrder } from '../support/orders.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

it('stores what is produced, serves it, and leaves nothing running when it stops', async () => {
  const stream = await aStream({ partitions: 1 })
  const env = {
    KAFKA_BROKERS: stream.brokers,
    KAFKA_TOPIC: stream.topic,
    KAFKA_DLQ_TOPIC: stream.dlqTopic,
    KAFKA_GROUP_ID: stream.groupId,
    DATABASE_URL: stream.databaseUrl,
    HTTP_PORT: '0',
    LOG_LEVEL: 'fatal',
  }
  const order = anOrder({ uid: 'embedded-1' })
  await stream.produce([{ key: Buffer.from('embedded-1'), value: JSON.stringify(order) }])

  const holdfast = await startHoldfast({ streams: [orders], env, roles: ['consumer', 'api'] })
  await expect.poll(() => stream.settled()).toBe(1)
  const answer = await fetch(`${holdfast.url}/order/embedded-1`)

  expect(await answer.json()).toMatchObject({ order_uid: 'embedded-1' })
  expect(holdfast.status('orders')?.state).toBe('running')

  await Promise.all([holdfast.stop(), holdfast.stop()])
  await holdfast.finished
  await expect(fetch(`${holdfast.url}/livez`)).rejects.toThrow()
})

it('names every mistake of its settings before it starts', async () => {
  const env = { HTTP_PORT: 'eighty', KAFKA_BROKERS: '' }

  await expect(startHoldfast({ env, streams: [orders] })).rejects.toThrow(/HTTP_PORT is "eighty"/)
})

it.each([
  [{ roles: ['api', 'nope'] }, /roles: "nope" is none of consumer, api, jobs/],
  [{ roles: [] }, /roles must be a list with at least one of consumer, api, jobs/],
  [{ roles: 'api' }, /roles must be a list/],
  [{ streams: orders }, /streams must be a list of definitions/],
])('refuses what it cannot start: %j', async (options, message) => {
  const started = startHoldfast({ streams: [orders], env: { HTTP_PORT: '0' }, ...options } as never)
  await expect(started).rejects.toThrow(message)
})
