import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '#src/clock.ts'
import type { Clock } from '#src/engine/ports.ts'
import { CHANNEL, startWriteListener } from '#src/engine/postgres/notifications.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { createCache } from '#src/read/cache/cache.ts'
import { createValueReader } from '#src/read/postgres/value-reader.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { wireToPostgres } from '../support/faults/wire-to-postgres.ts'
import type { Order } from '../support/order.ts'
import { orderQueries, orderTables } from '../support/order-stream.ts'
import { aReadyOrder, aWork } from '../support/orders.ts'
import { eventually } from '../support/service.ts'

let database: MigratedDatabase
beforeAll(async () => {
  database = await migratedDatabase()
  await database.pool.query('ALTER TABLE payments ADD CONSTRAINT test_only CHECK (amount <> 666)')
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})

/** A replica that writes, at the offset where it stopped. */
let nextOffset = 0n
async function settle(notifyAs: string | undefined, ...orders: { uid: string; amount?: number }[]) {
  const store = createStreamSettlement<Order>({ pool: database.pool, stream: 'orders', tables: orderTables, notifyAs })
  await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset })
  const from = nextOffset
  const records = orders.map((order, i) => aReadyOrder({ ...order, offset: from + BigInt(i) }))
  const settlement = await store.settle(aWork(records, { from }))
  if (settlement.kind === 'settled') nextOffset += BigInt(orders.length)
  return settlement
}

beforeEach(async () => {
  nextOffset = 0n
  await database.pool.query(
    'TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger',
  )
})

/** What a replica hears; it is connected already. */
async function listening(
  self: string,
  { url = database.url, statementTimeoutMs = 10_000, clock = systemClock, isWanted = (): boolean => true } = {},
) {
  const told: (string | 'all')[] = []
  const seen = { connected: 0, currentAsOfMs: Number.NEGATIVE_INFINITY, lost: [] as unknown[] }
  const sessions: pg.PoolClient[] = []
  const pool = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs, name: 'listen' })
  pool.on('connect', client => sessions.push(client))
  const listener = startWriteListener({
    pool,
    self,
    clock,
    isWanted,
    random: () => 0,
    onConnected: () => {
      seen.connected += 1
    },
    onWritten: uids => told.push(...(uids === 'all' ? ['all'] : uids)),
    onCurrent: asOfMs => {
      seen.currentAsOfMs = asOfMs
    },
    onLost: error => seen.lost.push(error),
  })
  onTestFinished(async () => {
    await listener.stop()
    await pool.end()
  })
  await listener.connected
  return { told, seen, sessions, listener, pool }
}

/** Everything that was committed until now has been heard. */
async function caughtUp({ seen }: Awaited<ReturnType<typeof listening>>): Promise<void> {
  const nowMs = systemClock.monotonic()
  await eventually(() => seen.currentAsOfMs > nowMs, 'a heartbeat from now on')
}

it('tells others which orders were replaced, and neither new ones, nor what was rolled back, nor oneself', async () => {
  const other = await listening('other')
  const self = await listening('self')
  await settle('self', { uid: 'a' }, { uid: 'b' })
  await settle('self', { uid: 'a' }, { uid: 'c' })
  expect(await settle('self', { uid: 'b', amount: 666 }, { uid: 'c' })).toMatchObject({ kind: 'refused' })
  await settle(undefined, { uid: 'b' })
  await caughtUp(other)
  await caughtUp(self)
  expect(other.told).toEqual(['a'])
  expect(self.told).toEqual([])
})

it('tells of a whole batch, however large', async () => {
  const other = await listening('other')
  const uids = Array.from({ length: 500 }, (_, i) => `order-${String(i).padStart(50, '0')}`)
  await settle('self', ...uids.map(uid => ({ uid })))
  await settle('self', ...uids.map(uid => ({ uid })))
  await caughtUp(other)
  expect(other.told.toSorted()).toEqual(uids)
})

it('takes a NOTIFY by hand for "anything may have changed"', async () => {
  const other = await listening('other')
  await database.pool.query(`NOTIFY ${CHANNEL}`)
  await caughtUp(other)
  expect(other.told).toEqual(['all'])
})

