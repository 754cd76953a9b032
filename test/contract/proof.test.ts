import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Finding, indexedLetters, readProof } from '#src/engine/postgres/proof.ts'
import { setBack, valuesBeyondProgress } from '#src/engine/postgres/proof-repair.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { orderTables } from '../support/order-stream.ts'
import { aDeadLetter, aReadyOrder, aWork } from '../support/orders.ts'
import { provenOrders } from '../support/streams.ts'

let database: MigratedDatabase
beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})

/** Partition 0: [3, 6) orders, [6, 8) one order, one dead letter, [8, 12) gaps. Partition 1: an update, then nothing. */
beforeEach(async () => {
  await database.pool.query(
    'TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger, holdfast.value_count_changes, holdfast.dead_letters',
  )
  const store = createStreamSettlement({ pool: database.pool, stream: 'orders', tables: orderTables })
  await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 3n })
  await store.startProgress('holdfast', { topic: 'orders', partition: 1, nextOffset: 0n })
  await store.startProgress('holdfast', { topic: 'orders', partition: 2, nextOffset: 5n })
  const uids = ['a', 'b', 'c']
  await store.settle(
    aWork(
      uids.map((uid, index) => aReadyOrder({ uid, offset: BigInt(3 + index), items: 3 })),
      { from: 3n },
    ),
  )
  await store.settle(aWork([aReadyOrder({ uid: 'd', offset: 6n })], { from: 6n, deadLetters: [aDeadLetter(7n)] }))
  await store.settle(aWork([], { from: 8n, to: 12n }))
  await store.settle(
    aWork([aReadyOrder({ uid: 'a', partition: 1, timestampMs: 2e12, items: 2 })], { from: 0n, partition: 1 }),
  )
})

async function findings(...damage: string[]): Promise<readonly Finding[]> {
  for (const sql of damage) await database.pool.query(sql)
  return (await readProof(database.pool, provenOrders())).findings
}

