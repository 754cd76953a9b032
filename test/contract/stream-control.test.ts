import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { migrate } from '#src/engine/postgres/migrate.ts'
import { liftPauses, movePartition } from '#src/engine/postgres/operator.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import { readProof } from '#src/engine/postgres/proof.ts'
import { createStartCounts } from '#src/engine/postgres/start-counts.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import type { Order } from '../support/order.ts'
import { orderTables } from '../support/order-stream.ts'
import { aWork } from '../support/orders.ts'
import { freshDatabase } from '../support/stack.ts'
import { provenOrders } from '../support/streams.ts'

/** What the store remembers for those who come after a process, and what an operator may change of it. */

const GROUP = 'g'
const P0 = { topic: 'orders', partition: 0 }
const WHY = { who: 'tester', because: 'a test' }
let pool: pg.Pool

beforeAll(async () => {
  const url = await freshDatabase({ migrated: true })
  pool = createPool({ url, max: 2, statementTimeoutMs: 5_000, name: 'test' })
})
afterAll(() => pool.end())

beforeEach(async () => {
  await pool.query('TRUNCATE stream_progress, stream_ledger, audit_log')
  await pool.query(
    `INSERT INTO stream_progress (topic, partition, group_id, first_offset, next_offset)
     VALUES ('orders', 0, 'g', 10, 10), ('orders', 1, 'g', 0, 0)`,
  )
})

it('counts starts, and remembers the suspect only while it is the next record', async () => {
  const counts = createStartCounts(pool)
  expect(await counts.noteStart(GROUP, P0)).toEqual({ starts: 1, suspect: undefined, deaths: 0 })
  expect(await counts.noteStart(GROUP, P0)).toMatchObject({ starts: 2 })
  await counts.noteSuspect(GROUP, P0, 10n, 4)
  expect(await counts.noteStart(GROUP, P0)).toEqual({ starts: 5, suspect: 10n, deaths: 1 })
  await counts.noteSuspect(GROUP, P0, 10n, 4)
  expect(await counts.noteStart(GROUP, P0)).toEqual({ starts: 6, suspect: 10n, deaths: 2 })
  await pool.query('UPDATE stream_progress SET next_offset = 11 WHERE partition = 0')
  expect(await counts.noteStart(GROUP, P0)).toMatchObject({ suspect: undefined, deaths: 0 })
})

it('remembers the suspect also when a gap stands before it', async () => {
  const counts = createStartCounts(pool)
  await counts.noteSuspect(GROUP, P0, 12n, 4)
  expect(await counts.noteStart(GROUP, P0)).toMatchObject({ suspect: 12n, deaths: 1 })
})

it('forgets a suspect that was cleared, and begins to count anew with another one', async () => {
  const counts = createStartCounts(pool)
  await counts.noteSuspect(GROUP, P0, 10n, 4)
  await counts.clearSuspect(GROUP, P0, { start: false })
  expect(await counts.noteStart(GROUP, P0)).toEqual({ starts: 5, suspect: undefined, deaths: 0 })
  await counts.noteSuspect(GROUP, P0, 9n, 4)
  await counts.noteSuspect(GROUP, P0, 10n, 4)
  expect(await counts.noteStart(GROUP, P0)).toMatchObject({ suspect: 10n, deaths: 1 })
})

it('counts anew once a batch has been settled', async () => {
  const counts = createStartCounts(pool)
  await counts.noteStart(GROUP, P0)
  await counts.noteSuspect(GROUP, P0, 12n, 4)
  const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables })
  const storm = { deadLettersInARow: 0, refusedInARow: 0, recent: '' }
  await store.settle({ ...aWork<Order>([], { from: 10n }), to: 11n, groupId: GROUP, storm })
  expect(await counts.noteStart(GROUP, P0)).toEqual({ starts: 1, suspect: undefined, deaths: 0 })
})

it('takes back a start that did not end in a crash', async () => {
  const counts = createStartCounts(pool)
  await counts.noteStart(GROUP, P0)
  await counts.clearSuspect(GROUP, P0, { start: true })
  expect(await counts.noteStart(GROUP, P0)).toMatchObject({ starts: 1 })
})

it('lifts the pauses that are asked for, and writes down who did', async () => {
  await pool.query(`UPDATE stream_progress SET paused_for = 'storm_guard', dead_letters_in_a_row = 7`)
  const one = await liftPauses(pool, { stream: 'orders', topic: 'orders', groupId: GROUP, partition: 1 }, WHY)
  expect(one).toEqual([{ topic: 'orders', partition: 1, pausedFor: 'storm_guard', deadLettersInARow: 7 }])
  expect(await liftPauses(pool, { stream: 'orders', topic: 'orders', groupId: GROUP }, WHY)).toMatchObject([
    { partition: 0 },
  ])
  expect(await liftPauses(pool, { stream: 'orders', topic: 'orders', groupId: GROUP }, WHY)).toEqual([])
  const { rows } = await pool.query('SELECT who, what, because, counts FROM audit_log ORDER BY id')
  expect(rows.map(({ counts }) => counts)).toEqual([{ lifted: 1 }, { lifted: 1 }, { lifted: 0 }])
  expect(rows[0]).toMatchObject({ who: 'tester', what: 'resume', because: 'a test' })
})

