import type { EventEmitter } from 'node:events'
import type pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { StoreContendedError } from '#src/engine/errors.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { migratedDatabase } from '../support/database.ts'
import { orderTables } from '../support/order-stream.ts'
import { aReadyOrder, aWork } from '../support/orders.ts'

/** Two services, each with a topic of its own, fill the same tables: what is new to both goes by COPY in both. */
const TOPICS = ['orders-east', 'orders-west'] as const
const ROUNDS = 60
const KEYS = 60

const uidOf = (round: number, key: number) => `order-${String(round * KEYS + key).padStart(6, '0')}`
const itemsOf = (key: number, side: number) => 1 + ((key + 2 * side) % 3)

it('loses nothing, and the newest version wins, however often both bring keys that neither has seen', async () => {
  await using database = await migratedDatabase()
  const sides = await Promise.all(
    TOPICS.map(async topic => {
      const pool = createPool({
        url: database.url,
        schema: 'holdfast',
        max: 1,
        statementTimeoutMs: 20_000,
        name: topic,
      })
      onTestFinished(() => pool.end())
      const obstacles: string[] = []
      const onObstacle = (because: string) => void obstacles.push(because)
      const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables, copyFrom: 1, onObstacle })
      const refusals = refusalsOf(pool)
      await store.startProgress(topic, { topic, partition: 0, nextOffset: 0n })
      return { topic, store, refusals, obstacles }
    }),
  )

  // When both write the same keys at the same moment, round after round: now the one has the newer version of a key, now the other
  for (let round = 0; round < ROUNDS; round++) {
    const from = BigInt(round * KEYS)
    await Promise.all(
      sides.map(async ({ topic, store }, side) => {
        const records = Array.from({ length: KEYS }, (_, key) => {
          const timestampMs = 1000 + ((round + key + side) % 2)
          const position = { topic, offset: from + BigInt(key), timestampMs }
          return aReadyOrder({ ...position, uid: uidOf(round, key), amount: side + 1, items: itemsOf(key, side) })
        })
        await untilTaken(() => store.settle(aWork(records, { from, topic, groupId: topic })))
      }),
    )
  }

  // Then each key is stored once, as its newest version, with the items of that version and no others
  const { rows } = await database.pool.query(`
    SELECT order_uid, source_topic, source_timestamp::int AS at, amount::int, count(*)::int AS items, max(position) AS last
    FROM orders JOIN deliveries USING (order_uid) JOIN payments USING (order_uid) JOIN items USING (order_uid)
    GROUP BY order_uid, amount ORDER BY order_uid`)
  expect(rows).toEqual(
    Array.from({ length: ROUNDS * KEYS }, (_, index) => {
      const [round, key] = [Math.floor(index / KEYS), index % KEYS]
      const side = (round + key) % 2 === 1 ? 0 : 1
      const items = itemsOf(key, side)
      const newest = { source_topic: TOPICS[side], at: 1001, amount: side + 1 }
      return { order_uid: uidOf(round, key), ...newest, items, last: items - 1 }
    }),
  )
  // And the ledgers add up: each record has an end, and as many keys were new as there are orders
  const { rows: ledger } = await database.pool.query(
    'SELECT sum(written + duplicate + stale)::int AS ends, sum(inserted)::int AS inserted FROM holdfast.stream_ledger',
  )
  expect(ledger).toEqual([{ ends: 2 * ROUNDS * KEYS, inserted: ROUNDS * KEYS }])
  // And the race took place: COPY met keys that it could not see before, and kept on being tried
  expect(sides.flatMap(({ refusals }) => refusals)).toContain('23505')
  expect(sides.flatMap(({ obstacles }) => obstacles)).toEqual([])
})

/** SQLSTATEs that the server answers on the connections of this pool from now on. */
function refusalsOf(pool: pg.Pool): string[] {
  const codes: string[] = []
  pool.on('connect', client => {
    const { connection } = client as unknown as { readonly connection: EventEmitter }
    connection.on('errorMessage', ({ code }: pg.DatabaseError) => codes.push(code ?? ''))
  })
  return codes
}

/** As the service does with contention. */
async function untilTaken(settle: () => Promise<{ readonly kind: string }>): Promise<void> {
  for (;;) {
    try {
      expect(await settle()).toMatchObject({ kind: 'settled' })
      return
    } catch (error) {
      if (!(error instanceof StoreContendedError)) throw error
    }
  }
}
