import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { createDeepRows } from '#src/engine/postgres/deep-rows.ts'
import { type FormerTopic, formerTopicOf, leaveRowsInPages } from '#src/engine/postgres/former-topic.ts'
import { carryOut, movePartition, requestMove } from '#src/engine/postgres/moves.ts'
import { readProof } from '#src/engine/postgres/proof.ts'
import { letterKey } from '#src/engine/proof/deep-proof.ts'
import { formerTopic, type Origin } from '#src/engine/record.ts'
import type { SettlementStore } from '#src/engine/settlement.ts'
import { leaveFormerTopic, waitingOfFormer } from '#src/inbox/postgres/former-topic.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { createRedrivePages } from '#src/inbox/postgres/redrive-pages.ts'
import { createRedriveStore } from '#src/inbox/postgres/redrive-work.ts'
import { RedriveTakenOverError } from '#src/inbox/redrive-work.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import type { Order } from '../support/order.ts'
import { orderTables } from '../support/order-stream.ts'
import { aDeadLetter, aReadyOrder, aWork } from '../support/orders.ts'
import { aRecord } from '../support/records.ts'
import { provenOrders } from '../support/streams.ts'

/** What was stored, and set aside, from a topic that was deleted and created again under its name. */

const AT = { topic: 'orders', partition: 0, groupId: 'holdfast' }
const WHY = { who: 'tester', because: 'the topic was made anew' }
const BEFORE_MS = 1_700_000_000_000
const FORMER: FormerTopic = { topic: 'orders', partition: 0, topicId: 'topic-1' }
const OLD = formerTopic('orders', 'topic-1')
const stream = provenOrders()
let database: MigratedDatabase
let pool: pg.Pool
let store: SettlementStore<Order>

beforeAll(async () => {
  database = await migratedDatabase()
  pool = database.pool
  store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables, redriveMax: 3 })
})
afterAll(() => database[Symbol.asyncDispose]())

/** Three orders and two dead letters at the offsets from 900 of a topic, which is deleted then: another one has its name. */
beforeEach(async () => {
  await pool.query(`TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger, holdfast.audit_log,
    holdfast.stream_moves, holdfast.dead_letters, holdfast.dead_letter_events, holdfast.replays, holdfast.replay_items, holdfast.value_count_changes`)
  await store.startProgress('holdfast', { ...AT, nextOffset: 900n })
  await store.identify('holdfast', [AT], 'topic-1')
  const orders = ['a', 'b', 'c'].map((uid, n) => aReadyOrder({ uid, offset: 900n + BigInt(n), timestampMs: BEFORE_MS }))
  const deadLetters = [903n, 904n].map(offset => aDeadLetter(offset, { dlq: { partition: 0, offset } }))
  await store.settle(aWork(orders, { from: 900n, deadLetters }))
})

function move() {
  return movePartition(pool, { stream: 'orders', ...AT, to: 0n, topicId: 'topic-2' }, WHY, leaveFormerTopic(stream))
}

async function places(): Promise<Record<string, string>> {
  const { rows } = await pool.query('SELECT order_uid, source_topic, source_offset FROM orders')
  return Object.fromEntries(rows.map(row => [row.order_uid, `${row.source_topic} ${row.source_offset}`]))
}

it('lets the timestamps decide between the former topic and the one that there is, and the offsets within each', async () => {
  await move()
  expect(await places()).toEqual({ a: `${OLD} 900`, b: `${OLD} 901`, c: `${OLD} 902` })
  const records = [
    aReadyOrder({ uid: 'a', offset: 0n, timestampMs: BEFORE_MS + 1 }),
    aReadyOrder({ uid: 'b', offset: 1n, timestampMs: BEFORE_MS - 1 }),
    aReadyOrder({ uid: 'd', offset: 2n, timestampMs: BEFORE_MS + 9 }),
  ]
  expect(await store.settle(aWork(records, { from: 0n }))).toMatchObject({ counts: { written: 2, stale: 1 } })
  // Earlier by its timestamp, but later in its partition.
  const last = [aReadyOrder({ uid: 'd', offset: 3n, timestampMs: BEFORE_MS + 2 })]
  expect(await store.settle(aWork(last, { from: 3n }))).toMatchObject({ counts: { written: 1 } })
  expect(await places()).toEqual({ a: 'orders 0', b: `${OLD} 901`, c: `${OLD} 902`, d: 'orders 3' })
  expect((await readProof(pool, stream)).findings).toEqual([])
})

