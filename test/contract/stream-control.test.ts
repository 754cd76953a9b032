import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { migrate } from '#src/engine/postgres/migrate.ts'
import { carryOut, movePartition, moveState, requestMove, withdrawMove } from '#src/engine/postgres/moves.ts'
import { createOperatorRequests } from '#src/engine/postgres/operator-requests.ts'
import { liftPauses, pauseByOperator } from '#src/engine/postgres/pauses.ts'
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
const STREAM = { stream: 'orders', topic: 'orders', groupId: GROUP }
let pool: pg.Pool

beforeAll(async () => {
  const url = await freshDatabase({ migrated: true })
  pool = createPool({ url, schema: 'holdfast', max: 2, statementTimeoutMs: 30_000, name: 'test' })
})
afterAll(() => pool.end())

beforeEach(async () => {
  await pool.query(
    'TRUNCATE holdfast.stream_progress, holdfast.stream_ledger, holdfast.audit_log, holdfast.stream_pauses, holdfast.stream_moves',
  )
  await pool.query(
    `INSERT INTO holdfast.stream_progress (topic, partition, group_id, first_offset, next_offset)
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
  await pool.query('UPDATE holdfast.stream_progress SET next_offset = 11 WHERE partition = 0')
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
  await pool.query(`UPDATE holdfast.stream_progress SET paused_for = 'storm_guard', dead_letters_in_a_row = 7`)
  const one = await liftPauses(pool, { ...STREAM, partition: 1 }, WHY)
  expect(one).toEqual({ lifted: [{ partition: 1, kind: 'storm_guard', deadLettersInARow: 7 }], remaining: [] })
  expect((await liftPauses(pool, STREAM, WHY)).lifted).toMatchObject([{ partition: 0 }])
  expect((await liftPauses(pool, STREAM, WHY)).lifted).toEqual([])
  const { rows } = await pool.query('SELECT who, what, because, counts FROM holdfast.audit_log ORDER BY id')
  expect(rows.map(({ counts }) => counts)).toEqual([{ lifted: 1 }, { lifted: 1 }, { lifted: 0 }])
  expect(rows[0]).toMatchObject({ who: 'tester', what: 'resume', because: 'a test' })
})

describe('a pause of an operator', () => {
  const requests = () => createOperatorRequests(pool, STREAM)
  const held = async () =>
    (await requests().read()).pauses.map(({ partition, by, because }) => [partition, by, because])
  const stopByGuard = (partition: number) =>
    pool.query(
      `UPDATE holdfast.stream_progress SET paused_for = 'storm_guard', paused_because = 'a storm', dead_letters_in_a_row = 7 WHERE partition = $1`,
      [partition],
    )
  const guarded = async () =>
    (
      await pool.query('SELECT partition FROM holdfast.stream_progress WHERE paused_for IS NOT NULL ORDER BY 1')
    ).rows.map(({ partition }) => partition)

  it('is of a partition, or of the whole stream; it says by whom and why, and stands in the audit log', async () => {
    const made = await pauseByOperator(pool, { ...STREAM, partition: 1 }, { who: 'ada', because: 'a drill' })
    expect(made).toMatchObject({ partition: 1, by: 'ada', because: 'a drill' })
    expect(Math.abs(Date.now() - made.sinceMs)).toBeLessThan(60_000)
    await pauseByOperator(pool, STREAM, { who: 'ben', because: 'maintenance' })
    expect(await held()).toEqual([
      [undefined, 'ben', 'maintenance'],
      [1, 'ada', 'a drill'],
    ])
    expect((await pool.query('SELECT who, what, filter, counts FROM holdfast.audit_log ORDER BY id')).rows).toEqual([
      { who: 'ada', what: 'pause', filter: 'topic:orders group:g partition:1', counts: { paused: 1 } },
      { who: 'ben', what: 'pause', filter: 'topic:orders group:g', counts: { paused: 1 } },
    ])
    expect((await createOperatorRequests(pool, { ...STREAM, groupId: 'another' }).read()).pauses).toEqual([])
  })

  it('is refused for a partition that the group has not begun, and where one is in force, with who made it', async () => {
    await expect(pauseByOperator(pool, { ...STREAM, partition: 9 }, WHY)).rejects.toMatchObject({
      code: 'no_such_partition',
      message: expect.stringContaining('has not begun partition 9 of orders, only 0, 1'),
    })
    await pauseByOperator(pool, STREAM, { who: 'ada', because: 'a drill' })
    await expect(pauseByOperator(pool, STREAM, WHY)).rejects.toMatchObject({
      code: 'already_paused',
      message: expect.stringMatching(
        /^the whole stream is paused by ada since 20.*Z \(a drill\) already; to give another reason, resume it first$/,
      ),
    })
    expect((await pool.query('SELECT 1 FROM holdfast.audit_log')).rowCount).toBe(1)
  })

  it('of the whole stream is lifted as such, and leaves those of single partitions, which it names', async () => {
    await pauseByOperator(pool, { ...STREAM, partition: 1 }, WHY)
    await pauseByOperator(pool, STREAM, WHY)
    await expect(liftPauses(pool, { ...STREAM, partition: 0 }, WHY)).rejects.toMatchObject({ code: 'stream_paused' })
    const lifted = [{ partition: undefined, kind: 'operator', deadLettersInARow: 0 }]
    expect(await liftPauses(pool, STREAM, WHY)).toMatchObject({ lifted, remaining: [{ partition: 1, by: 'tester' }] })
    expect(await held()).toEqual([[1, 'tester', 'a test']])
    expect((await liftPauses(pool, STREAM, WHY)).lifted).toMatchObject([{ partition: 1, kind: 'operator' }])
    expect(await held()).toEqual([])
  })

  it('and one of the storm guard do not lift each other', async () => {
    await stopByGuard(1)
    await pauseByOperator(pool, { ...STREAM, partition: 1 }, WHY)
    // Neither by the partition nor by all of them is it guessed which is meant.
    for (const place of [STREAM, { ...STREAM, partition: 1 }]) {
      await expect(liftPauses(pool, place, WHY)).rejects.toMatchObject({ code: 'two_pauses' })
    }
    expect([await guarded(), await held()]).toEqual([[1], [[1, 'tester', 'a test']]])
    expect(await liftPauses(pool, { ...STREAM, partition: 1, lift: 'storm_guard' }, WHY)).toMatchObject({
      lifted: [{ partition: 1, kind: 'storm_guard', deadLettersInARow: 7 }],
      remaining: [{ partition: 1 }],
    })
    expect([await guarded(), await held()]).toEqual([[], [[1, 'tester', 'a test']]])
    await stopByGuard(1)
    expect((await liftPauses(pool, { ...STREAM, lift: 'operator' }, WHY)).lifted).toMatchObject([{ kind: 'operator' }])
    expect([await guarded(), await held()]).toEqual([[1], []])
    await pauseByOperator(pool, STREAM, WHY)
    expect((await liftPauses(pool, { ...STREAM, lift: 'all' }, WHY)).lifted).toMatchObject([
      { partition: undefined, kind: 'operator' },
      { partition: 1, kind: 'storm_guard' },
    ])
    expect([await guarded(), await held()]).toEqual([[], []])
  })

  it('is made by one of two that try at the same time', async () => {
    const tried = await Promise.allSettled([1, 2].map(() => pauseByOperator(pool, STREAM, WHY)))
    expect(tried.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })
})

describe('a request to move a partition', () => {
  const requests = () => createOperatorRequests(pool, STREAM)
  const move = { ...STREAM, partition: 0, to: 25n, low: 2n }

  it('is carried out by the process that has the partition, once, and stands in ledger and audit log', async () => {
    const id = await requestMove(pool, move, { who: 'ada', because: 'a drill' })
    expect(await moveState(pool, id)).toEqual({ kind: 'waiting' })
    const [request] = (await requests().read()).moves
    expect(request).toEqual({ id, partition: 0, to: 25n })
    if (request === undefined) throw new Error('there is one')
    const carried = await Promise.all([requests().move(request), requests().move(request)])
    expect(carried.filter(done => done !== undefined)).toEqual([{ from: 10n }])
    expect(await moveState(pool, id)).toEqual({ kind: 'moved', from: 10n })
    expect((await requests().read()).moves).toEqual([])
    const proof = await readProof(pool, provenOrders('orders', GROUP))
    expect(proof.findings).toEqual([])
    expect(proof.skipped).toEqual([{ partition: 0, from: 10n, to: 25n }])
    expect((await pool.query('SELECT who, what, because, counts FROM holdfast.audit_log')).rows).toEqual([
      { who: 'ada', what: 'seek', because: 'a drill', counts: { from: '10', to: '25' } },
    ])
  })

  it('is one at a time; taken back, or too old, it has no effect', async () => {
    const id = await requestMove(pool, move, WHY)
    await expect(requestMove(pool, { ...move, to: 3n }, WHY)).rejects.toThrow(/another seek of orders-0 is under way/)
    await withdrawMove(pool, id)
    expect(await moveState(pool, id)).toEqual({ kind: 'expired' })
    expect(await carryOut(pool, id)).toBeUndefined()

    const old = await requestMove(pool, move, WHY)
    await pool.query(`UPDATE holdfast.stream_moves SET expires_at = now() - interval '1 s'`)
    expect([await moveState(pool, old), (await requests().read()).moves]).toEqual([{ kind: 'expired' }, []])
    expect(await carryOut(pool, old)).toBeUndefined()
    const next = await requestMove(pool, { ...move, to: 3n }, WHY)
    expect(next).not.toBe(old)
    expect(await carryOut(pool, next)).toEqual({ from: 10n })
    await withdrawMove(pool, next)
    expect(await moveState(pool, next), 'what was done cannot be taken back').toEqual({ kind: 'moved', from: 10n })
    expect((await pool.query('SELECT next_offset FROM holdfast.stream_progress WHERE partition = 0')).rows).toEqual([
      { next_offset: '3' },
    ])
  })

  it('leaves the pause of an operator, and lifts that of the storm guard', async () => {
    await pool.query(`UPDATE holdfast.stream_progress SET paused_for = 'storm_guard' WHERE partition = 0`)
    await pauseByOperator(pool, { ...STREAM, partition: 0 }, WHY)
    await carryOut(pool, await requestMove(pool, move, WHY))
    expect((await pool.query('SELECT paused_for FROM holdfast.stream_progress WHERE partition = 0')).rows).toEqual([
      { paused_for: null },
    ])
    expect((await requests().read()).pauses).toHaveLength(1)
  })

  it('to where the partition is already is done, and notes nothing', async () => {
    const id = await requestMove(pool, { ...move, to: 10n }, WHY)
    expect(await carryOut(pool, id)).toEqual({ from: 10n })
    expect((await pool.query('SELECT 1 FROM holdfast.audit_log')).rowCount).toBe(0)
  })
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
  expect((await pool.query('SELECT what, counts FROM holdfast.audit_log ORDER BY id')).rows).toEqual([
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
  await pool.query('DELETE FROM holdfast.stream_progress WHERE partition = 5')
  const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables })
  expect(await store.startProgress(GROUP, { topic: 'orders', partition: 5, nextOffset: 3n })).toBe(3n)
  const proof = await readProof(pool, provenOrders('orders', GROUP))
  expect(proof.findings).toEqual([])
  expect(proof.partitions.at(-1)).toMatchObject({ partition: 5, firstOffset: 2n, nextOffset: 3n, skipped: 1 })
})

it('takes the migration back although offsets stand twice in the ledger', async () => {
  const url = await freshDatabase()
  await migrate(url, 'up')
  const other = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 30_000, name: 'test' })
  await other.query(`INSERT INTO holdfast.stream_ledger (topic, partition, group_id, from_offset, to_offset, records, written,
    duplicate, stale, superseded, dead_lettered, gaps, expired, skipped)
    SELECT 'orders', 0, 'g', 0, 5, 5, 5, 0, 0, 0, 0, 0, 0, 0 FROM generate_series(1, 2)`)
  await other.end()
  const [last = ''] = await migrate(url, 'down')
  expect(last).not.toBe('')
  for (let taken = last; !taken.startsWith('0004'); ) [taken = '0004'] = await migrate(url, 'down')
  expect(await migrate(url, 'up')).toContain('0005_stream_control')
})
