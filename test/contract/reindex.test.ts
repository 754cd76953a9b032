import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { DeadLetter } from '#src/engine/dead-letter.ts'
import { movePartition } from '#src/engine/postgres/moves.ts'
import { readProof } from '#src/engine/postgres/proof.ts'
import type { SettlementStore } from '#src/engine/settlement.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import type { DeadLetterStore } from '#src/inbox/ports.ts'
import { createDeadLetterStore } from '#src/inbox/postgres/dead-letter-store.ts'
import { leaveFormerTopic } from '#src/inbox/postgres/former-topic.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { rebuildIndex } from '#src/inbox/postgres/reindex.ts'
import { readDlqTopic } from '#src/inbox/reindex.ts'
import type { ReindexReport } from '#src/inbox/reindex-rules.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { createMemoryDlq, type MemoryDlq } from '../support/dlq-topic.ts'
import type { Order } from '../support/order.ts'
import { createOrderStream } from '../support/order-stream.ts'
import { aDeadLetter, anOrder, aReadyOrder, aWork } from '../support/orders.ts'
import { aHeader, aRecord } from '../support/records.ts'
import { provenOrders } from '../support/streams.ts'

const REPLAY_MAX = 2
const someone = { who: 'ada', because: 'a test' }
const stream = createOrderStream({
  topic: 'orders',
  dlqTopic: 'orders.dlq',
  groupId: 'holdfast',
  maxBytes: 1024 * 1024,
})
const { judge } = stream

let database: MigratedDatabase
let store: SettlementStore<Order>
let letters: DeadLetterStore
let dlq: MemoryDlq
let next: bigint
beforeAll(async () => {
  database = await migratedDatabase()
  store = createStreamSettlement({
    pool: database.pool,
    stream: stream.name,
    tables: stream.tables,
    redriveMax: REPLAY_MAX,
  })
  letters = createDeadLetterStore(database.pool, 'orders')
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await database.pool.query(`TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger, holdfast.dead_letters,
    holdfast.dead_letter_events, holdfast.dead_letters_purged, holdfast.dead_letters_purged_counts, holdfast.replay_items, holdfast.audit_log`)
  dlq = createMemoryDlq()
  next = 0n
  await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
})

/** What the stream does with its next batch: dead letters go to the topic first. */
async function settle(failing: readonly DeadLetter[], orders: readonly ReadyRecord<Order>[] = []): Promise<void> {
  const work = aWork(orders, { from: next, deadLetters: failing.map(letter => dlq.send(letter)) })
  next = work.to
  await store.settle(work)
}

async function reindex(): Promise<ReindexReport> {
  const reading = await readDlqTopic(dlq, judge)
  const copies = reading.copies()
  return await rebuildIndex(database.pool, { stream, ...reading, copies, redriveMax: REPLAY_MAX, by: someone })
}

async function rows(): Promise<Record<string, unknown>[]> {
  const { rows } = await database.pool.query('SELECT * FROM holdfast.dead_letters ORDER BY id')
  return rows
}

async function findings(): Promise<string[]> {
  return (await readProof(database.pool, provenOrders())).findings.map(({ what }) => what)
}

/** An order without an amount, set aside for that. */
function incomplete(offset: bigint, over: Partial<DeadLetter> = {}): DeadLetter {
  const order = anOrder({ uid: `uid-${offset}` })
  const text = JSON.stringify({ ...order, payment: { ...order.payment, amount: undefined } })
  const record = aRecord({ offset, key: Buffer.from('key'), text, headers: [aHeader('h', 'v')] })
  const verdict = judge(record)
  if (verdict.ok) throw new Error('the order is complete')
  const failedAtMs = 1_750_000_000_000 + Number(offset)
  return aDeadLetter(offset, {
    record,
    origin: record,
    rejection: verdict.rejection,
    key: verdict.key,
    failedAtMs,
    ...over,
  })
}

/** It fails once more, in the redrive. */
function again(first: DeadLetter, redriveId: string, redriveCount: number): DeadLetter {
  const headers = [...first.record.headers, aHeader('holdfast.id', 'x'), aHeader('holdfast.replay-id', redriveId)]
  const record = { ...first.record, offset: next, headers }
  return {
    ...first,
    record,
    redriveId,
    redriveCount,
    failedAtMs: first.failedAtMs + redriveCount * 60_000,
    attempts: 2,
  }
}