it('says in the audit log which topic was left', async () => {
  await move()
  const log = await pool.query('SELECT counts FROM holdfast.audit_log')
  expect(log.rows).toEqual([{ counts: { from: '905', to: '0', former_topic_id: 'topic-1' } }])
})

it('leaves no topic where the id is the same or not known, or where the offsets go on in a topic that was moved with them', async () => {
  const leave = leaveFormerTopic(stream)
  for (const to of [
    { offset: 901n, topicId: 'topic-1' },
    { offset: 902n, topicId: undefined },
    { offset: 902n, topicId: 'topic-2' },
  ]) {
    expect(await formerTopicOf(pool, AT, to)).toBeUndefined()
    await movePartition(pool, { stream: 'orders', ...AT, to: to.offset, topicId: to.topicId }, WHY, leave)
  }
  expect(await places()).toMatchObject({ a: 'orders 900', b: 'orders 901' })
  const { rows } = await pool.query('SELECT next_offset, topic_id FROM holdfast.stream_progress')
  expect(rows).toEqual([{ next_offset: '902', topic_id: 'topic-2' }])
  expect(await formerTopicOf(pool, AT, { offset: 0n, topicId: 'topic-3' })).toEqual({ ...FORMER, topicId: 'topic-2' })
})

it('leaves a topic that was moved back to its beginning, where the offset is the same in each', async () => {
  await movePartition(pool, { stream: 'orders', ...AT, to: 0n, topicId: 'topic-1' }, WHY, leaveFormerTopic(stream))
  expect(await store.readProgress('holdfast', [AT])).toMatchObject([{ nextOffset: 0n, wasFurther: true }])
  await move()
  expect(await places()).toEqual({ a: `${OLD} 900`, b: `${OLD} 901`, c: `${OLD} 902` })
})

it('does the same where the process that has the partition carries the move out', async () => {
  const id = await requestMove(pool, { stream: 'orders', ...AT, to: 0n, topicId: 'topic-2' }, WHY)
  await carryOut(pool, id, leaveFormerTopic(stream))
  expect(await places()).toEqual({ a: `${OLD} 900`, b: `${OLD} 901`, c: `${OLD} 902` })
  expect(await waitingOfFormer(pool, 'orders', FORMER)).toBe(2)
})

it('goes through a large table page by page beforehand, as often as one likes', async () => {
  await pool.query(`INSERT INTO orders SELECT (jsonb_populate_record(orders, jsonb_build_object('order_uid', 'x' || n,
    'source_partition', n % 2))).* FROM orders, generate_series(1, 12000) AS n WHERE order_uid = 'a'`)
  expect(await leaveRowsInPages(pool, stream.plan, FORMER)).toBe(6_003)
  expect(await leaveRowsInPages(pool, stream.plan, FORMER)).toBe(6_003)
  const { rows } = await pool.query('SELECT source_topic, count(*)::int FROM orders GROUP BY 1 ORDER BY 1')
  expect(rows).toEqual([
    { source_topic: 'orders', count: 6_000 },
    { source_topic: OLD, count: 6_003 },
  ])
})

/** A redrive that has the first letter in hand. */
async function aRedrive(to: 'store' | 'topic') {
  await pool.query(
    `INSERT INTO holdfast.replays (id, stream, state, filter, requested_by, because, automatic, only_passing, edited, total, topic)
      VALUES ('r1', 'orders', 'queued', '', 'test', '', false, false, false, 1, $1)`,
    [to === 'store' ? '' : 'orders'],
  )
  await pool.query(
    `INSERT INTO holdfast.replay_items (replay_id, position, dead_letter_id, state) VALUES ('r1', 1, 'orders-0-903', 'pending')`,
  )
  const redrives = createRedriveStore(pool, { stream: 'orders', topic: 'orders' })
  const redrive = await redrives.take('r1')
  if (redrive === undefined) throw new Error('it is free')
  return { redrives, redrive }
}

