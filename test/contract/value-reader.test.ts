import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { StoreMisconfiguredError, StoreUnavailableError } from '#src/engine/errors.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import type { PageQuery, StoredValue } from '#src/engine/value-sql.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import type { ValueCatalog } from '#src/read/ports.ts'
import { createRecordOutcomes } from '#src/read/postgres/record-outcomes.ts'
import { createValueReader } from '#src/read/postgres/value-reader.ts'
import { createGenerator } from '#src/streams/orders/generator.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { type Order, orderJson } from '../support/order.ts'
import { orderQueries, orderTables } from '../support/order-stream.ts'
import { aDeadLetter, aReadyOrder, aWork, judged, modelOrder } from '../support/orders.ts'
import { aRecord } from '../support/records.ts'
import { freshDatabase } from '../support/stack.ts'

let database: MigratedDatabase
beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await database.pool.query(
    'TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger',
  )
})

function ready(value: Order, offset = 0n): ReadyRecord<Order> {
  const record = aRecord({ offset, value: orderJson(value) })
  return { record, origin: record, key: value.order_uid, value }
}

async function stored(...records: ReadyRecord<Order>[]) {
  const store = createStreamSettlement({ pool: database.pool, stream: 'orders', tables: orderTables })
  await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
  await store.settle(aWork(records, { from: 0n }))
  return createValueReader(database.pool, orderQueries)
}

async function all(values: AsyncIterable<StoredValue>): Promise<StoredValue[]> {
  const list: StoredValue[] = []
  for await (const value of values) list.push(value)
  return list
}

describe('a stored order', () => {
  it('is read back as the bytes that its writer would serve, with its position', async () => {
    const record = ready(modelOrder, 7n)
    const reader = await stored(record)
    const value = await reader.read(modelOrder.order_uid)
    expect(value?.json.toString()).toBe(orderJson(modelOrder).toString())
    const origin = { topic: 'orders', partition: 0, offset: 7n, timestampMs: record.origin.timestampMs }
    expect(value?.origin).toEqual(origin)
    const position = await reader.of(modelOrder.order_uid)
    expect(position?.origin).toEqual(origin)
    expect(Math.abs(Date.now() - (position?.storedAtMs ?? 0))).toBeLessThan(600_000)
    expect(await reader.of('nobody')).toBeUndefined()
  })

  it.each([
    '1970-01-01T00:00:00Z',
    '2021-11-26T06:22:19.123456Z',
    '2021-11-26T06:22:19.9999999Z', // Postgres would round it to the next second
    '2021-11-26T06:22:19.000001+05:45',
    '9999-12-31T23:59:59.999999Z',
  ])('keeps the instant %s to the microsecond', async date_created => {
    const order = judged(Buffer.from(JSON.stringify({ ...modelOrder, date_created })))
    const reader = await stored(ready(order))
    expect((await reader.read(order.order_uid))?.json.toString()).toBe(orderJson(order).toString())
  })

  it('keeps integers up to 2^53 - 1, quotes, markup, line breaks and every script', async () => {
    const max = Number.MAX_SAFE_INTEGER
    const [item] = modelOrder.items
    if (item === undefined) throw new Error('the model order has no item')
    const order = judged(
      Buffer.from(
        JSON.stringify({
          ...modelOrder,
          sm_id: max,
          delivery: { ...modelOrder.delivery, name: '"Zoë" <b>\\\n\t😀 Ольга 東京', email: '' },
          payment: { ...modelOrder.payment, amount: max, custom_fee: 0, request_id: '' },
          items: [{ ...item, chrt_id: max, sale: 0, name: "'; drop table orders;--" }, item],
        }),
      ),
    )
    const reader = await stored(ready(order))
    expect((await reader.read(order.order_uid))?.json.toString()).toBe(orderJson(order).toString())
  })

  it('is equal to what was judged, for a thousand generated ones', async () => {
    const generator = createGenerator({ seed: 20_21, invalidRatio: 0, updatesRatio: 0 })
    const orders = Array.from({ length: 1000 }, () => judged(generator.next().value ?? Buffer.alloc(0)))
    const reader = await stored(...orders.map((order, index) => ready(order, BigInt(index))))
    const expected = new Map(orders.map(order => [order.order_uid, orderJson(order).toString()]))
    const found = new Map((await all(reader.newest(5000))).map(value => [value.key, value.json.toString()]))
    expect(found).toEqual(expected)
  })

  it('is undefined when there is none', async () => {
    const reader = await stored(ready(modelOrder))
    expect(await reader.read('nobody')).toBeUndefined()
  })
})

