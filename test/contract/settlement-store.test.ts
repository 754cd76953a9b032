import { afterAll, beforeAll, describe } from 'vitest'
import { RecordRefusedError } from '#src/engine/errors.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { createMemoryStore } from '../support/memory-store.ts'
import type { Order } from '../support/order.ts'
import { orderTables } from '../support/order-stream.ts'
import { type Harness, settlementStoreSuite } from './settlement-store.suite.ts'

describe('the settlement store in memory', () => {
  settlementStoreSuite(async () => {
    const memory = createMemoryStore<Order>({
      refuse: ({ value }) =>
        value.payment.amount === 666 ? new RecordRefusedError('refused', { sqlState: '23514' }) : undefined,
    })
    return {
      store: memory,
      order: async uid => {
        const row = memory.rows.get(uid)
        if (row === undefined) return undefined
        const { items, payment } = row.value
        return { origin: row.origin, items: items.map(item => item.chrt_id), amount: payment.amount }
      },
      ledger: async partition =>
        memory.ledger
          .filter(row => row.partition === partition)
          .map(row => ({
            ...row,
            gaps: Number(row.gaps),
            expired: Number(row.expired),
            skipped: Number(row.skipped ?? 0),
          })),
      deadLetters: async () =>
        new Map([...memory.deadLetters].map(([id, { rejection }]) => [id, { reason: rejection.reason }])),
    }
  })
})

describe.each([
  ['the upsert', Number.POSITIVE_INFINITY],
  ['COPY', 1],
])('the settlement store on Postgres, by %s', (_, copyFrom) => {
  let database: MigratedDatabase
  beforeAll(async () => {
    database = await migratedDatabase()
    await database.pool.query('ALTER TABLE payments ADD CONSTRAINT test_only CHECK (amount <> 666)')
  })
  afterAll(async () => {
    await database[Symbol.asyncDispose]()
  })

  settlementStoreSuite(async (): Promise<Harness> => {
    const { pool } = database
    await pool.query(
      'TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger, holdfast.dead_letters',
    )
    return {
      store: createStreamSettlement({ pool, stream: 'orders', tables: orderTables, copyFrom }),
      order: async uid => {
        const { rows } = await pool.query(
          `SELECT source_topic, source_partition, source_offset, source_timestamp, amount,
            array(SELECT chrt_id::integer FROM items WHERE items.order_uid = $1 ORDER BY position) AS items
           FROM orders JOIN payments USING (order_uid) JOIN deliveries USING (order_uid) WHERE order_uid = $1`,
          [uid],
        )
        const row = rows[0]
        if (row === undefined) return undefined
        return {
          origin: {
            topic: row.source_topic,
            partition: row.source_partition,
            offset: BigInt(row.source_offset),
            timestampMs: Number(row.source_timestamp),
          },
          items: row.items,
          amount: Number(row.amount),
        }
      },
      ledger: async partition => {
        const { rows } = await pool.query(
          'SELECT * FROM holdfast.stream_ledger WHERE partition = $1 ORDER BY from_offset',
          [partition],
        )
        return rows.map(row => ({
          from: BigInt(row.from_offset),
          to: BigInt(row.to_offset),
          records: Number(row.records),
          written: Number(row.written),
          gaps: Number(row.gaps),
          expired: Number(row.expired),
          skipped: Number(row.skipped),
          inserted: Number(row.inserted),
        }))
      },
      deadLetters: async () => {
        const { rows } = await pool.query('SELECT id, reason FROM holdfast.dead_letters ORDER BY id')
        return new Map(rows.map(row => [row.id, { reason: row.reason }]))
      },
    }
  })
})
