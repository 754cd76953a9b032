import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { mergeLedger } from '#src/engine/postgres/ledger-merge.ts'
import { indexedLetters, prove, readProof } from '#src/engine/postgres/proof.ts'
import { leaveCheckpoint, readCheckpoint } from '#src/engine/postgres/proof-checkpoint.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { orderTables } from '../support/order-stream.ts'
import { aDeadLetter, aReadyOrder, aWork } from '../support/orders.ts'
import { provenOrders } from '../support/streams.ts'

const stream = provenOrders()

let database: MigratedDatabase
beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(() => database[Symbol.asyncDispose]())

/**
 * Before the checkpoint, hours ago: partition 0 has settled [0, 3) orders a to c, [3, 5) d and a dead letter, [5, 6) e; partition 1 [0, 1) f. After it:
 * partition 0 [6, 8) g and h, partition 1 [1, 2) a dead letter.
 */
beforeEach(async () => {
  await database.pool.query(
    'TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger, holdfast.value_count_changes, holdfast.dead_letters, holdfast.proof_checkpoints',
  )
  const store = storeOf()
  await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
  await store.startProgress('holdfast', { topic: 'orders', partition: 1, nextOffset: 0n })
  await store.settle(aWork(['a', 'b', 'c'].map(ordersFrom(0)), { from: 0n }))
  await store.settle(aWork(['d'].map(ordersFrom(3)), { from: 3n, deadLetters: [aDeadLetter(4n)] }))
  await store.settle(aWork(['e'].map(ordersFrom(5)), { from: 5n }))
  await store.settle(aWork(['f'].map(ordersFrom(0, 1)), { from: 0n, partition: 1 }))
  await query(`UPDATE orders SET stored_at = stored_at - interval '5 hours'`)
  await query(
    `UPDATE holdfast.dead_letters SET failed_at = failed_at - interval '5 hours', dlq_partition = 0, dlq_offset = 7`,
  )
  expect(await prove(database.pool, stream)).toMatchObject({ from: undefined, findings: [] })
  expect(await leave()).toBe(true)
  await store.settle(aWork(['g', 'h'].map(ordersFrom(6)), { from: 6n }))
  await store.settle(
    aWork([], {
      from: 1n,
      partition: 1,
      deadLetters: [aDeadLetter(1n, { record: anotherRecord(), origin: anotherRecord(), failedAtMs: Date.now() })],
    }),
  )
})

const storeOf = () => createStreamSettlement({ pool: database.pool, stream: 'orders', tables: orderTables })
const ordersFrom =
  (from: number, partition = 0) =>
  (uid: string, index: number) =>
    aReadyOrder({ uid, partition, offset: BigInt(from + index), items: 3 })
const anotherRecord = () => aReadyOrder({ uid: 'dead', partition: 1, offset: 1n }).record
const query = async (text: string) => (await database.pool.query(text)).rows
/** As `verify` does after a proof that succeeded. */
async function leave(): Promise<boolean> {
  return await leaveCheckpoint(database.pool, stream, await prove(database.pool, stream), {
    topicId: 't',
    ends: { 0: '9' },
  })
}
const said = async () => (await prove(database.pool, stream)).findings.map(({ what }) => what)
const deleted = (uid: string) =>
  ['orders', 'deliveries', 'payments', 'items'].map(table => `DELETE FROM ${table} WHERE order_uid = '${uid}'`)

