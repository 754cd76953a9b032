import { expect, it } from 'vitest'
import { wireToPostgres } from '../support/faults/wire-to-postgres.ts'
import { watchHeldUp } from '../support/held-up.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { aRole } from '../support/roles.ts'
import { ask, eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools, totalOf } from '../support/stream.ts'

streamTools()

const records = generated(600, { seed: 111, updatesRatio: 0.3 })
/** Somebody waits for an answer: longer than this is no answer. */
const ANSWERED_WITHIN_MS = 8_000
const RESUMED_WITHIN_MS = 5_000
const env = {
  // A poll that is missed for so long costs the partitions: an outage must not.
  KAFKA_CONFIG: 'session.timeout.ms=8000,heartbeat.interval.ms=500,max.poll.interval.ms=8000',
  PG_STATEMENT_TIMEOUT_MS: '2000',
  RETRY_MAX_MS: '1000',
}

it('with no connection left (53300): pauses, blames nobody, goes on when there is room again', async () => {
  // Given a service whose user may have no more than so many connections
  const stream = await aStream({ partitions: 2 })
  const role = await aRole(stream)
  const service = await startService({ ...stream, databaseUrl: role.url, env })
  await half(stream, service)
  const rebalances = await service.metric('rebalances_total')

  // When others have them all, and those of the service break
  await role.alter('CONNECTION LIMIT 0')
  await role.endSessions()
  await stream.produce(records.slice(300))
  await itWaits(service, /53300/)

  // Then it goes on by itself when it may have them again
  await role.alter('CONNECTION LIMIT -1')
  await resumesSoon(service)
  await allIsWell(stream, service, rebalances)
})

it('in a black hole: notices, answers what it can, and goes on', async () => {
  // Given a service that reaches Postgres over a wire
  const stream = await aStream({ partitions: 2 })
  const wire = await wireToPostgres(stream.databaseUrl)
  const service = await startService({ ...stream, databaseUrl: wire.url, env })
  await half(stream, service)
  const rebalances = await service.metric('rebalances_total')

  // When nothing moves on it any more, for longer than the consumer may leave out its polls
  wire.set({ kind: 'black-hole' })
  const sinceMs = performance.now()
  await stream.produce(records.slice(300))
  await itWaits(service, /postgres/i)
  await eventually(() => performance.now() - sinceMs > 10_000, 'the time that costs a silent consumer its partitions')

  // Then it goes on within seconds of the return
  wire.set({ kind: 'pass' })
  await resumesSoon(service)
  await allIsWell(stream, service, rebalances)
})

it('back from a failover, and read-only (25006): pauses, blames nobody, goes on when it may write again', async () => {
  // Given a service at work
  const stream = await aStream({ partitions: 2 })
  const role = await aRole(stream)
  const service = await startService({ ...stream, databaseUrl: role.url, env })
  await half(stream, service)
  const rebalances = await service.metric('rebalances_total')

  // When its sessions break, and on new ones it may only read
  await role.alter('SET default_transaction_read_only = on')
  await role.endSessions()
  await stream.produce(records.slice(300))
  await itWaits(service, /25006/, { unknownOrder: 404 })

  // Then it does not keep such a session: it goes on as soon as new ones may write
  await role.alter('RESET default_transaction_read_only')
  await resumesSoon(service)
  await allIsWell(stream, service, rebalances)
})

it('losing the reply to each COMMIT: nothing is written twice, and nobody is blamed', async () => {
  // Given a service that reaches Postgres over a wire
  const stream = await aStream({ partitions: 2 })
  const wire = await wireToPostgres(stream.databaseUrl)
  const service = await startService({ ...stream, databaseUrl: wire.url, env })
  await half(stream, service)
  const rebalances = await service.metric('rebalances_total')

  // When Postgres commits, and the connection is reset before it can say so
  wire.set({ kind: 'lose-reply', request: 'COMMIT', reply: 'COMMIT\0' })
  await stream.produce(records.slice(300))
  await eventually(() => service.log.some(({ event }) => event === 'breaker_opened'), 'its losing a reply')

  // Then what was committed is found so, also while replies are still lost, and counts once
  await eventually(async () => (await stream.settled()) === records.length, 'all of them being settled')
  wire.set({ kind: 'pass' })
  await allIsWell(stream, service, rebalances)
})

