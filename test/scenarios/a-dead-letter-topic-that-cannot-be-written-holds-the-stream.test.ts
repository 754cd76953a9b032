import { expect, it } from 'vitest'
import { createTopic, deleteTopic } from '../support/kafka-tools.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { ask, eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

const env = { KAFKA_CREATE_TOPICS: 'false', RETRY_MAX_MS: '500' }
const PARTITIONS = 2

it('missing: the service waits for it and says so, commits nothing, and goes on once it is there', async () => {
  // Given records, one in ten of them invalid, and no dead-letter topic
  const stream = await aStream({ partitions: PARTITIONS })
  const records = generated(60, { seed: 51, invalidRatio: 0.1 })
  const model = modelOf(records)
  expect(model.invalid.length).toBeGreaterThan(2)
  await stream.produce(records)
  await deleteTopic(stream.brokers, stream.dlqTopic)

  // When a service starts that may not make it, then it is alive, says what is missing, and takes nothing
  const service = await startService({ ...stream, env })
  await eventually(async () => (await readiness(service)).includes(`${stream.dlqTopic} does not exist`), 'the reason')
  expect(await ask(service, '/livez')).toMatchObject({ status: 200 })
  expect(await stream.committed()).toBe(0)
  expect(await stream.settled()).toBe(0)

  // And once somebody has made the topic, it goes on by itself
  await makeDlq(stream)
  await eventually(() => isReady(service), 'readiness')
  await eventually(async () => (await stream.committed()) === records.length, 'all of them being committed')
  expect(await stream.readAll(stream.dlqTopic)).toHaveLength(model.invalid.length)
  expect(await differences(stream, model)).toEqual([])
  expect(await stream.findings()).toEqual([])
})

it('removed under a service at work: the partition waits, nothing is committed past the dead letter', async () => {
  // Given a service that has settled something
  const stream = await aStream({ partitions: 1 })
  const service = await startService({ ...stream, env: { ...env, KAFKA_CONFIG: 'message.timeout.ms=4000' } })
  const records = generated(10, { seed: 52 })
  await stream.produce(records)
  await eventually(async () => (await stream.committed()) === 10, 'the first orders being committed')

  // When the dead-letter topic goes, and an invalid record comes
  await deleteTopic(stream.brokers, stream.dlqTopic)
  await stream.produce([{ value: 'not an order' }])
  await eventually(async () => {
    const said = await readiness(service)
    return said.includes('dlq is away') && said.includes(stream.dlqTopic)
  }, 'readiness saying so')
  await eventually(() => isOpen(service), 'the gauge saying so')
  await eventually(async () => (await service.metric('partition_paused', { reason: 'dlq_away' })) === 1, 'the pause')
  expect(await ask(service, '/livez')).toMatchObject({ status: 200 })

  // Then nothing is committed past it, and with the topic back it becomes a dead letter, once
  expect(await stream.settled()).toBe(10)
  expect(await stream.committed()).toBe(10)
  await makeDlq(stream)
  await eventually(async () => (await stream.committed()) === 11, 'its being settled')
  expect(await stream.readAll(stream.dlqTopic)).toHaveLength(1)
  await eventually(() => isReady(service), 'readiness')
  expect(await stream.findings()).toEqual([])
})

it('refusing, because it takes only small records: the same, and the dead letter is whole when it is mended', async () => {
  // Given a dead-letter topic that takes 2 kB at most, and an invalid record that is larger
  const stream = await aStream({ partitions: 1 })
  await deleteTopic(stream.brokers, stream.dlqTopic)
  await makeDlq(stream, { 'max.message.bytes': '2000' })
  const service = await startService({ ...stream, env })
  await stream.produce([{ value: 'small' }])
  await eventually(async () => (await stream.committed()) === 1, 'a small dead letter being settled')

  // When it comes, with good ones behind it
  const large = 'x'.repeat(5_000)
  const good = generated(5, { seed: 53 })
  await stream.produce([{ value: large }, ...good])
  await eventually(async () => (await readiness(service)).includes('dlq is away'), 'readiness saying so')

  // Then it goes on saying so, although the topic is there and answers every probe
  const refused = await service.metric('retries_total', { class: 'dlq' })
  await eventually(async () => (await service.metric('retries_total', { class: 'dlq' })) > refused + 5, 'more attempts')
  for (let asked = 0; asked < 10; asked++) {
    expect(await readiness(service)).toContain('dlq is away')
    expect(await service.metric('breaker_open', { dependency: 'dlq' })).toBe(1)
  }

  // And everything on its partition waits, and nothing is committed
  expect(await stream.settled()).toBe(1)
  expect(await stream.committed()).toBe(1)
  expect(await ask(service, '/livez')).toMatchObject({ status: 200 })

  // And once the topic takes it, all of them are settled
  await deleteTopic(stream.brokers, stream.dlqTopic)
  await makeDlq(stream)
  await eventually(async () => (await stream.committed()) === 7, 'all of them being committed')
  const letters = await stream.readAll(stream.dlqTopic)
  expect(letters.map(({ value }) => value?.toString())).toEqual([large])
  expect(await differences(stream, modelOf(good))).toEqual([])
})

async function readiness(service: Service): Promise<string> {
  return (await ask(service, '/readyz?verbose')).body
}

async function isOpen(service: Service): Promise<boolean> {
  return (await service.metric('breaker_open', { dependency: 'dlq' })) === 1
}

/** An earlier topic of that name may still be on its way out. */
async function makeDlq({ brokers, dlqTopic }: Stream, config: Readonly<Record<string, string>> = {}): Promise<void> {
  await eventually(
    () =>
      createTopic(brokers, dlqTopic, PARTITIONS, config).then(
        () => true,
        () => false,
      ),
    'the dead-letter topic being made',
  )
}
