import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeColumn } from '#src/engine/postgres/binary.ts'
import { compareOrigins, type Origin } from '#src/engine/record.ts'
import type { Statement, Tables } from '#src/engine/value-sql.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { type MigratedDatabase, migratedDatabase, someoneWaitsForALock } from '../support/database.ts'
import type { Order } from '../support/order.ts'
import { ordersIn, orderTables } from '../support/order-stream.ts'
import { aReadyOrder, aWork } from '../support/orders.ts'

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

const groupId = 'holdfast'

async function storeAtZero(tables: Tables<Order> = orderTables) {
  const store = createStreamSettlement({ pool: database.pool, stream: 'orders', tables })
  for (const partition of [0, 1]) await store.startProgress(groupId, { topic: 'orders', partition, nextOffset: 0n })
  return store
}

async function upsertAlone(records: readonly ReadyRecord<Order>[]) {
  const { rows } = await database.pool.query(toQuery(orderTables.upsert(records)))
  return new Map(rows.map(row => [row.key, { outcome: row.outcome, replaced: row.replaced }]))
}

function toQuery({ text, columns }: Statement) {
  return { text, values: columns.map(encodeColumn) }
}

async function positionsOf(uid: string): Promise<number[]> {
  const { rows } = await database.pool.query('SELECT position FROM items WHERE order_uid = $1 ORDER BY 1', [uid])
  return rows.map(row => row.position)
}

describe('the stale guard in SQL', () => {
  it('decides as compareOrigins does, wherever the two records stood', async () => {
    const places: Origin[] = []
    for (const topic of ['orders', 'orders-2']) {
      for (const partition of [0, 1]) {
        for (const offset of [1n, 2n]) {
          for (const timestampMs of [-1, 1000, 1001]) places.push({ topic, partition, offset, timestampMs })
        }
      }
    }
    const pairs = places.flatMap(stored => places.map(arriving => ({ stored, arriving })))
    const withUid = (side: 'stored' | 'arriving') =>
      pairs.map((pair, index) => aReadyOrder({ uid: uidOf(index), origin: pair[side] }))

    await upsertAlone(withUid('stored'))
    const answers = await upsertAlone(withUid('arriving'))

    const expected = { newer: 'written', same: 'duplicate', older: 'stale' }
    const wrong = pairs.filter(
      ({ stored, arriving }, index) =>
        answers.get(uidOf(index))?.outcome !== expected[compareOrigins(arriving, stored)],
    )
    expect(wrong).toEqual([])
    expect(pairs.length).toBe(24 * 24)
  })

  const uidOf = (index: number) => `order-${String(index).padStart(4, '0')}`
})

describe('one upsert', () => {
  it('tells for each record whether it was inserted or replaced an earlier version', async () => {
    await upsertAlone([aReadyOrder({ uid: 'b', offset: 1n })])
    const answers = await upsertAlone([aReadyOrder({ uid: 'a', offset: 2n }), aReadyOrder({ uid: 'b', offset: 3n })])
    expect(answers.get('a')).toEqual({ outcome: 'written', replaced: false })
    expect(answers.get('b')).toEqual({ outcome: 'written', replaced: true })
    // Again and again: each version must be told from an insert, also within a microsecond of the last.
    for (const offset of [4n, 5n, 6n]) {
      expect((await upsertAlone([aReadyOrder({ uid: 'b', offset })])).get('b')).toMatchObject({ replaced: true })
    }
  })

  it('leaves deliveries, payments and items alone when the order is stale', async () => {
    await upsertAlone([aReadyOrder({ uid: 'a', offset: 9n, amount: 9, items: 2 })])
    await upsertAlone([aReadyOrder({ uid: 'a', offset: 1n, amount: 1, items: 3 })])
    const { rows } = await database.pool.query('SELECT amount FROM payments')
    expect(rows).toEqual([{ amount: '9' }])
    expect(await positionsOf('a')).toEqual([0, 1])
  })
})