it('200 ms late with every answer: slower, with the same result, and nobody leaves the group', async () => {
  // Given a service whose every word to Postgres takes 100 ms there and 100 ms back
  const stream = await aStream({ partitions: 2 })
  const wire = await wireToPostgres(stream.databaseUrl)
  const service = await startService({ ...stream, databaseUrl: wire.url, env })
  await half(stream, service)
  const rebalances = await service.metric('rebalances_total')
  wire.set({ kind: 'delay', ms: 100 })

  // When orders come, then all of them are settled, over the slow wire
  await stream.produce(records.slice(300))
  await eventually(async () => (await stream.settled()) === records.length, 'all of them being settled')
  expect(await service.metric('breaker_open')).toBe(0)
  expect(await isReady(service)).toBe(true)
  await allIsWell(stream, service, rebalances)
})

async function half(stream: Stream, service: Service): Promise<void> {
  await stream.produce(records.slice(0, 300))
  await eventually(async () => (await stream.settled()) === 300, 'the first half being settled')
  await eventually(() => isReady(service), 'readiness')
}

/** As an operator and a client see the outage. @param unknownOrder the answer where memory has none: who may read, can tell */
async function itWaits(service: Service, why: RegExp, { unknownOrder = 503 } = {}): Promise<void> {
  await eventually(async () => (await service.metric('partition_paused', { reason: 'store_away' })) === 2, 'the pause')
  // (The first failure may have been another one: sessions that break, say, before new ones are refused.)
  await eventually(async () => {
    const ready = await ask(service, '/readyz?verbose')
    return ready.status === 503 && why.test(ready.body)
  }, `readiness saying ${why}`)
  expect(await ask(service, '/livez')).toMatchObject({ status: 200 })
  const askedAt = performance.now()
  const heldUpMs = watchHeldUp()
  // One in memory is an answer, one that only Postgres knows is a "later", and neither takes long
  expect(await ask(service, `/order/${records[0]?.uid}`)).toMatchObject({ status: 200 })
  expect(await ask(service, '/order/unknown')).toMatchObject({ status: unknownOrder })
  expect(performance.now() - askedAt).toBeLessThan(ANSWERED_WITHIN_MS + heldUpMs())
}

/** Each pause is over, soon after now by its own log: how soon that is seen from here is another matter. */
async function resumesSoon(service: Service): Promise<void> {
  const backAtMs = Date.now()
  const heldUpMs = watchHeldUp()
  const told = (what: string) => service.log.filter(({ event, reason }) => event === what && reason === 'store_away')
  await eventually(() => told('resumed').length === told('paused').length, 'its going on')
  expect(Date.parse(String(told('resumed').at(-1)?.time)) - backAtMs).toBeLessThan(RESUMED_WITHIN_MS + heldUpMs())
}

async function allIsWell(stream: Stream, service: Service, rebalances: number): Promise<void> {
  await eventually(async () => (await stream.committed()) === records.length, 'all of them being committed')
  await eventually(() => isReady(service), 'readiness')
  expect(await differences(stream, modelOf(records))).toEqual([])
  expect(await stream.readAll(stream.dlqTopic)).toEqual([])
  expect(totalOf(await stream.ledger())).toMatchObject({ records: 600, duplicate: 0, stale: 0, dead_lettered: 0 })
  expect(await service.metric('rebalances_total')).toBe(rebalances)
  expect(await stream.findings()).toEqual([])
  expect(await service.stop()).toBe(0)
}