describe('the newest orders', () => {
  it('come by their own date, then by uid, latest first, across pages', async () => {
    const dated = (uid: string, day: number, offset: number) => {
      const order = aReadyOrder({ uid, offset: BigInt(offset) })
      const date_created = `2024-01-${String(day).padStart(2, '0')}T00:00:00Z`
      return { ...order, value: { ...order.value, date_created } }
    }
    // 40 days, 30 orders each: more than two pages, and ties at every border.
    const records = Array.from({ length: 1200 }, (_, index) =>
      dated(`order-${String((index * 7919) % 1200).padStart(4, '0')}`, 1 + (index % 30), index),
    )
    const reader = await stored(...records)
    const expected = records
      .map(record => ({ uid: record.key, date: record.value.date_created }))
      .sort((a, b) => (a.date === b.date ? (a.uid < b.uid ? 1 : -1) : a.date < b.date ? 1 : -1))
      .map(({ uid }) => uid)
    expect((await all(reader.newest(Number.POSITIVE_INFINITY))).map(value => value.key)).toEqual(expected)
    expect((await all(reader.newest(3))).map(value => value.key)).toEqual(expected.slice(0, 3))
    expect(await all(reader.newest(0))).toEqual([])
  })
})

describe('a page of orders', () => {
  const EVERY: PageQuery = { by: {}, from: undefined, to: undefined, after: undefined, limit: 100 }
  const listed = (uid: string, date_created: string, customer_id: string, offset: number) => {
    const order = aReadyOrder({ uid, offset: BigInt(offset) })
    return { ...order, value: { ...order.value, date_created, customer_id } }
  }
  const records = [
    listed('a', '2024-01-01T00:00:00Z', 'anna', 0),
    listed('b', '2024-01-02T00:00:00.000001Z', 'boris', 1),
    listed('c', '2024-01-02T00:00:00.000001Z', 'anna', 2),
    listed('d', '2024-01-03T00:00:00Z', 'boris', 3),
    listed('e', '2024-01-04T00:00:00Z', 'anna', 4),
  ]

  async function walk(catalog: ValueCatalog, query: PageQuery): Promise<string[][]> {
    const pages: string[][] = []
    for (let after = query.after; ; ) {
      const { values, next } = await catalog.page({ ...query, after })
      pages.push(values.map(({ key: uid }) => uid))
      if (next === undefined) return pages
      after = next
    }
  }

  it('goes on where the one before ended, also between orders of one instant, and says which is the last', async () => {
    const catalog = await stored(...records)
    expect(await walk(catalog, EVERY)).toEqual([['e', 'd', 'c', 'b', 'a']])
    expect(await walk(catalog, { ...EVERY, limit: 3 })).toEqual([
      ['e', 'd', 'c'],
      ['b', 'a'],
    ])
    expect(await walk(catalog, { ...EVERY, limit: 1 })).toEqual([['e'], ['d'], ['c'], ['b'], ['a']])
    expect(await walk(catalog, { ...EVERY, limit: 5 })).toHaveLength(1)
  })

  it('begins with its first date and ends before its last', async () => {
    const catalog = await stored(...records)
    const from = '2024-01-02T00:00:00.000001Z'
    expect(await walk(catalog, { ...EVERY, from })).toEqual([['e', 'd', 'c', 'b']])
    expect(await walk(catalog, { ...EVERY, to: from })).toEqual([['a']])
    expect(await walk(catalog, { ...EVERY, from, to: '2024-01-04T00:00:00Z', limit: 2 })).toEqual([['d', 'c'], ['b']])
  })

  it('is of one customer when that is asked', async () => {
    const catalog = await stored(...records)
    const query = { ...EVERY, by: { customer_id: 'anna' }, limit: 2 }
    expect(await walk(catalog, query)).toEqual([['e', 'c'], ['a']])
    expect(await walk(catalog, { ...query, from: '2024-01-02T00:00:00Z', to: '2024-01-04T00:00:00Z' })).toEqual([['c']])
    expect(await walk(catalog, { ...query, by: { customer_id: 'nobody' } })).toEqual([[]])
  })

  it('ends before its limit when its orders are large, and none is left out', async () => {
    const [item] = modelOrder.items
    const items = Array.from({ length: 4_500 }, () => item ?? fail())
    const large = Array.from({ length: 6 }, (_, index) => {
      const order = listed(`l${index}`, `2024-02-0${6 - index}T00:00:00Z`, 'anna', 5 + index)
      return { ...order, value: { ...order.value, items } }
    })
    const catalog = await stored(...records, ...large)
    const first = await catalog.page(EVERY)
    const bytes = first.values.reduce((sum, { json }) => sum + json.length, 0)
    expect(bytes).toBeGreaterThan(3 * 2 ** 20)
    expect(bytes).toBeLessThan(4 * 2 ** 20)
    const pages = await walk(catalog, EVERY)
    expect(pages.flat()).toEqual(['l0', 'l1', 'l2', 'l3', 'l4', 'l5', 'e', 'd', 'c', 'b', 'a'])
    expect(pages).toHaveLength(2)
    expect((await all(createValueReader(database.pool, orderQueries).newest(100))).map(({ key: uid }) => uid)).toEqual(
      pages.flat(),
    )
  })

  it('is found by an index, with customer and without', async () => {
    await stored(...records)
    for (const [by, index, other] of [
      [{}, 'orders_newest', 'orders_customer'],
      [{ customer_id: 'anna' }, 'orders_customer', 'orders_newest'],
    ] as const) {
      const { text, values } = orderQueries.page({ ...EVERY, by, after: ['2024-01-03T00:00:00Z', 'd'] })
      const client = await database.pool.connect()
      try {
        await client.query('BEGIN')
        // Which of both costs less depends on when the few rows were last analyzed.
        await client.query(`DROP INDEX ${other}`)
        await client.query(
          'SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off',
        )
        const { rows } = await client.query(`EXPLAIN ${text}`, [...values])
        expect(rows.map(row => row['QUERY PLAN']).join('\n')).toContain(index)
      } finally {
        await client.query('ROLLBACK')
        client.release()
      }
    }
  })
})

