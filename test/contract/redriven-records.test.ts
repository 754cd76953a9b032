import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { orderTables } from '../support/order-stream.ts'
import { aDeadLetter, aReadyOrder, aWork } from '../support/orders.ts'
import { aRecord } from '../support/records.ts'
import { memoryRedriveHarness, postgresRedriveHarness, REPLAY_MAX } from '../support/redrive-harness.ts'
import { redrivenRecordsSuite } from './redriven-records.suite.ts'

describe('the settlement store in memory', () => {
  redrivenRecordsSuite(async () => memoryRedriveHarness())
})

describe('the settlement store on Postgres', () => {
  let database: MigratedDatabase
  beforeAll(async () => {
    database = await migratedDatabase()
  })
  afterAll(async () => {
    await database[Symbol.asyncDispose]()
  })

  redrivenRecordsSuite(() => postgresRedriveHarness(database.pool))

  it('remembers where the copy stands that failed before: what an edit replaced is still there', async () => {
    const { pool } = database
    await pool.query(
      `TRUNCATE holdfast.stream_progress, holdfast.stream_ledger, holdfast.dead_letters, holdfast.dead_letter_events`,
    )
    const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables, redriveMax: REPLAY_MAX })
    await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
    const first = aDeadLetter(0n, { dlq: { partition: 2, offset: 17n } })
    await store.settle(aWork([], { from: 0n, deadLetters: [first] }))
    const again = { ...first, redriveId: 'r1', redriveCount: 1, dlq: { partition: 2, offset: 40n } }
    await store.settle(aWork([], { from: 1n, deadLetters: [{ ...again, record: aRecord({ offset: 1n }) }] }))
    const { rows } = await pool.query('SELECT what, detail FROM holdfast.dead_letter_events')
    expect(rows).toMatchObject([{ what: 'failed_again', detail: { was_dlq_partition: 2, was_dlq_offset: 17 } }])
  })

  it('runs no statement more for a batch that holds no redriven record', async () => {
    const { pool } = database
    await pool.query(
      'TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger, holdfast.dead_letters',
    )
    const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables, redriveMax: REPLAY_MAX })
    await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
    const redrive = { redriveId: 'r1', redriveCount: 1 }
    const statements = vi.spyOn(pg.Client.prototype, 'query')
    const counts: number[] = []
    const batches = [
      aWork([aReadyOrder({ uid: 'a' })], { from: 0n, deadLetters: [aDeadLetter(1n)] }),
      aWork([{ ...aReadyOrder({ uid: 'b', offset: 2n }), redrive }], { from: 2n, deadLetters: [aDeadLetter(3n)] }),
      aWork([aReadyOrder({ uid: 'c', offset: 4n })], { from: 4n, deadLetters: [aDeadLetter(5n, redrive)] }),
    ]
    for (const work of batches) {
      statements.mockClear()
      await store.settle(work)
      counts.push(statements.mock.calls.length)
    }
    statements.mockRestore()
    // BEGIN, fence, upsert; index, ledger, COMMIT. One more closes loops, another notes what failed again.
    expect(counts).toEqual([6, 7, 8])
  })

  it('knows the redrive of a letter that was purged, so that its record, read again, does not pass for a new one', async () => {
    const { pool } = database
    await pool.query(
      'TRUNCATE holdfast.replays, holdfast.replay_items, holdfast.dead_letters, holdfast.dead_letters_purged, holdfast.replay_items_purged',
    )
    await pool.query(`INSERT INTO holdfast.replays (id, state, filter, requested_by, because, automatic, only_passing, edited, total)
      VALUES ('r1', 'done', '', 'test', '', false, false, false, 1), ('r2', 'done', '', 'test', '', false, false, false, 1)`)
    await pool.query("INSERT INTO holdfast.dead_letters_purged (id) VALUES ('orders-0-0')")
    await pool.query("INSERT INTO holdfast.replay_items_purged (replay_id, state, count) VALUES ('r1', 'resolved', 1)")
    const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables })
    const origin = { topic: 'orders', partition: 0, offset: 0n, timestampMs: 1 }
    const claims = ['r1', 'r2', 'r3'].map(redriveId => ({ redriveId, origin }))
    const known = await store.redrives('holdfast', 'orders', claims)
    expect([...known.keys()]).toEqual(['r1 orders-0-0'])
    expect(known.get('r1 orders-0-0')).toMatchObject({ redriveCount: 1, timestampMs: undefined })
  })
})
