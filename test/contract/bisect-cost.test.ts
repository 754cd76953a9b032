import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { createRandom } from '#src/engine/values/random.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import type { Order } from '../support/order.ts'
import { orderTables } from '../support/order-stream.ts'
import { aReadyOrder, aWork } from '../support/orders.ts'

const SIZE = 1_000
/** What the database of this test refuses, and with which SQLSTATE. The schema of an order allows all of it. */
const POISONS: readonly { readonly sqlState: string; readonly spoil: (order: Order) => Order }[] = [
  { sqlState: '23514', spoil: order => ({ ...order, payment: { ...order.payment, amount: 666 } }) },
  { sqlState: '22003', spoil: order => ({ ...order, items: order.items.map(item => ({ ...item, sale: 32_768 })) }) },
  { sqlState: '22P02', spoil: order => ({ ...order, delivery: { ...order.delivery, name: 'refused by a trigger' } }) },
]

let database: MigratedDatabase

beforeAll(async () => {
  database = await migratedDatabase()
  await database.pool.query(`
    ALTER TABLE payments ADD CONSTRAINT only_in_this_test CHECK (amount <> 666);
    ALTER TABLE items ALTER COLUMN sale TYPE smallint;
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '22P02'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON deliveries FOR EACH ROW
      WHEN (NEW.name = 'refused by a trigger') EXECUTE FUNCTION refuse();
    -- A sequence counts on when its transaction is rolled back.
    CREATE SEQUENCE attempts;
    CREATE FUNCTION count_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN PERFORM nextval('attempts'); RETURN NULL; END $$;
    CREATE TRIGGER count_attempt BEFORE INSERT ON orders FOR EACH STATEMENT EXECUTE FUNCTION count_attempt()`)
})

afterAll(async () => {
  await database[Symbol.asyncDispose]()
})

beforeEach(async () => {
  await database.pool.query(`TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger;
    ALTER SEQUENCE attempts RESTART`)
})

it.each([1, 2, 7, 20])(
  'finds %i poison records of several kinds among 1,000 in at most 2k * ceil(log2 n) + 1 attempts',
  async k => {
    // Given a batch in which they may stand anywhere
    const { pool } = database
    const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables })
    const poisoned = poisonedPlaces(k)
    const all = Array.from({ length: SIZE }, (_, i) => {
      const ready = aReadyOrder({ uid: uidOf(i), offset: BigInt(i) })
      return { ...ready, value: POISONS[poisoned.get(i) ?? -1]?.spoil(ready.value) ?? ready.value }
    })
    await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })

    // When it is settled
    const refusal = await store.settle(aWork(all, { from: 0n }))

    // Then exactly they are named, each with what Postgres said of it
    if (refusal.kind !== 'refused') throw new Error('the store took them')
    const named = refusal.culprits.map(({ index, error }) => [index, error])
    expect(named).toEqual([...poisoned].map(([index, kind]) => [index, POISONS[kind]?.sqlState]))

    // And that cost no more than promised, as counted by Postgres itself
    const counted = await attemptsCounted()
    expect(counted).toBe(refusal.attempts)
    expect(counted).toBeLessThanOrEqual(2 * k * Math.ceil(Math.log2(SIZE)) + 1)

    // And all others are written by one more, in one transaction
    const others = all.filter((_, i) => !poisoned.has(i))
    const settled = await store.settle(aWork(others, { from: 0n, to: BigInt(SIZE) }))
    expect(settled).toMatchObject({ kind: 'settled', counts: { written: SIZE - k } })
    expect(await attemptsCounted()).toBe(counted + 1)
    const { rows } = await pool.query(
      'SELECT count(*)::int AS orders, count(DISTINCT xmin::text)::int AS by FROM orders',
    )
    expect(rows).toEqual([{ orders: SIZE - k, by: 1 }])
  },
)

/** Index and kind of poison, ascending; the ends of the batch are among them when there is more than one. */
function poisonedPlaces(k: number): Map<number, number> {
  const random = createRandom([k, 1, 2])
  const places = new Set(k > 1 ? [0, SIZE - 1] : [])
  while (places.size < k) places.add(random.between(0, SIZE - 1))
  return new Map([...places].sort((a, b) => a - b).map((place, i) => [place, i % POISONS.length]))
}

/** In the order of their numbers also when they are sorted as text. */
function uidOf(i: number): string {
  return `order-${String(i).padStart(4, '0')}`
}

async function attemptsCounted(): Promise<number> {
  const { rows } = await database.pool.query(
    'SELECT CASE WHEN is_called THEN last_value ELSE 0 END::int AS n FROM attempts',
  )
  return rows[0]?.n
}