function succeeds(offset: bigint, redriveId: string): ReadyRecord<Order> {
  const origin = { topic: 'orders', partition: 0, offset, timestampMs: 1_700_000_000_000 }
  return { ...aReadyOrder({ uid: `uid-${offset}`, offset: next, origin }), redrive: { redriveId, redriveCount: 1 } }
}

/** One letter of each kind and fate. */
async function aLife(): Promise<void> {
  const six = Array.from({ length: 6 }, (_, i) => incomplete(BigInt(i)))
  await settle([
    ...six,
    aDeadLetter(6n),
    aDeadLetter(7n, {
      rejection: { ...aDeadLetter(7n).rejection, reason: 'crash_loop', error: 'crash_loop' },
      attempts: 5,
    }),
  ])
  const [, second, third, fourth, fifth, sixth] = six
  if (!second || !third || !fourth || !fifth || !sixth) throw new Error('six were made')
  await database.pool.query(
    `UPDATE holdfast.dead_letters SET state = 'replaying', replay_id = 'r1' WHERE source_offset BETWEEN 1 AND 4`,
  )
  await settle([again(second, 'r1', 1), again(third, 'r1', 1)], [succeeds(3n, 'r1')])
  await database.pool.query(
    `UPDATE holdfast.dead_letters SET state = 'replaying', replay_id = 'r2' WHERE source_offset = 2`,
  )
  await settle([again(third, 'r2', 2)])
  await database.pool.query(
    `INSERT INTO holdfast.replay_items (replay_id, position, dead_letter_id, state) VALUES ('r1', 1, 'orders-0-4', 'published')`,
  )
  const { action } = await letters.discard(
    { terms: [{ field: 'id', not: false, values: ['orders-0-5', 'orders-0-6'] }] },
    someone,
  )
  await letters.restore(action, someone)
  const parked = await letters.discard({ terms: [{ field: 'id', not: false, values: ['orders-0-2'] }] }, someone)
  await letters.restore(parked.action, someone)
  await letters.discard({ terms: [{ field: 'id', not: false, values: ['orders-0-5'] }] }, someone)
}

