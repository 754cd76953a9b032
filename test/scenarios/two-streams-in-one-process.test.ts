import { setTimeout } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { verifyStream } from '#src/cli/proof.ts'
import { loadConfig } from '#src/settings/config.ts'
import { loadStreams } from '#src/settings/streams.ts'
import { generated } from '../support/model.ts'
import { ask, eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'
import { aReturn, RETURN_TABLES, someReturns, TWO_STREAMS } from '../support/two-streams.ts'

streamTools()

/** How the missing column is named: by Postgres, or by the check of the tables before the stream is tried again. */
const COLUMN = /column "?reason|returns\.reason/

it('a stream whose table lost a column halts alone, readiness names both, and it resumes when the column is back', async () => {
  // Given a process that consumes orders and returns
  const { orders, returns, env } = await aProject()
  const service = await startService({ ...orders, env })
  await orders.produce(generated(20, { seed: 12 }))
  await returns.produce(someReturns(0, 5))
  await eventually(async () => (await orders.committed()) === 20 && (await returns.committed()) === 5, 'the first ones')
  await eventually(() => isReady(service), 'its being ready')

  const health = watchHealth(service)

  // When a column of returns goes missing, and more of both come
  await orders.query('ALTER TABLE returns RENAME COLUMN reason TO elsewhere')
  await returns.produce(someReturns(5, 20))

  // Then readiness names the stream and the column
  const halted = await eventually(async () => {
    const checks = failing((await ask(service, '/readyz?verbose')).body)
    return checks.some(({ reason }) => COLUMN.test(reason)) && checks
  }, 'readiness naming the column')
  expect(halted).toEqual([
    {
      name: 'stream:returns',
      ok: false,
      reason: expect.stringMatching(COLUMN),
      since: expect.any(String),
    },
  ])
  expect(await service.metric('stream_halted', { stream: 'returns' })).toBe(1)
  expect(await service.metric('stream_halted', { stream: 'orders' })).toBe(0)
  expect((await ask(service, '/livez')).status).toBe(200)

  // And orders go on, while no return is blamed
  await orders.produce(generated(40, { seed: 13 }))
  await eventually(async () => (await orders.committed()) === 60, 'the orders that came meanwhile')
  expect(await returns.committed()).toBe(5)
  expect(await returns.readAll(returns.dlqTopic)).toEqual([])

  // And when the column is back, the stream goes on by itself
  await orders.query('ALTER TABLE returns RENAME COLUMN elsewhere TO reason')
  await eventually(async () => (await returns.committed()) === 20, 'the returns')
  await eventually(() => isReady(service), 'its being ready again')
  expect(JSON.parse((await ask(service, '/returns/return-19')).body)).toEqual(aReturn(19))

  // And at no moment was a restart asked for, nor a shutdown reported
  const seen = await health.stop()
  expect(seen.asked).toBeGreaterThan(20)
  expect(seen.dead).toEqual([])
  expect([...seen.reasons].filter(reason => reason.includes('shutting down'))).toEqual([])

  // And the ledgers of both are right
  await allIsProven(env)
  expect(await service.stop()).toBe(0)
})

it('serve --streams runs only the streams that it names, and another process may run the others', async () => {
  // Given a project of two streams, and records of both
  const { orders, returns, env } = await aProject()
  await orders.produce(generated(20, { seed: 14 }))
  await returns.produce(someReturns(0, 5))

  // When a process runs one of them, then it consumes and serves that one alone
  const one = await startService({ ...orders, env, streams: ['returns'] })
  await eventually(async () => (await returns.committed()) === 5, 'the returns')
  await eventually(() => isReady(one), 'its being ready')
  expect(JSON.parse((await ask(one, '/streams')).body).streams).toMatchObject([{ name: 'returns' }])
  expect((await ask(one, '/returns/return-4')).status).toBe(200)
  expect((await ask(one, '/orders')).status).toBe(404)
  expect(await orders.query('SELECT DISTINCT topic FROM holdfast.stream_progress')).toEqual([{ topic: returns.topic }])
  expect(await orders.committed()).toBe(0)

  // And when a second process runs the other, nothing of either is missing
  const other = await startService({ ...orders, env, streams: ['orders'] })
  await eventually(async () => (await orders.committed()) === 20, 'the orders')
  expect((await ask(other, '/returns')).status).toBe(404)
  await allIsProven(env)
  for (const service of [one, other]) expect(await service.stop()).toBe(0)
})

/** Asks for liveness and readiness again and again. `dead`: what liveness said while it failed. */
function watchHealth(service: Service) {
  const seen = { asked: 0, dead: [] as string[], reasons: new Set<string>() }
  const stopping = new AbortController()
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      const live = await ask(service, '/livez?verbose')
      if (live.status !== 200) seen.dead.push(live.body)
      for (const { reason } of failing((await ask(service, '/readyz?verbose')).body)) seen.reasons.add(reason)
      seen.asked += 1
      await setTimeout(5)
    }
  })()
  return {
    async stop() {
      stopping.abort()
      await watching
      return seen
    },
  }
}

async function aProject() {
  const orders = await aStream({ partitions: 2 })
  const returns = await aStream({ partitions: 2, databaseUrl: orders.databaseUrl, migrated: false })
  await orders.query(RETURN_TABLES)
  return { orders, returns, env: environment(orders, returns) }
}

function environment(orders: Stream, returns: Stream): Record<string, string> {
  return {
    HOLDFAST_CONFIG: TWO_STREAMS,
    KAFKA_BROKERS: orders.brokers,
    KAFKA_TOPIC: orders.topic,
    KAFKA_DLQ_TOPIC: orders.dlqTopic,
    KAFKA_GROUP_ID: orders.groupId,
    DATABASE_URL: orders.databaseUrl,
    RETURNS_TOPIC: returns.topic,
    RETURNS_DLQ_TOPIC: returns.dlqTopic,
    RETURNS_GROUP_ID: returns.groupId,
  }
}

async function allIsProven(env: Record<string, string>): Promise<void> {
  const config = loadConfig(env)
  for (const stream of await loadStreams(config, env)) {
    const { findings, unasked } = await verifyStream(config, stream)
    expect([...findings, ...unasked], stream.name).toEqual([])
  }
}

function failing(body: string): { readonly name: string; readonly reason: string }[] {
  return JSON.parse(body).checks.filter(({ ok }: { ok: boolean }) => !ok)
}
