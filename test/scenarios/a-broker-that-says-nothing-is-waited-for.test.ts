import { expect, it, onTestFinished } from 'vitest'
import { startKafkaBehindAWire } from '../support/kafka-behind-a-wire.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { ask, eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools, totalOf } from '../support/stream.ts'

streamTools()

const records = generated(900, { seed: 121, updatesRatio: 0.3, invalidRatio: 0.05 })
const model = modelOf(records)
/** Well above the shorter silence, which must not cost the membership, however late its end is noticed here. */
const SESSION_MS = 15_000

it('in a black hole beyond its session, and mute to its producer: nothing is lost, or written twice', async () => {
  // Given a service that reaches its broker over a wire, while we go past it
  const behind = await startKafkaBehindAWire()
  onTestFinished(() => behind[Symbol.asyncDispose]())
  const { kafka, wire, wiredBrokers } = behind
  const stream = await aStream({ brokers: kafka.brokers, partitions: 2 })
  const env = { KAFKA_CONFIG: `session.timeout.ms=${SESSION_MS},heartbeat.interval.ms=1000` }
  const service = await startService({ ...stream, brokers: wiredBrokers, env })
  await settle(stream, 0, 300)
  await eventually(() => isReady(service), 'readiness')

  // When nothing moves on the wire, for longer than a member may be silent
  await wire.set({ kind: 'black-hole' })
  const sinceMs = performance.now()
  await stream.produce(records.slice(300, 600))
  await eventually(() => performance.now() - sinceMs > SESSION_MS + 4_000, 'the session being over')

  // Then it lives, says what it waits for, and makes nothing up
  await eventually(async () => {
    const { status, body } = await ask(service, '/readyz?verbose')
    return status === 503 && body.includes('breaker-open: kafka is away')
  }, 'readiness saying so')
  expect(await ask(service, '/livez')).toMatchObject({ status: 200 })
  expect(await service.metric('breaker_open', { dependency: 'kafka' })).toBe(1)
  const tellsLag = async () => /^holdfast_consumer_lag_(records|seconds)\{/m.test((await ask(service, '/metrics')).body)
  await eventually(async () => !(await tellsLag()), 'a lag that nobody knows not being told')
  const knownAt = await service.metric('consumer_lag_known_timestamp_seconds', { partition: '0' })
  expect(Date.now() / 1_000 - knownAt).toBeGreaterThan(5)
  expect(await stream.settled()).toBe(300)

  // And when the broker is there again, it goes on
  await wire.set({ kind: 'pass' })
  await eventually(() => isReady(service), 'readiness')
  await eventually(async () => (await stream.committed()) === 600, 'its going on')

  // And when the broker hears it and it does not hear the broker, for 3 s, its dead letters are not sent twice
  await wire.set({ kind: 'drop-replies' })
  const muteSinceMs = performance.now()
  await stream.produce(records.slice(600))
  await eventually(() => performance.now() - muteSinceMs > 3_000, 'the end of the silence')
  await wire.set({ kind: 'pass' })
  await allOfIt(stream, service)
})

async function settle(stream: Stream, from: number, to: number): Promise<void> {
  await stream.produce(records.slice(from, to))
  await eventually(async () => (await stream.committed()) === to, `${to} records being committed`)
}

async function allOfIt(stream: Stream, service: Service): Promise<void> {
  await eventually(async () => (await stream.committed()) === records.length, 'all of them being committed')
  await eventually(() => isReady(service), 'readiness')
  expect(await differences(stream, model)).toEqual([])
  expect(await stream.readAll(stream.dlqTopic)).toHaveLength(model.invalid.length)
  expect(totalOf(await stream.ledger())).toMatchObject({ offsets: records.length, duplicate: 0, stale: 0 })
  expect(await stream.findings()).toEqual([])
  expect(await service.stop()).toBe(0)
}