describe('a proof that goes on from a checkpoint', () => {
  it('holds, gives the sums over everything, and leaves a checkpoint that knows when everything was read', async () => {
    const whole = await readProof(database.pool, stream)
    const proof = await prove(database.pool, stream)
    expect(proof.findings).toEqual([])
    expect(proof.from?.partitions).toMatchObject([
      { partition: 0, to_offset: '5', sums: { records: 5, offsets: 5, inserted: 4 } },
    ])
    expect([proof.partitions, proof.totals]).toEqual([whole.partitions, whole.totals])
    expect(await leave()).toBe(true)
    const next = await readCheckpoint(database.pool, stream)
    expect(next?.fullAt).toEqual(proof.from?.fullAt)
    expect(next?.provenAt.getTime()).toBeGreaterThan(proof.from?.provenAt.getTime() ?? Number.POSITIVE_INFINITY)
    expect(next?.partitions).toMatchObject([
      { partition: 0, to_offset: '6' },
      { partition: 1, to_offset: '1' },
    ])
  })

  it.each([
    [
      'a row of the ledger, before it',
      ['DELETE FROM holdfast.stream_ledger WHERE from_offset = 3'],
      'the ledger has a hole: [3, 5)',
    ],
    [
      'a row of the ledger, after it',
      ['DELETE FROM holdfast.stream_ledger WHERE partition = 0 AND from_offset = 5'],
      'the ledger has a hole: [5, 6)',
    ],
    [
      'a row of the ledger that was changed before it, so that all adds up',
      ['UPDATE holdfast.stream_ledger SET duplicate = 1, written = 2 WHERE from_offset = 0 AND partition = 0'],
      /the ledger below 5 is not what the proof of 20.* found: duplicate 1 instead of 0, written 3 instead of 4. If that was done on purpose, "holdfast verify --full"/,
    ],
    ['an order from before it', deleted('b'), /orders holds 7 rows, but the ledger counts 8 new keys: 1 are missing/],
    ['an order from after it', deleted('g'), /orders holds 7 rows, but the ledger counts 8 new keys: 1 are missing/],
    [
      'a delivery from before it',
      [`DELETE FROM deliveries WHERE order_uid = 'b'`],
      'value b of orders has no row in deliveries',
    ],
    [
      'a payment from after it',
      [`DELETE FROM payments WHERE order_uid = 'h'`],
      'value h of orders has no row in payments',
    ],
    ['items from after it', [`DELETE FROM items WHERE order_uid = 'h'`], 'value h of orders has no row in items'],
    [
      'a line between others, after it',
      [`DELETE FROM items WHERE order_uid = 'h' AND position = 1`],
      /the 2 rows of value h of orders in items are not numbered/,
    ],
    [
      'a position of a value from before it',
      [`UPDATE orders SET source_offset = 99 WHERE order_uid = 'a'`],
      /value a of orders comes from an offset that is not settled/,
    ],
    [
      'a dead letter from before it',
      [`DELETE FROM holdfast.dead_letters WHERE source_offset = 4`],
      /dead letters are in the ledger/,
    ],
    [
      'progress',
      ['UPDATE holdfast.stream_progress SET next_offset = 9 WHERE partition = 0'],
      'the ledger ends at 8, but progress is at 9',
    ],
  ])('finds damage to %s, and names it as a full proof does', async (_, damage, expected) => {
    for (const sql of damage) await query(sql)
    expect(await said()).toContainEqual(typeof expected === 'string' ? expected : expect.stringMatching(expected))
    const whole = (await readProof(database.pool, stream)).findings.map(({ what }) => what)
    expect(await said()).toEqual(expect.arrayContaining(whole))
  })

  it('does not read the items of values from before it again: a full proof finds what is amiss there', async () => {
    await query(`DELETE FROM items WHERE order_uid = 'b' AND position = 1`)
    expect(await said()).toEqual([])
    expect((await prove(database.pool, stream, { full: true })).findings).toHaveLength(1)
  })

  it('takes what expired for known, and does not read everything for it', async () => {
    await storeOf().expire('holdfast', { topic: 'orders', partition: 0 }, 8n, 12n)
    const proof = await prove(database.pool, stream)
    expect(proof).toMatchObject({ from: expect.anything(), findings: [{ partition: 0, offset: 8n }] })
  })

  it('reads everything where so much came since that this takes no longer', async () => {
    await query(
      `UPDATE holdfast.proof_checkpoints SET partitions = jsonb_set(partitions, '{0,sums,records}', '-2000000')`,
    )
    expect((await readCheckpoint(database.pool, stream))?.recordsSince).toBe(2_000_010)
    expect(await prove(database.pool, stream)).toMatchObject({ from: undefined, findings: [] })
  })

  it('reads everything where so much came in the hour before it, of which it would have to keep all keys in mind', async () => {
    const sums = 'records = 3000003, written = 3000003, to_offset = 3000003'
    const closed = { partition: 0, ledger_id: '1', to_offset: '3000003', sums: { records: 3_000_003 } }
    await query(`UPDATE holdfast.stream_ledger SET ${sums} WHERE partition = 0 AND from_offset = 0`)
    await query(`UPDATE holdfast.proof_checkpoints SET partitions = '${JSON.stringify([closed])}'`)
    expect((await readCheckpoint(database.pool, stream))?.recordsSince).toBe(3_000_010)
    expect(await prove(database.pool, stream)).toMatchObject({ from: undefined })
    await query(`UPDATE holdfast.stream_ledger SET settled_at = settled_at - interval '2 hours' WHERE from_offset = 0`)
    expect((await readCheckpoint(database.pool, stream))?.recordsSince).toBeLessThan(10)
  })

  it('begins anew where the clock of the database says that its checkpoint is still to come', async () => {
    await query(`UPDATE holdfast.proof_checkpoints SET proven_at = now() + interval '1 hour'`)
    expect(await prove(database.pool, stream)).toMatchObject({ from: undefined, findings: [] })
  })
})

