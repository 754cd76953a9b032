import { expect, it } from 'vitest'
import type { WireMode } from '../support/faults/wire.ts'
import { wireToPostgres } from '../support/faults/wire-to-postgres.ts'
import { lockOrders, reading, settling } from '../support/locks.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { ownKafka } from '../support/own-servers.ts'
import { eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools, totalOf } from '../support/stream.ts'

streamTools()

const SHUTDOWN_TIMEOUT_MS = 4_000
/** What a process may take beyond its bound until it has really gone, on a busy machine. */
const SLACK_MS = 15_000
/** For what is to happen without it. */
const FAR_BOUND = { SHUTDOWN_TIMEOUT_MS: '120000' }
const env = {
  SHUTDOWN_TIMEOUT_MS: String(SHUTDOWN_TIMEOUT_MS),
  // A killed member is missed after its session only.
  KAFKA_CONFIG: 'session.timeout.ms=6000,heartbeat.interval.ms=500',
  BATCH_MAX_RECORDS: '50',
}
/** When its watchdog, or a second signal, has ended it. */
const KILLED = 137

const records = generated(600, { seed: 61, updatesRatio: 0.3, invalidRatio: 0.02 })

it('told twice: gone at once, though its transactions cannot end', async () => {
  // Given a process whose transactions wait for a lock
  const stream = await aStream({ partitions: 2 })
  const service = await atWork(stream, FAR_BOUND)
  const lock = await lockOrders(stream)
  await stream.produce(records.slice(300))
  await eventually(async () => (await settling(stream, 'waits for a lock')) === 2, 'both lanes waiting')

  // When it is told to stop, and told again before it has
  service.kill('SIGTERM')
  await eventually(() => service.log.some(({ event }) => event === 'signal'), 'its draining')
  const toldAt = performance.now()
  service.kill('SIGTERM')

  // Then it has gone, and the next one does what it left
  expect(await service.exited).toBe(KILLED)
  expect(performance.now() - toldAt).toBeLessThan(SLACK_MS)
  await lock.release()
  await nothingIsLost(stream)
})

it.each<WireMode>([{ kind: 'reset' }, { kind: 'black-hole' }])(
  'while Postgres is away ($kind): gone within the bound',
  async mode => {
    // Given a process whose way to Postgres is cut in the midst of its work
    const stream = await aStream({ partitions: 2 })
    const wire = await wireToPostgres(stream.databaseUrl)
    const service = await atWork({ ...stream, databaseUrl: wire.url })
    wire.set(mode)
    await stream.produce(records.slice(300))
    await eventually(async () => !(await isReady(service)), 'its noticing')

    // When it is told to stop, then it has gone within the bound
    const toldAt = performance.now()
    expect([0, KILLED]).toContain(await service.stop())
    expect(performance.now() - toldAt).toBeLessThan(SHUTDOWN_TIMEOUT_MS + SLACK_MS)
    await nothingIsLost(stream)
  },
)

it.each([
  { title: 'gone within the bound', bound: SHUTDOWN_TIMEOUT_MS, codes: [0, KILLED] },
  { title: 'gone by itself where the bound leaves it time to ask whether it is away', bound: 25_000, codes: [0] },
])('while the broker is away, and cannot be told what was settled: $title', async ({ bound, codes }) => {
  // Given a process whose transactions end when its broker is frozen
  const kafka = await ownKafka()
  const stream = await aStream({ brokers: kafka.brokers, partitions: 2 })
  const service = await atWork(stream, { SHUTDOWN_TIMEOUT_MS: String(bound) })
  const lock = await lockOrders(stream)
  await stream.produce(records.slice(300))
  await eventually(async () => (await settling(stream, 'waits for a lock')) === 2, 'both lanes waiting')
  kafka.kill('SIGSTOP')
  await lock.release()
  await eventually(async () => (await stream.settled()) > 300, 'a transaction that the broker is not told of')

  // When it is told to stop, then it has gone
  const toldAt = performance.now()
  expect(codes).toContain(await service.stop())
  expect(performance.now() - toldAt).toBeLessThan(bound + SLACK_MS)
  kafka.kill('SIGCONT')
  await nothingIsLost(stream)
})

it('during a rebalance that waits for its drain: gone within the bound', async () => {
  // Given a process that is to hand a partition over to a second one, and cannot end its transactions
  const stream = await aStream({ partitions: 2 })
  const service = await atWork(stream)
  const lock = await lockOrders(stream)
  await stream.produce(records.slice(300))
  await eventually(async () => (await settling(stream, 'waits for a lock')) === 2, 'both lanes waiting')
  const heir = await startService({ ...stream, env })
  // What it gets first is nothing: the group waits for the other one to let go.
  await eventually(() => heir.log.some(({ event }) => event === 'assigned'), 'the rebalance being under way')

  // When the first is told to stop just then
  const toldAt = performance.now()
  expect([0, KILLED]).toContain(await service.stop())
  expect(performance.now() - toldAt).toBeLessThan(SHUTDOWN_TIMEOUT_MS + SLACK_MS)

  // Then the second one does all of it
  await lock.release()
  await nothingIsLost(stream, heir)
})

it('while a replica that only serves is warming its cache: gone by itself', async () => {
  // Given a replica without the role consumer, whose look at the newest orders waits for a lock
  const stream = await aStream({ partitions: 2 })
  const lock = await lockOrders(stream)
  const service = await startService({ ...stream, env: { ...env, ...FAR_BOUND }, roles: ['api'] })
  await eventually(async () => (await reading(stream, 'waits for a lock')) === 1, 'its warming')

  // When it is told to stop, and the look ends only then
  service.kill('SIGTERM')
  await eventually(() => service.log.some(({ event }) => event === 'signal'), 'its draining')
  await lock.release()

  // Then nothing has to kill it
  expect(await service.exited).toBe(0)
})

/** A service that has settled the first half of the records. */
async function atWork(stream: Stream, settings: Readonly<Record<string, string>> = {}): Promise<Service> {
  const service = await startService({ ...stream, env: { ...env, ...settings } })
  await stream.produce(records.slice(0, 300))
  await eventually(async () => (await stream.settled()) === 300, 'the first half being settled')
  return service
}

async function nothingIsLost(stream: Stream, successor?: Service): Promise<void> {
  const next = successor ?? (await startService({ ...stream, env }))
  const model = modelOf(records)
  await eventually(async () => (await stream.committed()) === records.length, 'the next one committing all')
  expect(await differences(stream, model)).toEqual([])
  const total = totalOf(await stream.ledger())
  expect(total).toMatchObject({ offsets: records.length, records: records.length, duplicate: 0, stale: 0 })
  expect(total.dead_lettered).toBe(model.invalid.length)
  expect(await stream.findings()).toEqual([])
  expect(await next.stop()).toBe(0)
}
