import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { OwnershipLostError, StoreUnavailableError } from '#src/engine/errors.ts'
import { movePartition } from '#src/engine/postgres/moves.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import { readProof } from '#src/engine/postgres/proof.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { wireToPostgres } from '../support/faults/wire-to-postgres.ts'
import { orderTables } from '../support/order-stream.ts'
import { aDeadLetter, aReadyOrder, aWork } from '../support/orders.ts'
import { provenOrders } from '../support/streams.ts'

/** A batch of few records extends the row of the ledger before it. */

const PLACE = { topic: 'orders', partition: 0 }

let database: MigratedDatabase
beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(() => database[Symbol.asyncDispose]())
beforeEach(async () => {
  await database.pool.query(
    'TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger, holdfast.value_count_changes, holdfast.dead_letters',
  )
  await storeOn().startProgress('holdfast', { ...PLACE, nextOffset: 0n })
})

function storeOn(pool = database.pool) {
  return createStreamSettlement({ pool, stream: 'orders', tables: orderTables, ownRowFrom: 3 })
}

/** A batch of so many orders, from `from` on. */
function batch(from: number, count = 1, uid = 'order') {
  const orders = Array.from({ length: count }, (_, i) =>
    aReadyOrder({ uid: `${uid}-${from + i}`, offset: BigInt(from + i) }),
  )
  return aWork(orders, { from: BigInt(from) })
}

const query = async (text: string) => (await database.pool.query(text)).rows
const ranges = async () =>
  (await query('SELECT from_offset, to_offset FROM holdfast.stream_ledger ORDER BY id')).map(row => [
    Number(row.from_offset),
    Number(row.to_offset),
  ])
const findings = async () => (await readProof(database.pool, provenOrders())).findings
/** Time passes: what is stored was stored so much earlier. */
const passes = (time: string) =>
  query(
    `UPDATE holdfast.stream_ledger SET settled_at = settled_at - interval '${time}', since = since - interval '${time}'`,
  )

describe('a batch of few records', () => {
  it('extends the row before it, and every count with it', async () => {
    const store = storeOn()
    await store.settle(batch(0))
    await store.settle(batch(1, 2))
    await store.settle(aWork([], { from: 3n, deadLetters: [aDeadLetter(3n)] }))
    await store.settle(aWork([], { from: 4n, to: 9n }))
    await store.settle(aWork([aReadyOrder({ uid: 'order-0', offset: 9n })], { from: 9n }))
    const [row, ...others] = await query('SELECT * FROM holdfast.stream_ledger')
    expect(others).toEqual([])
    const counts = { records: '5', written: '4', dead_lettered: '1', gaps: '5', inserted: '3', duplicate: '0' }
    expect(row).toMatchObject({ from_offset: '0', to_offset: '10', stream: 'orders', ...counts })
    expect(row.since < row.settled_at).toBe(true)
    expect(await findings()).toEqual([])
  })

  it('has a row of its own behind a full batch of another hour, and a full batch has one in any case', async () => {
    const store = storeOn()
    await store.settle(batch(0))
    await store.settle(batch(1, 3))
    await store.settle(batch(4))
    await passes('50 minutes')
    await store.settle(batch(5))
    await passes('15 minutes')
    await store.settle(batch(6))
    expect(await ranges()).toEqual([
      [0, 1],
      [1, 6],
      [6, 7],
    ])
    expect(await findings()).toEqual([])
  })

  it('never extends what an operator skipped, or retention took', async () => {
    const store = storeOn()
    await store.settle(batch(0))
    await store.expire('holdfast', PLACE, 1n, 4n)
    await store.settle(batch(4))
    const seek = { stream: 'orders', ...PLACE, groupId: 'holdfast' }
    await movePartition(database.pool, { ...seek, to: 1n }, { who: 'ada', because: 'a test' })
    await store.settle(batch(1))
    expect(await ranges()).toEqual([
      [0, 1],
      [1, 4],
      [4, 5],
      [5, 1],
      [1, 2],
    ])
    expect((await findings()).map(({ what }) => what)).toEqual([
      '3 offsets in [1, 4) were removed by retention before they were read',
    ])
  })

  it('does not extend a row that does not end where it begins: the hole stays one', async () => {
    const store = storeOn()
    await store.settle(batch(0, 2))
    await query('UPDATE holdfast.stream_ledger SET to_offset = 1')
    await store.settle(batch(2))
    expect(await ranges()).toEqual([
      [0, 1],
      [2, 3],
    ])
  })

  it('does not extend the row of another partition or group', async () => {
    const store = storeOn()
    await store.settle(batch(0))
    await store.startProgress('others', { ...PLACE, nextOffset: 1n })
    await store.settle({ ...batch(1), groupId: 'others' })
    await store.startProgress('holdfast', { topic: 'orders', partition: 1, nextOffset: 1n })
    await store.settle(aWork([], { from: 1n, to: 2n, partition: 1 }))
    expect(await ranges()).toHaveLength(3)
    // And each extends its own, also behind the rows of the others
    await store.settle(batch(1))
    await store.settle({ ...batch(2), groupId: 'others' })
    expect(await ranges()).toEqual([
      [0, 2],
      [1, 3],
      [1, 2],
    ])
  })
})

describe('the reply to a COMMIT that is lost', () => {
  it('is made up for by the counts of that very batch, not by those of its row', async () => {
    const wire = await wireToPostgres(database.url)
    const throughWire = createPool({
      url: wire.url,
      schema: 'holdfast',
      max: 1,
      statementTimeoutMs: 10_000,
      name: 'test',
    })
    await storeOn().settle(batch(0, 2))
    const store = storeOn(throughWire)
    const work = aWork([aReadyOrder({ uid: 'late', offset: 2n })], { from: 2n, deadLetters: [aDeadLetter(3n)] })
    wire.set({ kind: 'lose-reply', request: 'COMMIT', reply: 'COMMIT' })
    await expect(store.settle(work)).rejects.toThrow(StoreUnavailableError)
    wire.set({ kind: 'pass' })
    expect(await store.settle(work)).toEqual({
      kind: 'settled',
      counts: { written: 1, duplicate: 0, stale: 0, superseded: 0, dead_lettered: 1 },
      written: undefined,
    })
    expect(await ranges()).toEqual([[0, 4]])
    await throughWire.end()
  })

  it('is not mixed up with another consumer, whose batches make up a row of the same range', async () => {
    const store = storeOn()
    await store.settle(batch(0))
    await store.settle(batch(1))
    // A zombie has both records in hand as one batch, and another one the second record alone.
    await expect(store.settle(batch(0, 2))).rejects.toThrow(OwnershipLostError)
    await expect(store.settle(batch(0))).rejects.toThrow(OwnershipLostError)
    expect(await store.settle(batch(1))).toMatchObject({ written: undefined, counts: { written: 1 } })
    await store.settle(batch(2, 3))
    expect(await store.settle(batch(2, 3))).toMatchObject({ written: undefined, counts: { written: 3 } })
    await expect(store.settle(batch(1))).rejects.toThrow(OwnershipLostError)
    expect(await findings()).toEqual([])
  })
})

it('a consumer that waits for the fence of a lone record extends nothing once it is closed', async () => {
  const [one, other] = [storeOn(), storeOn()]
  await one.settle(batch(0))
  const ends = await Promise.allSettled([one.settle(batch(1)), other.settle(batch(1, 2))])
  expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  expect(await findings()).toEqual([])
})