describe('a checkpoint', () => {
  it('still holds once the ledger is merged on both sides of it', async () => {
    await storeOf().settle(aWork(['i'].map(ordersFrom(8)), { from: 8n }))
    await query(`UPDATE holdfast.stream_ledger SET settled_at = '2026-01-01T00:00:00Z'`)
    expect(await mergeLedger(database.pool, 'orders', { olderThanMs: 0, limit: 100 })).toBe(2)
    const proof = await prove(database.pool, stream)
    expect(proof).toMatchObject({ from: expect.anything(), findings: [] })
  })

  it('is not left where the ledger was merged across it meanwhile, nor by a proof that is older than the one that left it', async () => {
    await query(`DELETE FROM holdfast.proof_checkpoints`)
    const [older, proof] = [await prove(database.pool, stream), await prove(database.pool, stream)]
    expect(await leaveCheckpoint(database.pool, stream, proof, undefined)).toBe(true)
    expect(await leaveCheckpoint(database.pool, stream, older, undefined)).toBe(false)
    await query(`DELETE FROM holdfast.proof_checkpoints`)
    await storeOf().settle(aWork(['i'].map(ordersFrom(8)), { from: 8n }))
    await query(`UPDATE holdfast.stream_ledger SET settled_at = '2026-01-01T00:00:00Z'`)
    await mergeLedger(database.pool, 'orders', { olderThanMs: 0, limit: 100 })
    expect(await leaveCheckpoint(database.pool, stream, proof, undefined)).toBe(false)
    expect(await leave()).toBe(true)
  })

  it('leaves out dead letters that were found in their topic, and no others', async () => {
    const dlq = { topicId: 't', ends: { 0: '9', 1: '4' } }
    const since = (await readCheckpoint(database.pool, stream))?.since ?? ''
    const ids = async () =>
      (await Array.fromAsync(indexedLetters(database.pool, 'orders', { dlq, since }))).map(({ id }) => id)
    expect(await ids()).toEqual(['orders-1-1'])
    await query('UPDATE holdfast.dead_letters SET dlq_partition = 0, dlq_offset = 8')
    expect(await ids()).toEqual(['orders-1-1']) // of late, so that the proof may not have seen it
    for (const [partition, offset] of [
      [0, 9],
      [2, 0],
      ['NULL', 'NULL'],
    ]) {
      await query(`UPDATE holdfast.dead_letters SET dlq_partition = ${partition}, dlq_offset = ${offset}`)
      expect(await ids()).toEqual(['orders-0-4', 'orders-1-1'])
    }
  })
})