it('fences off a redrive that holds letters at their old positions; the next one compares them by time', async () => {
  const { redrives, redrive } = await aRedrive('store')
  const held = await redrives.page(redrive, 10)
  expect(held.items.map(({ origin }) => origin.topic)).toEqual(['orders'])
  await move()
  await store.settle(aWork([aReadyOrder({ uid: 'late', offset: 0n, timestampMs: BEFORE_MS + 1 })], { from: 0n }))
  const pages = createRedrivePages({ pool, stream: 'orders', tables: orderTables })
  const pageOf = (origin: Origin | undefined) => ({
    ready: [{ ...aReadyOrder({ uid: 'late', ...origin }), redrive: { redriveId: 'r1', redriveCount: 1 } }],
    ...{ collapsed: { superseded: 0, duplicate: 0, stale: 0, leftOut: [] }, deadLetters: [], isolate: false },
  })
  await expect(pages.settle(redrive, pageOf(held.items[0]?.origin))).rejects.toThrow(RedriveTakenOverError)

  const next = await redrives.take('r1')
  if (next === undefined) throw new Error('it is free at once')
  const { items } = await redrives.page(next, 10)
  expect(items).toMatchObject([{ id: 'orders-0-903', ahead: false, origin: { topic: OLD, offset: 903n } }])
  await redrives.claim(next, ['orders-0-903'], new Map())
  expect(await pages.settle(next, pageOf({ ...(items[0]?.origin as Origin), timestampMs: BEFORE_MS }))).toMatchObject({
    closings: { resolved: 1 },
  })
  expect(await places()).toMatchObject({ late: 'orders 0' })
  const { rows } = await pool.query("SELECT outcome FROM holdfast.replay_items WHERE replay_id = 'r1'")
  expect(rows).toEqual([{ outcome: 'stale' }])
})

it('knows of which topic the letter is that a redrive has published to the new one', async () => {
  await aRedrive('topic')
  await pool.query("UPDATE holdfast.replay_items SET state = 'published'")
  await move()
  const origin = { topic: 'orders', partition: 0, offset: 903n, timestampMs: BEFORE_MS }
  const facts = await store.redrives('holdfast', 'orders', [{ redriveId: 'r1', origin }])
  expect(facts.get('r1 orders-0-903')).toMatchObject({ topic: OLD, redriveCount: 1 })
})

it('takes a record that fails at the position of a former letter for another one, in whatever state that was', async () => {
  await move()
  await pool.query(
    "UPDATE holdfast.dead_letters SET state = 'resolved', replay_count = 2, replay_id = 'r1' WHERE source_offset = 903",
  )
  const record = aRecord({ offset: 903n, key: Buffer.from('key'), text: '{', timestampMs: BEFORE_MS + 5 })
  const failed = aDeadLetter(903n, { record, origin: record, dlq: { partition: 0, offset: 1_000n } })
  await pool.query('UPDATE holdfast.stream_progress SET next_offset = 903')
  await store.settle(aWork([], { from: 903n, deadLetters: [failed] }))
  const { rows } = await pool.query(
    `SELECT state, former_topic_id, source_timestamp, replay_count, replay_id, dlq_offset, failures FROM holdfast.dead_letters
      WHERE id = 'orders-0-903'`,
  )
  expect(rows).toEqual([
    {
      ...{
        state: 'open',
        former_topic_id: null,
        source_timestamp: String(BEFORE_MS + 5),
        replay_count: 0,
        replay_id: null,
      },
      ...{ dlq_offset: '1000', failures: '2' },
    },
  ])
  expect(await waitingOfFormer(pool, 'orders', FORMER)).toBe(1)
})