it('asks often whether it is current only while that is wanted', async () => {
  let wanted = true
  const pausesMs: number[] = []
  const pausing: Clock['sleep'] = async ms => void pausesMs.push(wanted ? ms : -ms)
  const other = await listening('other', {
    clock: { ...systemClock, sleep: (ms, signal) => pausing(ms).then(() => systemClock.sleep(5, signal)) },
    isWanted: () => wanted,
  })
  await caughtUp(other)
  wanted = false
  await eventually(() => pausesMs.some(ms => ms < 0), 'a pause that nothing waits for')
  expect(Math.max(...pausesMs)).toBeLessThan(500)
  expect(Math.min(...pausesMs)).toBeLessThan(-2_000)
})

it('is current at once when that is wanted again', async () => {
  const pausesMs: number[] = []
  const clock: Clock = {
    ...systemClock,
    async sleep(ms, signal) {
      pausesMs.push(ms)
      // Longer than an answer is waited for.
      await systemClock.sleep(ms * 1_000, signal)
    },
  }
  const other = await listening('other', { clock, isWanted: () => false })
  await eventually(() => pausesMs.length > 0, 'a pause')
  const { currentAsOfMs } = other.seen
  other.listener.hurry()
  await eventually(() => other.seen.currentAsOfMs > currentAsOfMs, 'an answer before the pause is over')
})

it('connects again when its session ends, and says so', async () => {
  const other = await listening('other')
  const session = await other.sessions[0]?.query('SELECT pg_backend_pid() AS pid')
  const { rows } = await database.pool.query('SELECT pg_terminate_backend($1) AS ended', [session?.rows[0]?.pid])
  expect(rows).toEqual([{ ended: true }])
  await eventually(() => other.seen.connected === 2, 'the second session')
  expect(other.seen.lost).toHaveLength(1)
  await settle('self', { uid: 'a' })
  await settle('self', { uid: 'a' })
  await caughtUp(other)
  expect(other.told).toEqual(['a'])
})

it('notices that its session was exchanged for one that does not listen', async () => {
  const other = await listening('other')
  await other.sessions[0]?.query('UNLISTEN *')
  await eventually(() => other.seen.connected === 2, 'a session that listens')
  expect(String(other.seen.lost[0])).toContain('exchanged')
})

it('vouches for nothing that happens after its wire went dead, and connects again', async () => {
  const wire = await wireToPostgres(database.url)
  const other = await listening('other', { url: wire.url, statementTimeoutMs: 500 })
  await caughtUp(other)
  wire.set({ kind: 'black-hole' })
  const deadSinceMs = systemClock.monotonic()
  const before = { connected: other.seen.connected, lost: other.seen.lost.length }
  await settle('self', { uid: 'a' })
  await settle('self', { uid: 'a' })
  await eventually(() => other.seen.lost.length > before.lost, 'it giving the session up')
  expect(other.seen.currentAsOfMs).toBeLessThan(deadSinceMs)
  expect(other.told).toEqual([])
  wire.set({ kind: 'pass' })
  await eventually(() => other.seen.connected > before.connected, 'another session')
  await caughtUp(other)
})

it('does not hold a version that it read before another replica replaced it', async () => {
  // Given a load that has read the first version, and whose answer is under way
  await settle('self', { uid: 'a', amount: 1 })
  const reader = createValueReader(database.pool, orderQueries)
  const underWay = Promise.withResolvers<void>()
  const arrived = Promise.withResolvers<void>()
  const cache = createCache({
    maxBytes: 1 << 20,
    ttlMs: 0,
    reader: {
      newest: reader.newest,
      async read(uid) {
        const read = await reader.read(uid)
        underWay.resolve()
        await arrived.promise
        return read
      },
    },
  })
  const pool = createPool({ url: database.url, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'listen' })
  const told = Promise.withResolvers<void>()
  const listener = startWriteListener({
    pool,
    self: 'other',
    clock: systemClock,
    random: () => 0,
    onConnected: () => {},
    onWritten(uids) {
      cache.overtake(uids)
      told.resolve()
    },
    onCurrent: () => {},
    onLost: () => {},
  })
  onTestFinished(async () => {
    await listener.stop()
    await pool.end()
  })
  await listener.connected
  const early = cache.get('a')
  await underWay.promise

  // When another replica writes the second one, and its notice overtakes that answer
  await settle('self', { uid: 'a', amount: 2 })
  await told.promise
  arrived.resolve()

  // Then whoever asks from now on gets the second one
  const amountOf = (json: Buffer | undefined) => JSON.parse(String(json)).payment.amount
  expect(amountOf((await early).value?.json)).toBe(1)
  expect(amountOf((await cache.get('a')).value?.json)).toBe(2)
})
