import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { DeadLetter } from '#src/engine/dead-letter.ts'
import { createDeadLetterIndex } from '#src/inbox/postgres/dead-letter-index.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { orderTables } from '../support/order-stream.ts'
import { aDeadLetter, aWork } from '../support/orders.ts'
import { aHeader, aRecord } from '../support/records.ts'

let database: MigratedDatabase
beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})
let next = 0n
beforeEach(async () => {
  next = 0n
  await database.pool.query('TRUNCATE holdfast.stream_progress, holdfast.stream_ledger, holdfast.dead_letters')
  await store().startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
})

const store = () => createStreamSettlement({ pool: database.pool, stream: 'orders', tables: orderTables })

async function settle(...deadLetters: DeadLetter[]): Promise<void> {
  const work = aWork([], { from: next, deadLetters })
  next = work.to
  await store().settle(work)
}

async function rows() {
  return (await database.pool.query('SELECT * FROM holdfast.dead_letters ORDER BY id')).rows
}

it('the letters of a key are found with what happened to them, also when they are settled', async () => {
  await settle(aDeadLetter(3n, { key: 'b563' }), aDeadLetter(4n, { key: 'other' }))
  await database.pool.query(`INSERT INTO holdfast.dead_letter_events (dead_letter_id, what, who, detail) VALUES
    ('orders-0-3', 'replayed', NULL, '{"replay_id":"r1"}'), ('orders-0-3', 'resolved', 'ada', '{}')`)
  await database.pool.query(`UPDATE holdfast.dead_letters SET state = 'resolved' WHERE id = 'orders-0-3'`)
  const index = createDeadLetterIndex(database.pool, 'orders')
  const [letter, ...others] = await index.allOfKey('b563')
  expect(others).toEqual([])
  expect(letter).toMatchObject({ id: 'orders-0-3', state: 'resolved', failed_at: expect.stringMatching(/^\d{4}-.*Z$/) })
  expect(letter?.events.slice(-2)).toEqual([
    { at: expect.stringMatching(/^\d{4}-.*Z$/), what: 'replayed', who: null, redrive: 'r1' },
    { at: expect.stringMatching(/^\d{4}-.*Z$/), what: 'resolved', who: 'ada', redrive: null },
  ])
  expect(await createDeadLetterIndex(database.pool, 'returns').allOfKey('b563')).toEqual([])
})

it('a dead letter is indexed with where it stood, why it failed and how large it is', async () => {
  const record = aRecord({ offset: 41n, key: Buffer.from('key'), text: '{"x":1}', headers: [aHeader('h', 'value')] })
  await settle(
    aDeadLetter(41n, {
      record,
      origin: record,
      key: 'b563',
      rejection: {
        reason: 'schema_violation',
        error: 'required',
        pointer: '/payment/amount',
        message: 'is missing',
        violations: [{ pointer: '/payment/amount', keyword: 'required', message: 'is missing' }],
      },
    }),
  )
  expect(await rows()).toEqual([
    {
      id: 'orders-0-41',
      stream: 'orders',
      reason: 'schema_violation',
      error: 'required',
      pointer: '/payment/amount',
      message: 'is missing',
      violations: [{ pointer: '/payment/amount', keyword: 'required', message: 'is missing' }],
      key: 'b563',
      group_id: 'holdfast',
      source_topic: 'orders',
      former_topic_id: null,
      source_partition: 0,
      source_offset: '41',
      source_timestamp: String(record.timestampMs),
      first_failed_at: new Date(1_700_000_000_123),
      failed_at: new Date(1_700_000_000_123),
      failures: '1',
      attempts: 1,
      replay_count: 0,
      state: 'open',
      bytes: String('key'.length + '{"x":1}'.length + 'hvalue'.length),
      dlq_partition: null,
      dlq_offset: null,
      written_by: 'holdfast',
      state_changed_at: expect.any(Date),
      replay_id: null,
      discard_action: null,
    },
  ])
})

it('one that fails again keeps its row, its first failure and what an operator decided', async () => {
  const first = aDeadLetter(41n)
  await settle(first)
  await database.pool.query("UPDATE holdfast.dead_letters SET state = 'discarded'")
  await settle({ ...first, failedAtMs: first.failedAtMs + 5000, attempts: 3 })
  expect(await rows()).toMatchObject([
    {
      id: 'orders-0-41',
      state: 'discarded',
      failures: '2',
      attempts: 3,
      first_failed_at: new Date(first.failedAtMs),
      failed_at: new Date(first.failedAtMs + 5000),
    },
  ])
})

it('one that was redriven and fails again is open again, under its first position', async () => {
  const first = aDeadLetter(41n)
  await settle(first)
  await database.pool.query("UPDATE holdfast.dead_letters SET state = 'replaying'")
  await settle({ ...first, record: aRecord({ offset: 99n }), redriveCount: 1 })
  expect(await rows()).toMatchObject([{ id: 'orders-0-41', source_offset: '41', state: 'open', replay_count: 1 }])
})

it('the same one twice in a batch is one row that counts two failures', async () => {
  const letter = aDeadLetter(41n)
  await settle(letter, { ...letter, record: aRecord({ offset: 42n }), redriveCount: 1 })
  expect(await rows()).toMatchObject([{ id: 'orders-0-41', failures: '2', replay_count: 1 }])
})

it('text that Postgres cannot hold never blocks the partition', async () => {
  const hostile = 'a\0b\ud800c'
  await settle(
    aDeadLetter(41n, {
      rejection: {
        reason: 'schema_violation',
        error: hostile,
        pointer: hostile,
        message: hostile,
        violations: [{ pointer: hostile, keyword: hostile, message: hostile }],
      },
    }),
  )
  const held = 'a\ufffdb\ufffdc'
  expect(await rows()).toMatchObject([
    { error: held, pointer: held, message: held, violations: [{ pointer: held, keyword: held, message: held }] },
  ])
})

it('is indexed with whatever timestamp its record has', async () => {
  const record = aRecord({ offset: 41n, timestampMs: 9.2e18 })
  await settle(aDeadLetter(41n, { record, origin: record }))
  expect(await rows()).toMatchObject([{ source_timestamp: '9200000000000000000' }])
})

it('is asked for the latest one of an order that nobody has settled', async () => {
  const index = createDeadLetterIndex(database.pool, 'orders')
  await settle(
    aDeadLetter(1n, { key: 'b563', failedAtMs: 1_000 }),
    aDeadLetter(2n, { key: 'b563', failedAtMs: 2_000 }),
    aDeadLetter(3n, { key: 'other', failedAtMs: 3_000 }),
  )
  expect(await index.ofKey('b563')).toMatchObject({ id: 'orders-0-2', reason: expect.any(String) })
  await database.pool.query(`UPDATE holdfast.dead_letters SET state = 'resolved' WHERE id = 'orders-0-2'`)
  expect(await index.ofKey('b563')).toMatchObject({ id: 'orders-0-1' })
  await database.pool.query(`UPDATE holdfast.dead_letters SET state = 'discarded' WHERE id = 'orders-0-1'`)
  expect(await index.ofKey('b563')).toBeUndefined()
})
