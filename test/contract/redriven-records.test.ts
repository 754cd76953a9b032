import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import type { MemoryLetter } from '../support/memory-inbox.ts'
import { createMemoryStore } from '../support/memory-store.ts'
import type { Order } from '../support/order.ts'
import { orderTables } from '../support/order-stream.ts'
import { aDeadLetter, aReadyOrder, aWork } from '../support/orders.ts'
import { aRecord } from '../support/records.ts'
import { redrivenRecordsSuite } from './redriven-records.suite.ts'

const REPLAY_MAX = 2

describe('the settlement store in memory', () => {
  redrivenRecordsSuite(async () => {
    const store = createMemoryStore<Order>({ redriveMax: REPLAY_MAX })
    const { letters, items, events } = store.inbox
    return {
      store,
      letter: async id => letters.get(id),
      async setState(id, state, redriveId) {
        const letter = letters.get(id)
        if (letter !== undefined) {
          Object.assign(letter, { state: state as MemoryLetter['state'], redriveId: redriveId ?? undefined })
        }
      },
      async addItem(redriveId, id, state) {
        items.set(`${redriveId} ${id}`, { state, outcome: null })
      },
      item: async (redriveId, id) => items.get(`${redriveId} ${id}`),
      events: async id => events.filter(event => event.id === id).map(({ what, detail }) => ({ what, detail })),
    }
  })
})

describe('the settlement store on Postgres', () => {
  let database: MigratedDatabase
  beforeAll(async () => {
    database = await migratedDatabase()
  })
  afterAll(async () => {
    await database[Symbol.asyncDispose]()
  })

  redrivenRecordsSuite(async () => {
    const { pool } = database
    await pool.query(`TRUNCATE orders, deliveries, payments, items, stream_progress, stream_ledger, dead_letters,
      dead_letter_events, replays, replay_items, dead_letters_purged, replay_items_purged`)
    return {
      store: createStreamSettlement({ pool, stream: 'orders', tables: orderTables, redriveMax: REPLAY_MAX }),
      async letter(id) {
        const { rows } = await pool.query('SELECT * FROM dead_letters WHERE id = $1', [id])
        const [row] = rows
        if (row === undefined) return undefined
        const { state, reason, failures, replay_count, dlq_partition, dlq_offset } = row
        return {
          state,
          reason,
          failures: Number(failures),
          redriveCount: replay_count,
          dlq: dlq_offset === null ? undefined : { partition: dlq_partition, offset: BigInt(dlq_offset) },
        }
      },
      async setState(id, state, redriveId) {
        await pool.query('UPDATE dead_letters SET state = $2, replay_id = $3 WHERE id = $1', [id, state, redriveId])
      },
      async addItem(redriveId, id, state) {
        await pool.query(
          `INSERT INTO replays (id, state, filter, requested_by, because, automatic, only_passing, edited, total, topic)
            VALUES ($1, 'done', '', 'test', '', false, false, false, 1, 'orders') ON CONFLICT DO NOTHING`,
          [redriveId],
        )
        await pool.query(
          'INSERT INTO replay_items (replay_id, position, dead_letter_id, state) SELECT $1, count(*) + 1, $2, $3 FROM replay_items',
          [redriveId, id, state],
        )
      },
      async item(redriveId, id) {
        const { rows } = await pool.query(
          'SELECT state, outcome FROM replay_items WHERE replay_id = $1 AND dead_letter_id = $2',
          [redriveId, id],
        )
        return rows[0]
      },
      async events(id) {
        const { rows } = await pool.query(
          'SELECT what, detail FROM dead_letter_events WHERE dead_letter_id = $1 ORDER BY dead_letter_events.id',
          [id],
        )
        return rows
      },
    }
  })

  it('remembers where the copy stands that failed before: what an edit replaced is still there', async () => {
    const { pool } = database
    await pool.query(`TRUNCATE stream_progress, stream_ledger, dead_letters, dead_letter_events`)
    const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables, redriveMax: REPLAY_MAX })
    await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
    const first = aDeadLetter(0n, { dlq: { partition: 2, offset: 17n } })
    await store.settle(aWork([], { from: 0n, deadLetters: [first] }))
    const again = { ...first, redriveId: 'r1', redriveCount: 1, dlq: { partition: 2, offset: 40n } }
    await store.settle(aWork([], { from: 1n, deadLetters: [{ ...again, record: aRecord({ offset: 1n }) }] }))
    const { rows } = await pool.query('SELECT what, detail FROM dead_letter_events')
    expect(rows).toMatchObject([{ what: 'failed_again', detail: { was_dlq_partition: 2, was_dlq_offset: 17 } }])
  })

  it('runs no statement more for a batch that holds no redriven record', async () => {
    const { pool } = database
    await pool.query('TRUNCATE orders, deliveries, payments, items, stream_progress, stream_ledger, dead_letters')
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
    await pool.query('TRUNCATE replays, replay_items, dead_letters, dead_letters_purged, replay_items_purged')
    await pool.query(`INSERT INTO replays (id, state, filter, requested_by, because, automatic, only_passing, edited, total)
      VALUES ('r1', 'done', '', 'test', '', false, false, false, 1), ('r2', 'done', '', 'test', '', false, false, false, 1)`)
    await pool.query("INSERT INTO dead_letters_purged (id) VALUES ('orders-0-0')")
    await pool.query("INSERT INTO replay_items_purged (replay_id, state, count) VALUES ('r1', 'resolved', 1)")
    const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables })
    const origin = { topic: 'orders', partition: 0, offset: 0n, timestampMs: 1 }
    const claims = ['r1', 'r2', 'r3'].map(redriveId => ({ redriveId, origin }))
    const known = await store.redrives('holdfast', 'orders', claims)
    expect([...known.keys()]).toEqual(['r1 orders-0-0'])
    expect(known.get('r1 orders-0-0')).toMatchObject({ redriveCount: 1, timestampMs: undefined })
  })
})
