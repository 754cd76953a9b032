import { setTimeout as interval } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { differences, modelOf } from '../support/model.ts'
import { ask, eventually, isReady, type Service, startService } from '../support/service.ts'
import { watchForStepsBack } from '../support/steps-back.ts'
import { aStream, streamTools, totalOf } from '../support/stream.ts'
import { startTraffic } from '../support/traffic.ts'

streamTools()

const STORM_MS = 20_000
const ROUNDS_AT_LEAST = 4
const env = { KAFKA_CONFIG: 'heartbeat.interval.ms=500', BATCH_MAX_RECORDS: '50' }

it('settles on while a second process joins and leaves all the time, and repeats nothing', async () => {
  // Given one process that stays, under traffic that does not stop
  const stream = await aStream({ partitions: 6 })
  const steady = await startService({ ...stream, env })
  const traffic = startTraffic(stream, 50, 100, { seed: 81, updatesRatio: 0.3, invalidRatio: 0.01 })
  let storming = true
  onTestFinished(() => {
    storming = false
  })
  await eventually(async () => (await stream.settled()) > 0, 'the traffic arriving')
  const watch = await watchForStepsBack(stream)
  const rebalances = await steady.metric('rebalances_total')
  await eventually(() => isReady(steady), 'readiness')
  const unready: string[] = []
  const probing = (async () => {
    for (; storming; await interval(100)) {
      const { status, body } = await ask(steady, '/readyz')
      if (status !== 200) unready.push(body)
    }
  })()

  // When another one comes, gets its share, and leaves again, over and over
  const stormEnds = performance.now() + STORM_MS
  let rounds = 0
  for (; performance.now() < stormEnds || rounds < ROUNDS_AT_LEAST; rounds++) {
    const before = await stream.settled()
    const guest = await startService({ ...stream, env })
    await eventually(() => hasWork(guest), 'its getting partitions')
    expect(await guest.stop()).toBe(0)
    // Then nobody waits for the end of the storm: each round comes to something
    await eventually(async () => (await stream.settled()) > before, 'progress')
  }
  storming = false
  await traffic.stop()
  await probing
  const sent = traffic.sent.length
  // And the one that stays was ready all along
  expect(unready).toEqual([])
  expect(await steady.metric('rebalances_total')).toBeGreaterThan(rebalances + rounds)
  // And gave away what it had drained, each time within the bound of a drain
  const revoked = steady.log.filter(({ event }) => event === 'revoked')
  expect(revoked.length).toBeGreaterThanOrEqual(rounds)
  expect(revoked.filter(({ lost, drained }) => lost !== false || drained !== true)).toEqual([])

  // And all is settled once, nothing went back, and the clean hand-overs repeated not a single record
  await eventually(async () => (await stream.committed()) === sent, 'all of them being committed')
  expect(await watch.end()).toEqual([])
  const model = modelOf(traffic.sent)
  const total = totalOf(await stream.ledger())
  expect(total).toMatchObject({ offsets: sent, records: sent, duplicate: 0, stale: 0 })
  expect(total.dead_lettered).toBe(model.invalid.length)
  expect(await differences(stream, model)).toEqual([])
  expect(await stream.readAll(stream.dlqTopic)).toHaveLength(model.invalid.length)
  expect(steady.log.filter(({ event }) => event === 'ownership_lost')).toEqual([])
  expect(await stream.findings()).toEqual([])
  expect(await steady.stop()).toBe(0)
})

function hasWork({ log }: Service): boolean {
  return log.some(({ event, positions }) => event === 'assigned' && (positions as unknown[]).length > 0)
}
