import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { readProof } from '#src/engine/postgres/proof.ts'
import { readStreamCounts } from '#src/engine/postgres/stream-counts.ts'
import { purgeSettled } from '#src/inbox/postgres/dead-letter-purge.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { type RedriveRow, SELECT_REDRIVES } from '#src/inbox/postgres/redrive-rows.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { insertLetters } from '../support/letters.ts'
import { orderTables } from '../support/order-stream.ts'
import { aDeadLetter, aWork } from '../support/orders.ts'
import { provenOrders } from '../support/streams.ts'

const DAY_MS = 86_400_000

let database: MigratedDatabase
beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await database.pool.query(`TRUNCATE holdfast.stream_progress, holdfast.stream_ledger, holdfast.dead_letters, holdfast.dead_letter_events, holdfast.replays, holdfast.replay_items,
    holdfast.dead_letters_purged, holdfast.dead_letters_purged_counts, holdfast.replay_items_purged`)
})

const query = async (text: string) => (await database.pool.query(text)).rows
const ids = async () => (await query('SELECT id FROM holdfast.dead_letters ORDER BY id')).map(({ id }) => id)
const findings = async () => (await readProof(database.pool, provenOrders())).findings

/** Six dead letters of the stream, the first four settled in some way for ten days. */
async function settledLongAgo(): Promise<void> {
  const store = createStreamSettlement({ pool: database.pool, stream: 'orders', tables: orderTables })
  await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
  const deadLetters = Array.from({ length: 6 }, (_, i) => aDeadLetter(BigInt(i)))
  await store.settle(aWork([], { from: 0n, deadLetters }))
  await store.settle(aWork([], { from: 6n, deadLetters: [aDeadLetter(0n, { redriveId: 'r1', redriveCount: 1 })] }))
  await query(`UPDATE holdfast.dead_letters SET state = CASE WHEN source_offset < 3 THEN 'resolved' ELSE 'discarded' END,
    state_changed_at = now() - interval '10 days' WHERE source_offset < 4`)
  await query(
    `INSERT INTO holdfast.dead_letter_events (dead_letter_id, what) SELECT id, 'resolved' FROM holdfast.dead_letters`,
  )
  await query(`INSERT INTO holdfast.replays (id, state, filter, requested_by, because, automatic, only_passing, edited, total)
    VALUES ('r1', 'done', '', 'ada', '', false, false, false, 6)`)
  await query(`INSERT INTO holdfast.replay_items (replay_id, position, dead_letter_id, state)
    SELECT 'r1', source_offset + 1, id, CASE WHEN source_offset = 5 THEN 'skipped' ELSE 'resolved' END FROM holdfast.dead_letters`)
}

async function redrive(): Promise<RedriveRow | undefined> {
  return (await database.pool.query<RedriveRow>(`${SELECT_REDRIVES} WHERE r.id = 'r1'`)).rows[0]
}

it('letters that were settled long ago leave the index, with their history; ids and counts stay', async () => {
  await settledLongAgo()
  const before = { counts: await readStreamCounts(database.pool, 'orders', 'holdfast'), redrive: await redrive() }
  expect(await purgeSettled(database.pool, 'orders', 9 * DAY_MS, 100)).toBe(4)
  expect(await ids()).toEqual(['orders-0-4', 'orders-0-5'])
  expect(await query('SELECT id FROM holdfast.dead_letters_purged ORDER BY id')).toEqual(
    ['orders-0-0', 'orders-0-1', 'orders-0-2', 'orders-0-3'].map(id => ({ id })),
  )
  expect(
    await query('SELECT state, letters, failures FROM holdfast.dead_letters_purged_counts ORDER BY state'),
  ).toEqual([
    { state: 'discarded', letters: '1', failures: '1' },
    { state: 'resolved', letters: '3', failures: '4' },
  ])
  expect(await query('SELECT DISTINCT dead_letter_id AS id FROM holdfast.dead_letter_events ORDER BY 1')).toEqual([
    { id: 'orders-0-4' },
    { id: 'orders-0-5' },
  ])
  expect(await query('SELECT count(*)::int AS n FROM holdfast.replay_items')).toEqual([{ n: 2 }])

  expect(await findings()).toEqual([])
  expect(await readStreamCounts(database.pool, 'orders', 'holdfast')).toEqual(before.counts)
  expect(await redrive()).toEqual(before.redrive)
  expect(await redrive()).toMatchObject({ published: 5, resolved: 5, skipped: 1 })
})