describe('an index made anew from the topic', () => {
  it('is the same as before, with what became of each letter', async () => {
    await aLife()
    const before = await rows()
    expect(before.map(({ state }) => state)).toEqual([
      ...['open', 'open', 'parked', 'resolved', 'replaying', 'discarded', 'open', 'open'],
    ])
    expect(await findings()).toEqual([])
    await database.pool.query('TRUNCATE holdfast.dead_letters')
    expect(await findings()).not.toEqual([])

    expect(await reindex()).toEqual({
      read: 11,
      letters: 8,
      added: 8,
      placed: 0,
      purged: 0,
      written_by: { holdfast: 8 },
    })
    const after = await rows()
    // When a decision was taken is known from its event, which was written a moment after it.
    const instants = (all: typeof before) => all.map(row => (row.state_changed_at as Date).getTime())
    const apart = instants(after).map((at, i) => Math.abs(at - (instants(before)[i] ?? 0)))
    expect(Math.max(...apart)).toBeLessThan(60_000)
    const comparable = (all: typeof before) => all.map(({ state_changed_at: _, ...row }) => row)
    expect(comparable(after)).toEqual(comparable(before))
    expect(await findings()).toEqual([])

    const [discard] = await letters.audit({ limit: 2, before: undefined }).then(entries => entries.slice(1))
    expect(await letters.restore(discard?.id ?? '', someone)).toEqual({ restored: 1 })
  })

  it('has every letter open when all that only Postgres knew is gone, but for those whose order is there', async () => {
    await aLife()
    await database.pool.query('TRUNCATE holdfast.dead_letters, holdfast.dead_letter_events, holdfast.replay_items')
    await reindex()
    expect((await rows()).map(({ state }) => state)).toEqual([
      ...['open', 'open', 'parked', 'resolved', 'open', 'open', 'open', 'open'],
    ])
    expect(await findings()).toEqual([])
  })

  it('can be made in a database that has never seen the stream, and counts nothing for it', async () => {
    await aLife()
    await database.pool.query(`TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger, holdfast.dead_letters,
      holdfast.dead_letter_events, holdfast.replay_items`)
    await reindex()
    expect((await rows()).map(({ failures }) => failures)).toEqual(Array.from({ length: 8 }, () => '0'))
    expect(await findings()).toEqual([expect.stringContaining('has no progress in the topic orders')])
  })

  it('counts a letter once that a crash left twice in the topic', async () => {
    dlq.send(incomplete(0n))
    await settle([incomplete(0n), incomplete(1n)])
    await database.pool.query('TRUNCATE holdfast.dead_letters')
    expect(await reindex()).toMatchObject({ read: 3, letters: 2, added: 2 })
    expect(await rows()).toMatchObject([{ failures: '1', dlq_offset: '1' }, { failures: '1' }])
    expect(await findings()).toEqual([])
  })

  it('counts a letter as often as it was read, when an operator had the partition read again', async () => {
    await settle([incomplete(0n), incomplete(1n)])
    await settle([incomplete(0n)]) // as after `holdfast seek`
    await database.pool.query('TRUNCATE holdfast.dead_letters')
    await reindex()
    expect(await rows()).toMatchObject([{ failures: '2' }, { failures: '1' }])
  })

  it('leaves the counting of what is about to be settled to its batch', async () => {
    const letter = dlq.send(incomplete(0n))
    await reindex()
    expect(await rows()).toMatchObject([{ failures: '0', state: 'open' }])
    await store.settle(aWork([], { from: 0n, deadLetters: [letter] }))
    expect(await rows()).toMatchObject([{ failures: '1', state: 'open' }])
    expect(await findings()).toEqual([])
  })

  it('knows which letters are of a topic that was deleted and created again', async () => {
    await store.identify('holdfast', [{ topic: 'orders', partition: 0 }], 'topic-1')
    await settle([incomplete(0n), incomplete(1n)])
    const to = { stream: 'orders', topic: 'orders', partition: 0, groupId: 'holdfast', to: 5n, topicId: 'topic-2' }
    await movePartition(database.pool, to, someone, leaveFormerTopic(stream))
    next = 5n
    await settle([incomplete(5n, { failedAtMs: Date.now() + 60_000 })])
    const before = await rows()
    expect(before.map(row => row.former_topic_id)).toEqual(['topic-1', 'topic-1', null])
    await database.pool.query('TRUNCATE holdfast.dead_letters')
    expect(await reindex()).toMatchObject({ added: 3 })
    expect(await rows()).toEqual(before)
    expect(await findings()).toEqual([])
  })

  it('lacks what was purged', async () => {
    await settle([incomplete(0n), incomplete(1n)])
    await database.pool.query(`DELETE FROM holdfast.dead_letters WHERE source_offset = 0`)
    await database.pool.query(`INSERT INTO holdfast.dead_letters_purged (id) VALUES ('orders-0-0')`)
    await database.pool.query(
      `INSERT INTO holdfast.dead_letters_purged_counts VALUES ('orders', 0, 'holdfast', 'schema_violation', 'required', '', 'resolved', 1, 1)`,
    )
    expect(await reindex()).toMatchObject({ letters: 2, added: 0, purged: 1 })
    expect(await rows()).toHaveLength(1)
  })
})