it('keeps a former letter that failed again in a redrive as what it is', async () => {
  await move()
  const letter = aDeadLetter(904n)
  const again = { ...letter, origin: { ...letter.origin, topic: OLD }, redriveId: 'r1', redriveCount: 1 }
  await store.settle(aWork([], { from: 0n, deadLetters: [again] }))
  const { rows } = await pool.query(
    "SELECT state, source_topic, former_topic_id, replay_count FROM holdfast.dead_letters WHERE id = 'orders-0-904'",
  )
  expect(rows).toEqual([{ state: 'open', source_topic: 'orders', former_topic_id: 'topic-1', replay_count: 1 }])
})

it('leaves a letter alone that has taken the id of a former one, which was redriven before, whatever becomes of that', async () => {
  await aRedrive('topic')
  await move()
  await pool.query("UPDATE holdfast.replay_items SET state = 'published'")
  const record = aRecord({ offset: 903n, key: Buffer.from('key'), text: '{', timestampMs: BEFORE_MS + 5 })
  const failed = aDeadLetter(903n, { record, origin: record, dlq: { partition: 0, offset: 1_000n } })
  await pool.query('UPDATE holdfast.stream_progress SET next_offset = 903')
  await store.settle(aWork([], { from: 903n, deadLetters: [failed] }))
  const letter = () =>
    pool.query("SELECT * FROM holdfast.dead_letters WHERE id = 'orders-0-903'").then(({ rows }) => rows[0])
  const before = await letter()

  // The redriven record fails again, and once more it is written.
  const redriven = { redriveId: 'r1', redriveCount: 1 }
  const origin = { topic: OLD, partition: 0, offset: 903n, timestampMs: BEFORE_MS }
  const again = { ...aDeadLetter(903n, { dlq: { partition: 0, offset: 1_001n } }), origin, ...redriven }
  await store.settle(aWork([], { from: 904n, deadLetters: [again] }))
  expect(await letter()).toEqual({ ...before, failures: String(Number(before.failures) + 1) })
  await pool.query("UPDATE holdfast.replay_items SET state = 'published'")
  const written = { ...aReadyOrder({ uid: 'late', ...origin }), redrive: redriven }
  expect(await store.settle(aWork([written], { from: 905n }))).toMatchObject({ closings: { resolved: 1 } })
  expect(await letter()).toMatchObject({ state: 'open', replay_id: null, dlq_offset: '1000' })
  expect((await pool.query('SELECT what FROM holdfast.dead_letter_events')).rows).toEqual([])
  expect((await pool.query('SELECT state FROM holdfast.replay_items')).rows).toEqual([{ state: 'resolved' }])
})

it('tells the deep proof of a letter only where its own record is meant, not one at the same offset of the other topic', async () => {
  const rows = createDeepRows(pool, stream, async () => new Map())
  const kept = async () => [...(await rows.letters(['orders-0-903', 'orders-0-903@', 'orders-0-1'])).keys()]
  expect(await kept()).toEqual(['orders-0-903'])
  await move()
  expect(await kept()).toEqual(['orders-0-903@'])
  expect([OLD, 'orders'].map(topic => letterKey({ topic, partition: 0, offset: 903n }))).toEqual([
    'orders-0-903@',
    'orders-0-903',
  ])
})

it('keeps the letter of the topic that there is where both fail in one batch', async () => {
  await move()
  const origin = { topic: OLD, partition: 0, offset: 903n, timestampMs: BEFORE_MS }
  const deadLetters = [
    aDeadLetter(903n, { dlq: { partition: 0, offset: 1_000n } }),
    { ...aDeadLetter(903n, { dlq: { partition: 0, offset: 1_001n } }), origin, redriveId: 'r1', redriveCount: 1 },
  ]
  await pool.query('UPDATE holdfast.stream_progress SET next_offset = 903')
  await store.settle(aWork([], { from: 903n, deadLetters }))
  const { rows } = await pool.query(
    "SELECT former_topic_id, dlq_offset, failures FROM holdfast.dead_letters WHERE id = 'orders-0-903'",
  )
  expect(rows).toEqual([{ former_topic_id: null, dlq_offset: '1000', failures: '3' }])
})
