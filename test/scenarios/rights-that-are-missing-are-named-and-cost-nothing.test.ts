import { afterAll, beforeAll, expect, it } from 'vitest'
import { brokenOrders } from '../support/broken-orders.ts'
import { anOrder } from '../support/orders.ts'
import { letterCounts } from '../support/redrives.ts'
import { type SecuredKafka, startSecuredKafka } from '../support/secured-kafka.ts'
import { allowService, scram, untilSettled } from '../support/secured-service.ts'
import { ask, eventually, isReady, startService } from '../support/service.ts'
import { freshDatabase, freshTopics } from '../support/stack.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

let secured: SecuredKafka

streamTools()
beforeAll(async () => {
  secured = await startSecuredKafka()
})
afterAll(async () => {
  await secured[Symbol.asyncDispose]()
})

async function arranged(user: string) {
  await secured.setPassword(user, 'secret')
  const stream = await aStream({ brokers: secured.kafka.brokers })
  await allowService(secured, user, stream)
  const env = { ...scram(secured, user, { KAFKA_SASL_PASSWORD: 'secret' }), KAFKA_CREATE_TOPICS: 'false' }
  return { stream, start: () => startService({ ...stream, brokers: secured.at.SCRAM512, env }) }
}

async function produce(stream: Stream, from: number, count: number): Promise<void> {
  await stream.produce(
    Array.from({ length: count }, (_, n) => {
      const uid = `order-${from + n}`
      return { key: Buffer.from(uid), value: JSON.stringify(anOrder({ uid })), partition: n % 3 }
    }),
  )
}

const cases = [
  ['the topic', ({ topic }: Stream) => ({ topic }), 'read', /may not be read or written by this user.*grant READ/],
  [
    'the group',
    ({ groupId }: Stream) => ({ group: groupId }),
    'read',
    /group may not be used.*grant READ on the group/,
  ],
  ['the dead-letter topic', ({ dlqTopic }: Stream) => ({ topic: dlqTopic }), 'write', /WRITE on the dead-letter topic/],
] as const

it.each(cases)(
  'taken away from a running service, of %s: it ends with what to grant, and the next one goes on',
  async (name, resource, right, said) => {
    const user = name.replaceAll(' ', '-')
    const { stream, start } = await arranged(user)
    const service = await start()
    await produce(stream, 0, 30)
    await untilSettled(stream, 30)

    // When a right is taken away, and there are orders and one that has to be set aside
    await secured.disallow(user, resource(stream), right)
    await produce(stream, 30, 30)
    await stream.produce(brokenOrders(3))
    const code = await service.exited
    expect(code).toBe(1)
    const failed = service.log.findLast(({ event }) => event === 'failed')
    expect(JSON.stringify(failed)).toMatch(said)

    // Then nothing is settled that was not set aside, and with the right back all of it is
    await secured.allow(user, resource(stream), right)
    const again = await start()
    await untilSettled(stream, 63)
    expect(await letterCounts(stream)).toEqual({ 'open 0': 3 })
    expect(await stream.findings({ deep: true })).toEqual([])
    await eventually(() => isReady(again), 'being ready')
    expect((await ask(again, '/readyz')).status).toBe(200)
    expect(await again.stop()).toBe(0)
  },
)

it('the right to create its topics is enough for a service that finds none', async () => {
  await secured.setPassword('creator', 'secret')
  const names = freshTopics('created')
  await allowService(secured, 'creator', names)
  for (const topic of [names.topic, names.dlqTopic]) await secured.allow('creator', { topic }, 'create')
  const env = scram(secured, 'creator', { KAFKA_SASL_PASSWORD: 'secret' })
  const databaseUrl = await freshDatabase({ migrated: true })
  const service = await startService({ ...names, databaseUrl, brokers: secured.at.SCRAM512, env })
  await eventually(() => isReady(service), 'being ready')
  expect(await service.stop()).toBe(0)
})