it('a proof without the counts of the purged would not hold', async () => {
  await settledLongAgo()
  await purgeSettled(database.pool, 'orders', 9 * DAY_MS, 100)
  await query('TRUNCATE holdfast.dead_letters_purged_counts')
  expect((await findings()).map(({ what }) => what)).toContain(
    '7 dead letters are in the ledger, 2 in the index, in all of orders',
  )
})

it('nothing else leaves: what waits for a decision, or was settled of late', async () => {
  await settledLongAgo()
  await query(`UPDATE holdfast.dead_letters SET state_changed_at = now() - interval '10 days'`)
  await query(`UPDATE holdfast.dead_letters SET state_changed_at = now() WHERE source_offset = 0`)
  await query(`UPDATE holdfast.dead_letters SET state = 'parked' WHERE source_offset = 5`)
  await query(`UPDATE holdfast.dead_letters SET state = 'replaying' WHERE source_offset = 1`)
  expect(await purgeSettled(database.pool, 'orders', 9 * DAY_MS, 100)).toBe(2)
  expect(await ids()).toEqual(['orders-0-0', 'orders-0-1', 'orders-0-4', 'orders-0-5'])
})

it('it goes on in slices up to a limit, and counts add up over them', async () => {
  await insertLetters(
    database.pool,
    Array.from({ length: 2_500 }, () => ({ state: 'resolved', failures: 2, state_changed_at: '2025-01-01T00:00:00Z' })),
  )
  expect(await purgeSettled(database.pool, 'orders', DAY_MS, 1_700)).toBe(1_700)
  expect(await purgeSettled(database.pool, 'orders', DAY_MS, 10_000)).toBe(800)
  expect(await purgeSettled(database.pool, 'orders', DAY_MS, 10_000)).toBe(0)
  const counts = await query('SELECT letters, failures FROM holdfast.dead_letters_purged_counts')
  expect(counts).toEqual([{ letters: '2500', failures: '5000' }])
})

it('what a redrive that was cancelled never took goes as well, one that is under way keeps its members', async () => {
  await insertLetters(
    database.pool,
    [{}, {}].map(() => ({ state: 'discarded', state_changed_at: '2025-01-01T00:00:00Z' })),
  )
  await query(`INSERT INTO holdfast.replays (id, state, filter, requested_by, because, automatic, only_passing, edited, total)
    VALUES ('rover', 'cancelled', '', 'ada', '', false, false, false, 2), ('rheld', 'paused', '', 'ada', '', false, false, false, 2)`)
  await query(`INSERT INTO holdfast.replay_items (replay_id, position, dead_letter_id)
    SELECT r.id, row_number() OVER (PARTITION BY r.id), d.id FROM holdfast.replays AS r, holdfast.dead_letters AS d WHERE r.id IN ('rover', 'rheld')`)
  expect(await purgeSettled(database.pool, 'orders', DAY_MS, 100)).toBe(2)
  expect(await query('SELECT DISTINCT replay_id FROM holdfast.replay_items')).toEqual([{ replay_id: 'rheld' }])
})

it('a letter that somebody has in hand waits for the next time', async () => {
  await settledLongAgo()
  const client = await database.pool.connect()
  await client.query(`BEGIN`)
  await client.query(`SELECT 1 FROM holdfast.dead_letters WHERE source_offset = 2 FOR UPDATE`)
  expect(await purgeSettled(database.pool, 'orders', 9 * DAY_MS, 100)).toBe(3)
  await client.query('ROLLBACK')
  client.release()
  expect(await purgeSettled(database.pool, 'orders', 9 * DAY_MS, 100)).toBe(1)
})
