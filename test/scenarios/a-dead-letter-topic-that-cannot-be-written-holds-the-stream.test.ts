import { expect, it } from 'vitest'
import { HEADER, headerText } from '#src/engine/headers.ts'
import { holdfast } from '../support/cli.ts'
import { createTopic, deleteTopic } from '../support/kafka-tools.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { aHeader } from '../support/records.ts'
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
  // (Given up before a broker that is only slow could have acknowledged it, the letter would be in the topic twice.)
  const service = await startService({ ...stream, env: { ...env, KAFKA_CONFIG: 'message.timeout.ms=12000' } })
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

it('refusing, because it takes only small records: the letter goes without what is too large, and the stream goes on', async () => {
  // Given a dead-letter topic that takes 3 kB at most, and invalid records: small ones, one with a large value, one with a large header
  const stream = await aStream({ partitions: 1 })
  await deleteTopic(stream.brokers, stream.dlqTopic)
  await makeDlq(stream, { 'max.message.bytes': '3000' })
  const service = await startService({ ...stream, env })
  const small = Array.from({ length: 8 }, (_, i) => ({ value: `${i}${'y'.repeat(900)}` }))
  const large = { key: Buffer.from('its-key'), value: 'x'.repeat(5_000), headers: [aHeader('trace', 'kept')] }
  const wide = { key: Buffer.from('another'), value: 'short', headers: [aHeader('wide', 'w'.repeat(5_000))] }
  const good = generated(5, { seed: 53 })

  // When they come, with good ones behind them
  await stream.produce([...small, large, wide, ...good])

  // Then all are settled, and the small ones are whole, though together they are too large for the topic
  await eventually(async () => (await stream.committed()) === 15, 'all of them being committed')
  const letters = await stream.readAll(stream.dlqTopic)
  expect(letters.map(({ value }) => value?.toString() ?? null).sort()).toEqual(
    [...small.map(({ value }) => value), null, null].sort(),
  )
  const [cut, bare] = ['8', '9'].map(offset =>
    letters.find(letter => headerText(letter, HEADER.id) === `${stream.topic}-0-${offset}`),
  )
  expect(cut?.key?.toString()).toBe('its-key')
  expect(cut?.headers).toEqual(expect.arrayContaining([aHeader('trace', 'kept'), aHeader('holdfast.value', 'omitted')]))
  expect(bare?.key).toBeNull()
  expect(bare?.headers).toContainEqual(aHeader('holdfast.record', 'omitted'))
  expect(
    service.log.some(({ reason }) => String(reason).includes(`raise max.message.bytes of ${stream.dlqTopic}`)),
  ).toBe(true)
  await eventually(() => isReady(service), 'readiness')
  expect(await differences(stream, modelOf(good))).toEqual([])
  expect(await stream.findings()).toEqual([])

  // And their bytes are read from where they lie
  const exported = async (offset: string) => {
    const { stdout } = await holdfast(stream, 'dlq', 'show', `${stream.topic}-0-${offset}`, '--reveal', '--json')
    return JSON.parse(stdout) as { value: { text: string }; record_key: { text: string }; headers: object[] }
  }
  expect(await exported('8')).toMatchObject({ value: { text: large.value }, record_key: { text: 'its-key' } })
  const whole = await exported('9')
  expect(whole).toMatchObject({ value: { text: 'short' }, record_key: { text: 'another' } })
  expect(JSON.stringify(whole.headers)).toContain('w'.repeat(5_000))
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
