import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseOriginId } from '#src/engine/headers.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { createRedriveStore } from '#src/inbox/postgres/redrive-work.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { insertLetters } from '../support/letters.ts'
import { orderTables } from '../support/order-stream.ts'
import { aReadyOrder, aWork } from '../support/orders.ts'
import { aRecord } from '../support/records.ts'

let database: MigratedDatabase
beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})

it('a worker notes what it published while those very records are settled: neither gets in the way of the other', async () => {
  const { pool } = database
  const SIZE = 500
  const rows = await insertLetters(
    pool,
    Array.from({ length: SIZE }, () => ({ state: 'replaying', replay_id: 'r1' })),
  )
  const ids = rows.map(({ id }) => id)
  await pool.query(`INSERT INTO holdfast.replays (id, state, filter, requested_by, because, automatic, only_passing, edited, total)
    VALUES ('r1', 'queued', '', 'ada', '', false, false, false, 1)`)
  await pool.query(`INSERT INTO holdfast.replay_items (replay_id, position, dead_letter_id)
    SELECT 'r1', source_offset + 1, id FROM holdfast.dead_letters`)
  const redrives = createRedriveStore(pool, { stream: 'orders', topic: 'orders' })
  const redrive = await redrives.take('r1')
  if (redrive === undefined) throw new Error('nobody else has it')
  const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables })
  await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })

  for (let round = 0; round < 30; round++) {
    await pool.query(`UPDATE holdfast.replay_items SET state = 'claimed', outcome = NULL`)
    await pool.query(`UPDATE holdfast.dead_letters SET state = 'replaying'`)
    const leftOut = ids.map(id => {
      const { offset = 0n, ...where } = parseOriginId(id) ?? {}
      const order = aReadyOrder({ uid: id, origin: { ...aRecord(where), offset } })
      return { ready: { ...order, redrive: { redriveId: 'r1', redriveCount: 1 } }, outcome: 'stale' as const }
    })
    // In the order of the uids of their orders, which is no order of theirs.
    leftOut.sort(() => Math.random() - 0.5)
    const from = BigInt(round * SIZE)
    const work = aWork([], {
      ...{ from, to: from + BigInt(SIZE), records: SIZE },
      collapsed: { superseded: 0, duplicate: 0, stale: SIZE, leftOut },
    })
    await Promise.all([redrives.notePublished(redrive, ids), store.settle(work)])
  }
  const { rows: items } = await pool.query('SELECT state, count(*)::int AS n FROM holdfast.replay_items GROUP BY state')
  expect(items).toEqual([{ state: 'resolved', n: SIZE }])
})