describe('the proof of what the tables say', () => {
  it('holds, and adds up what became of each offset', async () => {
    const proof = await readProof(database.pool, provenOrders())
    expect(proof.findings).toEqual([])
    expect(proof.partitions).toMatchObject([
      { partition: 0, firstOffset: 3n, nextOffset: 12n, records: 5, written: 4, dead_lettered: 1, gaps: 4 },
      { partition: 1, firstOffset: 0n, nextOffset: 1n, records: 1, written: 1 },
      { partition: 2, firstOffset: 5n, nextOffset: 5n, records: 0 },
    ])
    expect(proof.totals).toEqual({
      records: 6,
      written: 5,
      duplicate: 0,
      stale: 0,
      superseded: 0,
      dead_lettered: 1,
      gaps: 4,
      expired: 0,
      skipped: 0,
      inserted: 4,
    })
    expect(proof.rows).toEqual({ tables: { orders: 4, items: 9 }, deadLetters: 1 })
  })

  it.each([
    ['orders', 'holdfst', 'is the group holdfast meant?'],
    ['order', 'holdfast', 'is the topic orders meant?'],
  ])('finds that the topic %s has no progress of the group %s, and names which has', async (topic, group, hint) => {
    const proof = await readProof(database.pool, provenOrders(topic, group))
    expect(proof.partitions).toEqual([])
    expect(proof.findings).toEqual([
      {
        partition: undefined,
        offset: undefined,
        what: `the group ${group} has no progress in the topic ${topic}, so nothing is proven; progress is there for group holdfast in topic orders (3 partitions); ${hint}`,
      },
    ])
  })

  it('does not name the progress of another stream', async () => {
    const found = await findings(`UPDATE holdfast.stream_progress SET stream = 'returns', topic = 'returns'`)
    expect(found.map(({ what }) => what).join()).toMatch(
      /no group of the stream orders has any: nothing was consumed yet/,
    )
  })

  it('finds that no group has any progress', async () => {
    const found = await findings('TRUNCATE holdfast.stream_progress, holdfast.stream_ledger')
    const what = expect.stringMatching(
      /no group of the stream orders has any: nothing was consumed yet, or DATABASE_URL names another database/,
    )
    expect(found).toContainEqual({ partition: undefined, offset: undefined, what })
  })

  it.each([
    {
      what: 'a range that is missing',
      damage: ['DELETE FROM holdfast.stream_ledger WHERE from_offset = 6'],
      expected: { partition: 0, offset: 8n, what: 'the ledger has a hole: [6, 8)' },
    },
    {
      what: 'the first range missing',
      damage: ['DELETE FROM holdfast.stream_ledger WHERE from_offset = 3'],
      expected: { partition: 0, offset: 6n, what: 'the ledger has a hole: [3, 6)' },
    },
    {
      what: 'the last range missing',
      damage: ['DELETE FROM holdfast.stream_ledger WHERE from_offset = 8'],
      expected: { partition: 0, offset: 8n, what: 'the ledger ends at 8, but progress is at 12' },
    },
    {
      what: 'every range missing',
      damage: ['DELETE FROM holdfast.stream_ledger WHERE partition = 1'],
      expected: { partition: 1, offset: 0n, what: 'the ledger ends at 0, but progress is at 1' },
    },
    {
      what: 'progress moved by hand',
      damage: ['UPDATE holdfast.stream_progress SET next_offset = 99 WHERE partition = 2'],
      expected: { partition: 2, offset: 5n, what: 'the ledger ends at 5, but progress is at 99' },
    },
    {
      what: 'progress removed',
      damage: ['DELETE FROM holdfast.stream_progress WHERE partition = 1'],
      expected: { partition: 1, offset: 0n, what: 'the ledger has 1 rows of a partition that has no progress' },
    },
    {
      what: 'ranges that overlap',
      damage: ['UPDATE holdfast.stream_ledger SET to_offset = 7, gaps = gaps + 1 WHERE from_offset = 3'],
      expected: { partition: 0, offset: 6n, what: 'the ledger overlaps: [6, 7)' },
    },
    {
      what: 'a range that does not add up',
      damage: ['UPDATE holdfast.stream_ledger SET gaps = gaps - 1 WHERE from_offset = 8'],
      expected: { partition: 0, offset: 8n, what: '4 offsets are said to hold 3 (records, gaps, expired, skipped)' },
    },
    {
      what: 'a record without an end',
      damage: ['UPDATE holdfast.stream_ledger SET written = 2 WHERE from_offset = 3'],
      expected: { partition: 0, offset: 3n, what: '3 records are said to have ended in 2 ways' },
    },
    {
      what: 'an order from an offset that is not settled',
      damage: ["UPDATE orders SET source_offset = 12 WHERE order_uid = 'b'"],
      expected: {
        partition: 0,
        offset: 12n,
        what: 'value b of orders comes from an offset that is not settled (progress: 12)',
      },
    },
    {
      what: 'an order from a partition that was never consumed',
      damage: ["UPDATE orders SET source_partition = 9 WHERE order_uid = 'b'"],
      expected: {
        partition: 9,
        offset: 4n,
        what: 'value b of orders comes from an offset that is not settled (progress: none)',
      },
    },
    {
      what: 'a dead letter missing from the index',
      damage: ['DELETE FROM holdfast.dead_letters'],
      expected: { partition: 0, offset: 6n, what: '1 dead letters are in the ledger, 0 in the index' },
    },
    {
      what: 'a dead letter that the ledger does not know',
      damage: ['UPDATE holdfast.dead_letters SET failures = 2'],
      expected: {
        partition: undefined,
        offset: undefined,
        what: '1 dead letters are in the ledger, 2 in the index, in all of orders',
      },
    },
    {
      what: 'all four tables emptied, and the ledger kept',
      damage: ['TRUNCATE orders, deliveries, payments, items'],
      expected: {
        partition: undefined,
        offset: undefined,
        what: 'orders holds 0 rows, but the ledger counts 4 new keys: 4 are missing',
      },
    },
    {
      what: 'an order that was deleted from all four tables',
      damage: ['orders', 'deliveries', 'payments', 'items'].map(table => `DELETE FROM ${table} WHERE order_uid = 'c'`),
      expected: {
        partition: undefined,
        offset: undefined,
        what: 'orders holds 3 rows, but the ledger counts 4 new keys: 1 are missing',
      },
    },
    {
      what: 'an order that no batch inserted',
      damage: [
        `INSERT INTO orders SELECT (jsonb_populate_record(o, '{"order_uid": "x"}')).* FROM orders AS o WHERE order_uid = 'c'`,
      ],
      expected: {
        partition: undefined,
        offset: undefined,
        what: 'orders holds 5 rows, but the ledger counts 4 new keys: 1 came from elsewhere',
      },
    },
    ...['deliveries', 'payments', 'items'].map(table => ({
      what: `an order without ${table}`,
      damage: [`DELETE FROM ${table} WHERE order_uid = 'b'`],
      expected: { partition: 0, offset: 4n, what: `value b of orders has no row in ${table}` },
    })),
    ...['deliveries', 'payments', 'items'].map(table => ({
      what: `${table} without an order`,
      damage: [`UPDATE ${table} SET order_uid = 'x' WHERE order_uid = 'd'`],
      expected: { partition: undefined, offset: undefined, what: `${table} holds a row for x, which is not in orders` },
    })),
    {
      what: 'a line missing between others',
      damage: ["DELETE FROM items WHERE order_uid = 'b' AND position = 1"],
      expected: {
        partition: undefined,
        offset: undefined,
        what: 'the 2 rows of value b of orders in items are not numbered from 0 on',
      },
    },
  ])('finds $what', async ({ damage, expected }) => {
    expect(await findings(...damage)).toContainEqual(expected)
  })

  it('fails for what retention removed unread, and only lists what an operator passed over', async () => {
    const store = createStreamSettlement({ pool: database.pool, stream: 'orders', tables: orderTables })
    await store.expire('holdfast', { topic: 'orders', partition: 2 }, 5n, 9n)
    await database.pool.query('UPDATE holdfast.stream_ledger SET gaps = 0, skipped = 4 WHERE from_offset = 8')
    const proof = await readProof(database.pool, provenOrders())
    expect(proof.expired).toEqual([{ partition: 2, from: 5n, to: 9n }])
    expect(proof.skipped).toEqual([{ partition: 0, from: 8n, to: 12n }])
    expect(proof.findings).toEqual([
      { partition: 2, offset: 5n, what: '4 offsets in [5, 9) were removed by retention before they were read' },
    ])
  })

  it('accepts a removal that was noted, and any number of new keys that an earlier version did not count', async () => {
    const removal = `WITH gone AS (DELETE FROM orders WHERE order_uid = 'c' RETURNING order_uid)
      INSERT INTO holdfast.value_count_changes (values, key, because) SELECT -1, order_uid, 'erasure' FROM gone`
    const children = ['deliveries', 'payments', 'items'].map(table => `DELETE FROM ${table} WHERE order_uid = 'c'`)
    expect(await findings(removal, ...children)).toEqual([])
    const uncounted = 'UPDATE holdfast.stream_ledger SET inserted = NULL WHERE from_offset = 6'
    expect(await findings(uncounted)).toEqual([])
    expect(await findings('TRUNCATE orders, deliveries, payments, items')).toHaveLength(1)
  })

  it('sets back exactly the orders that point beyond progress, so that genuine versions replace them again', async () => {
    const { pool } = database
    // Given one forged far position, one on a partition that nobody consumes, and the rest as it was
    await pool.query("UPDATE orders SET source_offset = 99, source_timestamp = 9e12 WHERE order_uid = 'b'")
    await pool.query("UPDATE orders SET source_partition = 9 WHERE order_uid = 'c'")
    const untouched = await pool.query("SELECT * FROM orders WHERE order_uid NOT IN ('b', 'c') ORDER BY order_uid")
    const beyond = await valuesBeyondProgress(pool, provenOrders())
    expect(beyond).toEqual([
      { key: 'b', partition: 0, offset: 99n, progress: 12n },
      { key: 'c', partition: 9, offset: 5n, progress: undefined },
    ])

    // When both are listed, and one of them has a genuine position again before it is repaired
    await pool.query("UPDATE orders SET source_partition = 0 WHERE order_uid = 'c'")
    expect(await setBack(pool, provenOrders(), beyond, { who: 'tester', because: 'a test' })).toBe(1)

    // Then the other alone has changed, it is in the audit log, and the proof holds
    expect(await valuesBeyondProgress(pool, provenOrders())).toEqual([])
    expect(await findings()).toEqual([])
    const { rows } = await pool.query(
      'SELECT who, what, filter, because, counts FROM holdfast.audit_log ORDER BY id DESC LIMIT 1',
    )
    expect(rows).toEqual([
      {
        who: 'tester',
        what: 'verify_repair',
        filter: 'topic:orders',
        because: 'a test',
        counts: { values: 1, from: [{ key: 'b', at: '0-99' }] },
      },
    ])
    const after = await pool.query("SELECT * FROM orders WHERE order_uid NOT IN ('b', 'c') ORDER BY order_uid")
    expect(after.rows).toEqual(untouched.rows)

    // And the next version is taken, on the same partition or another, also one that is read again
    const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables })
    const again = await store.settle(aWork([aReadyOrder({ uid: 'b', offset: 12n })], { from: 12n }))
    expect(again).toMatchObject({ counts: { written: 1, stale: 0 } })
    expect(await findings()).toEqual([])
  })

  it('names some of many, and says that there are more', async () => {
    const found = await findings(
      `INSERT INTO deliveries SELECT 'x' || n, '', '', '', '', '', '', '' FROM generate_series(1, 50) AS n`,
    )
    expect(found).toHaveLength(21)
    expect(found.at(-1)?.what).toMatch(/^and more of the same/)
  })

  it('lists the dead letters of the topic, for comparison with the DLQ topic', async () => {
    const letters = await Array.fromAsync(indexedLetters(database.pool, 'orders'))
    expect(letters).toEqual([{ id: 'orders-0-7', partition: 0, offset: 7n, dlq: undefined }])
    await database.pool.query('UPDATE holdfast.dead_letters SET dlq_partition = 3, dlq_offset = 9')
    const [placed] = await Array.fromAsync(indexedLetters(database.pool, 'orders'))
    expect(placed?.dlq).toEqual({ partition: 3, offset: 9n })
  })
})