describe('tables that are partitioned by order_uid', () => {
  it('take the same statements', async () => {
    const client = await database.pool.connect()
    try {
      await client.query('CREATE SCHEMA partitioned')
      for (const table of ['orders', 'deliveries', 'payments', 'items']) {
        await client.query(`CREATE TABLE partitioned.${table} (LIKE public.${table} INCLUDING INDEXES)
          PARTITION BY HASH (order_uid)`)
        for (const remainder of [0, 1]) {
          await client.query(`CREATE TABLE partitioned.${table}_${remainder} PARTITION OF partitioned.${table}
            FOR VALUES WITH (MODULUS 2, REMAINDER ${remainder})`)
        }
      }
      const { tables } = ordersIn('partitioned')
      const versions = [0n, 1n, 1n].map(offset =>
        ['a', 'b', 'c', 'd'].map(uid => aReadyOrder({ uid, offset, items: 2 })),
      )
      const answers = []
      for (const records of versions) {
        const { rows } = await client.query(toQuery(tables.upsert(records)))
        answers.push(new Set(rows.map(row => `${row.outcome} ${row.replaced}`)))
      }
      expect(answers).toEqual([new Set(['written false']), new Set(['written true']), new Set(['duplicate false'])])
    } finally {
      client.release(true)
    }
  })
})

describe('an order that two partitions bring at the same moment', () => {
  const longer = aReadyOrder({ uid: 'a', partition: 0, offset: 0n, timestampMs: 1000, items: 5 })
  const newer = aReadyOrder({ uid: 'a', partition: 1, offset: 0n, timestampMs: 2000, items: 2 })

  /** `longer` is written and not committed yet; `newer` waits for its row; then the first one commits. */
  async function race(tables: Tables<Order>): Promise<void> {
    const store = await storeAtZero(tables)
    const first = await database.pool.connect()
    try {
      await first.query('BEGIN')
      await first.query(toQuery(orderTables.upsert([longer])))
      const second = store.settle(aWork([newer], { from: 0n, partition: 1 }))
      await someoneWaitsForALock(database.pool)
      await first.query('COMMIT')
      expect(await second).toMatchObject({ kind: 'settled', counts: { written: 1 } })
    } finally {
      first.release()
    }
  }

  it('keeps no item of the longer version, which the later writer could not see when it began', async () => {
    await race(orderTables)
    expect(await positionsOf('a')).toEqual([0, 1])
  })

  it('would keep them if the upsert trimmed in the same statement: its snapshot is too old', async () => {
    const inOne: Tables<Order> = {
      ...orderTables,
      upsert(records) {
        const statement = orderTables.upsert(records)
        const trimming = `WITH trimmed AS (DELETE FROM items WHERE order_uid = 'a' AND position >= 2), written AS`
        return { ...statement, name: 'trims_at_once', text: statement.text.replace('WITH written AS', trimming) }
      },
      trim: () => ({ name: 'trims_nothing', text: 'SELECT 1', columns: [] }),
    }
    await race(inOne)
    expect(await positionsOf('a')).toEqual([0, 1, 2, 3, 4])
  })

  it('ends as its newest version, without leftovers or deadlock, batch after batch', async () => {
    const store = await storeAtZero()
    const uids = Array.from({ length: 20 }, (_, index) => `order-${index + 10}`)
    const rounds = 15
    /** Timestamps interleave, so that now the one, now the other partition has the newer version. */
    const lane = async (partition: number) => {
      for (let round = 0; round < rounds; round++) {
        const records = uids.map((uid, index) => {
          const offset = BigInt(round * uids.length + index)
          const timestampMs = 1000 + 2 * round + ((round + index + partition) % 2)
          return aReadyOrder({ uid, partition, offset, timestampMs, items: 1 + ((round * 7 + index + partition) % 6) })
        })
        await store.settle(aWork(records, { from: BigInt(round * uids.length), partition }))
      }
    }
    await Promise.all([lane(0), lane(1)])

    const { rows } = await database.pool.query(
      `SELECT order_uid, source_partition, source_offset, source_timestamp, count(*) AS items, max(position) AS last
       FROM orders JOIN items USING (order_uid) GROUP BY order_uid`,
    )
    expect(rows).toHaveLength(uids.length)
    const lastRound = rounds - 1
    for (const row of rows) {
      const index = uids.indexOf(row.order_uid)
      expect(Number(row.source_timestamp)).toBe(1000 + 2 * lastRound + 1)
      expect(Number(row.items)).toBe(1 + ((lastRound * 7 + index + row.source_partition) % 6))
      expect(row.last).toBe(Number(row.items) - 1)
    }
  })
})