describe('what became of a published record', () => {
  it('is known once its own group has settled it: stored, overtaken by a newer one, or set aside', async () => {
    const { pool } = database
    await pool.query(
      'TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger, holdfast.dead_letters',
    )
    const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables })
    await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
    const uid = modelOrder.order_uid
    const record = (offset: bigint) => ready(modelOrder, offset)
    const outcomes = createRecordOutcomes(pool, orderQueries, 'holdfast')
    const outcomeAt = async (offset: bigint) => (await outcomes.outcomeOf(uid, record(offset).origin)).kind

    // A row from elsewhere that claims to be newer than all says nothing of a record that is not settled
    await store.startProgress('holdfast', { topic: 'orders', partition: 1, nextOffset: 0n })
    const ahead = { topic: 'orders', partition: 1, offset: 0n, timestampMs: 9e15 }
    await store.settle(
      aWork([{ ...record(0n), origin: ahead, record: { ...record(0n).record, ...ahead } }], { from: 0n, partition: 1 }),
    )
    expect(await outcomeAt(0n)).toBe('pending')
    // And it makes it stale
    await store.settle(aWork([record(0n)], { from: 0n }))
    expect(await outcomeAt(0n)).toBe('overtaken')

    await pool.query('TRUNCATE orders, deliveries, payments, items')
    await store.settle(aWork([record(1n)], { from: 1n }))
    expect(await outcomeAt(1n)).toBe('stored')
    expect(await outcomeAt(0n)).toBe('overtaken')
    const another = createRecordOutcomes(pool, orderQueries, 'another group')
    expect(await another.outcomeOf(uid, record(1n).origin)).toEqual({ kind: 'pending' })
    await store.settle(aWork([], { from: 2n, deadLetters: [aDeadLetter(2n)] }))
    expect(await outcomes.outcomeOf(uid, record(2n).origin)).toEqual({
      kind: 'dead_lettered',
      ...{ reason: 'malformed_json', error: 'not_json' },
    })
    expect(await outcomeAt(3n)).toBe('pending')
  })
})

describe('a reader whose store does not answer', () => {
  it('says that it is away when nobody listens there', async () => {
    const url = new URL(database.url)
    url.port = '1'
    await using pool = disposable(
      createPool({ url: url.href, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' }),
    )
    await expect(createValueReader(pool.value, orderQueries).read('a')).rejects.toThrow(StoreUnavailableError)
  })

  it('says that it is away when the answer takes too long', async () => {
    const slow = { ...orderQueries, one: { name: 'slow', text: 'SELECT pg_sleep(60), $1::text' } }
    await using pool = disposable(
      createPool({ url: database.url, schema: 'holdfast', max: 1, statementTimeoutMs: 50, name: 'test' }),
    )
    await expect(createValueReader(pool.value, slow).read('a')).rejects.toThrow(StoreUnavailableError)
  })

  it('names the missing table', async () => {
    const url = await freshDatabase()
    await using pool = disposable(
      createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' }),
    )
    const reading = createValueReader(pool.value, orderQueries).read('a')
    await expect(reading).rejects.toThrow(StoreMisconfiguredError)
    await expect(reading).rejects.toThrow(/relation "public\.orders" does not exist.*holdfast migrate up/)
  })
})

function fail(): never {
  throw new Error('the model order has no item')
}

function disposable<P extends { end(): Promise<void> }>(value: P): AsyncDisposable & { readonly value: P } {
  return { value, [Symbol.asyncDispose]: () => value.end() }
}