it('moves a partition forward and back so that the ledger still adds up', async () => {
  const at = { ...P0, groupId: GROUP }
  expect(await movePartition(pool, { stream: 'orders', ...at, to: 25n }, WHY)).toBe(10n)
  expect(await movePartition(pool, { stream: 'orders', ...at, to: 12n }, WHY)).toBe(25n)
  await expect(movePartition(pool, { stream: 'orders', ...at, to: 12n }, WHY)).rejects.toThrow(/already/)
  const proof = await readProof(pool, provenOrders('orders', GROUP))
  expect(proof.findings).toEqual([])
  expect(proof.partitions[0]).toMatchObject({ firstOffset: 10n, nextOffset: 12n, skipped: 2 })
  expect(proof.skipped).toEqual([
    { partition: 0, from: 10n, to: 25n },
    { partition: 0, from: 25n, to: 12n },
  ])
  expect((await pool.query('SELECT what, counts FROM audit_log ORDER BY id')).rows).toEqual([
    { what: 'seek', counts: { from: '10', to: '25' } },
    { what: 'seek', counts: { from: '25', to: '12' } },
  ])
})

it('stays at its offset where that is another place, in a topic that was made anew', async () => {
  const at = { ...P0, groupId: GROUP }
  await movePartition(pool, { stream: 'orders', ...at, to: 12n, topicId: 'topic-1' }, WHY)
  await expect(movePartition(pool, { stream: 'orders', ...at, to: 12n, topicId: 'topic-1' }, WHY)).rejects.toThrow(
    /already/,
  )
  expect(await movePartition(pool, { stream: 'orders', ...at, to: 12n, topicId: 'topic-2' }, WHY)).toBe(12n)
  await expect(movePartition(pool, { stream: 'orders', ...at, to: 12n, topicId: 'topic-2' }, WHY)).rejects.toThrow(
    /already/,
  )
  const proof = await readProof(pool, provenOrders('orders', GROUP))
  expect(proof.findings).toEqual([])
  expect(proof.partitions[0]).toMatchObject({ nextOffset: 12n, topicId: 'topic-2' })
})

it('starts a partition that was never consumed where it is told to', async () => {
  expect(
    await movePartition(pool, { stream: 'orders', topic: 'orders', partition: 5, groupId: GROUP, to: 3n }, WHY),
  ).toBeUndefined()
  expect((await readProof(pool, provenOrders('orders', GROUP))).partitions.at(-1)).toMatchObject({
    partition: 5,
    nextOffset: 3n,
  })
})

it('enters what a partition that was never consumed skips when it is told where to start', async () => {
  const at = { topic: 'orders', partition: 5, groupId: GROUP }
  expect(await movePartition(pool, { stream: 'orders', ...at, to: 7n, low: 2n }, WHY)).toBeUndefined()
  const proof = await readProof(pool, provenOrders('orders', GROUP))
  expect(proof.findings).toEqual([])
  expect(proof.partitions.at(-1)).toMatchObject({ partition: 5, firstOffset: 2n, nextOffset: 7n, skipped: 5 })
})

it('goes on from the end of a ledger whose progress row was removed, so that the proof holds', async () => {
  const at = { topic: 'orders', partition: 5, groupId: GROUP }
  await movePartition(pool, { stream: 'orders', ...at, to: 7n, low: 2n }, WHY)
  await pool.query('DELETE FROM stream_progress WHERE partition = 5')
  const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables })
  expect(await store.startProgress(GROUP, { topic: 'orders', partition: 5, nextOffset: 3n })).toBe(3n)
  const proof = await readProof(pool, provenOrders('orders', GROUP))
  expect(proof.findings).toEqual([])
  expect(proof.partitions.at(-1)).toMatchObject({ partition: 5, firstOffset: 2n, nextOffset: 3n, skipped: 1 })
})

it('takes the migration back although offsets stand twice in the ledger', async () => {
  const url = await freshDatabase()
  await migrate(url, 'up')
  const other = createPool({ url, max: 1, statementTimeoutMs: 5_000, name: 'test' })
  await other.query(`INSERT INTO stream_ledger (topic, partition, group_id, from_offset, to_offset, records, written,
    duplicate, stale, superseded, dead_lettered, gaps, expired, skipped)
    SELECT 'orders', 0, 'g', 0, 5, 5, 5, 0, 0, 0, 0, 0, 0, 0 FROM generate_series(1, 2)`)
  await other.end()
  const [last = ''] = await migrate(url, 'down')
  expect(last).not.toBe('')
  for (let taken = last; !taken.startsWith('0004'); ) [taken = '0004'] = await migrate(url, 'down')
  expect(await migrate(url, 'up')).toContain('0005_stream_control')
})
