import { setTimeout as interval } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { watchHeldUp } from '../support/held-up.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { ownPostgres } from '../support/own-servers.ts'
import { ask, eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, streamTools, totalOf } from '../support/stream.ts'

streamTools()

/** Long enough that a consumer which did not go on polling would have lost its partitions twice over. */
const OUTAGE_MS = 20_000
const RESUMED_WITHIN_MS = 5_000
const KAFKA_CONFIG = 'session.timeout.ms=8000,heartbeat.interval.ms=500,max.poll.interval.ms=8000'

it('waits through an outage under traffic: pauses, sets nothing aside, loses nothing', async () => {
  // Given a stream at work
  const postgres = await ownPostgres()
  const stream = await aStream({ databaseUrl: postgres.url })
  const service = await startService({ ...stream, env: { KAFKA_CONFIG } })
  const records = generated(1_200, { seed: 20, updatesRatio: 0.2 })
  let sent = 0
  async function produceUpTo(count: number): Promise<void> {
    await stream.produce(records.slice(sent, count))
    sent = Math.max(sent, count)
  }
  await produceUpTo(200)
  await eventually(async () => (await stream.settled()) === 200, 'the first orders being settled')
  const rebalances = await service.metric('rebalances_total')

  // When Postgres is stopped for 20 s, while 40 orders a second go on coming
  await postgres.stop('fast')
  const stoppedAt = performance.now()
  await eventually(async () => !(await isReady(service)), 'readiness falling')
  await produceUpTo(240)
  const before = await eventually(async () => {
    const lag = await lagOf(service)
    return lag.seconds > 0 && lag
  }, 'each partition having orders that wait')
  while (performance.now() - stoppedAt < OUTAGE_MS) {
    await produceUpTo(Math.min(sent + 20, 1_000))
    // Then it stays alive and says what it waits for; an order in memory is served, another one is asked for later
    expect(await ask(service, '/livez')).toMatchObject({ status: 200 })
    const ready = await ask(service, '/readyz')
    expect(ready.status).toBe(503)
    expect(ready.body).toMatch(/breaker-open: postgres is away/)
    expect(await ask(service, `/order/${records[0]?.uid}`)).toMatchObject({ status: 200 })
    await interval(500)
  }
  expect(await ask(service, '/order/unknown')).toMatchObject({ status: 503 })
  expect(await service.metric('partition_paused', { reason: 'store_away' })).toBe(3)
  expect(await service.metric('breaker_open', { dependency: 'postgres' })).toBe(1)
  // And the lag grows as fast as time goes by, on each partition
  const after = await lagOf(service)
  const grownS = after.seconds - before.seconds
  expect(grownS).toBeGreaterThan((after.askedAt - before.answeredAt) / 1_000 - 1)
  expect(grownS).toBeLessThan((after.answeredAt - before.askedAt) / 1_000 + 1)

  // And it goes on within 5 s of the return
  await postgres.restart()
  const backAtMs = Date.now()
  const heldUpMs = watchHeldUp()
  await eventually(() => isReady(service), 'readiness coming back')
  await eventually(async () => (await service.metric('partition_paused')) === 0, 'the partitions being resumed')
  // (by its own log: how soon that is seen from here is another matter)
  const resumed = service.log.findLast(({ event, reason }) => event === 'resumed' && reason === 'store_away')
  expect(Date.parse(String(resumed?.time)) - backAtMs).toBeLessThan(RESUMED_WITHIN_MS + heldUpMs())
  await produceUpTo(records.length)
  await eventually(async () => (await stream.settled()) === 1_200, 'all of them being settled')

  // And nothing was lost, nothing set aside, and the group never noticed
  expect(await differences(stream, modelOf(records))).toEqual([])
  expect(await stream.readAll(stream.dlqTopic)).toEqual([])
  expect(totalOf(await stream.ledger())).toMatchObject({ records: 1_200, duplicate: 0, stale: 0, dead_lettered: 0 })
  expect(await service.metric('rebalances_total')).toBe(rebalances)
  await eventually(async () => (await stream.committed()) === 1_200, 'the commits')
  expect(await stream.findings()).toEqual([])
  expect(await service.stop()).toBe(0)
})

it('starts without Postgres: alive, not ready, and at work once it is there', async () => {
  // Given a database that is there, and then is not
  const postgres = await ownPostgres()
  const stream = await aStream({ databaseUrl: postgres.url })
  const records = generated(50, { seed: 21 })
  await stream.produce(records)
  await postgres.stop('fast')

  // When the service starts
  const service = await startService({ ...stream, env: { RETRY_MAX_MS: '500' } })
  await eventually(() => service.log.some(({ event }) => event === 'start_waiting'), 'the log telling of the wait')

  // Then it is alive and says what it waits for
  expect(await ask(service, '/livez')).toMatchObject({ status: 200 })
  const ready = await ask(service, '/readyz')
  expect(ready.status).toBe(503)
  expect(ready.body).toContain('waiting for Postgres')

  // And it works as soon as Postgres does
  await postgres.restart()
  await eventually(() => isReady(service), 'readiness')
  await eventually(async () => (await stream.settled()) === records.length, 'all of them being settled')
  expect(await differences(stream, modelOf(records))).toEqual([])
  expect(await stream.readAll(stream.dlqTopic)).toEqual([])
})

/** Of the partition with the least, as it was at some moment between the question and the answer. */
async function lagOf(service: Service): Promise<{ seconds: number; askedAt: number; answeredAt: number }> {
  const askedAt = performance.now()
  const lags = await Promise.all(
    [0, 1, 2].map(partition => service.metric('consumer_lag_seconds', { partition: String(partition) })),
  )
  return { seconds: Math.min(...lags), askedAt, answeredAt: performance.now() }
}