describe('a full index', () => {
  it('only gets what it lacks', async () => {
    await aLife()
    await database.pool.query(
      `UPDATE holdfast.dead_letters SET message = 'as it was', dlq_partition = NULL, dlq_offset = NULL WHERE source_offset < 3`,
    )
    await database.pool.query('DELETE FROM holdfast.dead_letters WHERE source_offset = 6')
    const before = await rows()
    expect(await reindex()).toMatchObject({ letters: 8, added: 1, placed: 3 })
    const after = await rows()
    expect(after.filter(({ id }) => id !== 'orders-0-6')).toEqual(
      before.map(row => (row.dlq_offset === null ? { ...row, dlq_partition: 0, dlq_offset: expect.any(String) } : row)),
    )
    expect(after.slice(0, 3).map(({ dlq_offset }) => dlq_offset)).toEqual(['0', '8', '10'])
    expect(await findings()).toEqual([])
  })

  it('learns of new places when the topic was made anew', async () => {
    await settle([incomplete(0n), incomplete(1n), incomplete(2n)])
    dlq.remake(({ offset }) => offset !== 0n)
    expect(await reindex()).toMatchObject({ added: 0, placed: 2 })
    expect((await rows()).map(({ dlq_offset }) => dlq_offset)).toEqual(['0', '0', '1'])
  })

  it('keeps places that are noted while the topic is read', async () => {
    await settle([incomplete(0n)])
    const reading = await readDlqTopic(dlq, judge)
    await settle([incomplete(0n)])
    const copies = reading.copies()
    await rebuildIndex(database.pool, { stream, ...reading, copies, redriveMax: REPLAY_MAX, by: someone })
    expect(await rows()).toMatchObject([{ dlq_offset: '1', failures: '2' }])
  })

  it('is left alone by a second run, which the audit log tells of all the same', async () => {
    await aLife()
    const before = await rows()
    expect(await reindex()).toMatchObject({ added: 0, placed: 0 })
    expect(await rows()).toEqual(before)
    const [entry] = await letters.audit({ limit: 1, before: undefined })
    expect(entry).toMatchObject({ who: 'ada', what: 'reindex', counts: { read: 11, letters: 8, added: 0 } })
  })
})

describe('dead letters of other programs', () => {
  const spring = (offset: bigint) => {
    const partition = Buffer.alloc(4)
    const at = Buffer.alloc(8)
    at.writeBigInt64BE(offset)
    return [
      aHeader('kafka_dlt-original-topic', 'orders'),
      ['kafka_dlt-original-partition', partition] as const,
      ['kafka_dlt-original-offset', at] as const,
      aHeader('kafka_dlt-exception-fqcn', 'com.example.NoSuchCustomerException'),
      aHeader('kafka_dlt-exception-message', 'ada@example.org'),
    ]
  }

  it('are indexed with what their headers say, and with what their bytes break by our rules', async () => {
    dlq.put(0, { value: JSON.stringify(anOrder({ uid: 'good' })), headers: spring(500n) })
    dlq.put(1, { value: '{', headers: spring(501n) })
    dlq.put(1, { value: '{', headers: [] })
    expect(await reindex()).toMatchObject({ added: 3, written_by: { spring: 2, unknown: 1 } })
    expect(await rows()).toMatchObject([
      {
        id: 'orders-0-500',
        written_by: 'spring',
        reason: 'unexpected_error',
        error: 'NoSuchCustomerException',
        message: 'set aside by Spring Kafka with com.example.NoSuchCustomerException',
        key: 'good',
        state: 'open',
        failures: '0',
        dlq_partition: 0,
        dlq_offset: '0',
      },
      { id: 'orders-0-501', reason: 'malformed_json', error: 'NoSuchCustomerException', key: null },
      {
        id: 'orders.dlq-1-1',
        written_by: 'unknown',
        reason: 'malformed_json',
        error: 'not_json',
        source_topic: 'orders.dlq',
      },
    ])
    expect(JSON.stringify(await rows())).not.toContain('ada@')
    expect(await findings()).toEqual([])
  })

  it('give way to ours of the same record, whatever came first', async () => {
    dlq.put(0, { value: '{', headers: spring(0n) })
    await settle([incomplete(0n)])
    dlq.put(0, { value: '{', headers: spring(0n) })
    await database.pool.query('TRUNCATE holdfast.dead_letters')
    await reindex()
    expect(await rows()).toMatchObject([
      { id: 'orders-0-0', written_by: 'holdfast', reason: 'schema_violation', dlq_offset: '1', failures: '1' },
    ])
  })

  it('become ours when they are redriven and fail here', async () => {
    dlq.put(0, { value: '{', headers: spring(500n) })
    await reindex()
    const origin = { topic: 'orders', partition: 0, offset: 500n, timestampMs: 1_760_000_000_000 }
    await settle([aDeadLetter(0n, { origin, redriveId: 'r1', redriveCount: 1 })])
    expect(await rows()).toMatchObject([
      { id: 'orders-0-500', written_by: 'holdfast', failures: '1', replay_count: 1, state: 'open', dlq_offset: '1' },
    ])
    expect(await findings()).toEqual([])
  })
})
