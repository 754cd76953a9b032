import type pg from 'pg'
import { RecordRefusedError } from '#src/engine/errors.ts'
import type { Origin } from '#src/engine/record.ts'
import type { SettlementStore } from '#src/engine/settlement.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { createRedrivePages } from '#src/inbox/postgres/redrive-pages.ts'
import type { RedrivePages } from '#src/inbox/redrive-settlement.ts'
import type { MemoryLetter } from './memory-inbox.ts'
import { createMemoryStore } from './memory-store.ts'
import type { Order } from './order.ts'
import { orderTables } from './order-stream.ts'

export interface LetterStanding {
  readonly state: string
  readonly reason: string
  readonly failures: number
  readonly redriveCount: number
  readonly dlq: { readonly partition: number; readonly offset: bigint } | undefined
}

/** A store with nothing in it, and a look at what it makes of dead letters. It parks after two redrives. */
export interface RedriveHarness {
  readonly store: SettlementStore<Order>
  readonly pages: RedrivePages<Order>
  letter(id: string): Promise<LetterStanding | undefined>
  /** What an operator or a worker does. */
  setState(id: string, state: string, redriveId: string | null): Promise<void>
  addItem(redriveId: string, id: string, state: 'pending' | 'claimed' | 'published'): Promise<void>
  item(redriveId: string, id: string): Promise<{ readonly state: string; readonly outcome: string | null } | undefined>
  /** A worker has the redrive: the so many-th one. */
  hold(redriveId: string, epoch: number): Promise<void>
  /** Where the stored version of an order comes from. */
  stored(key: string): Promise<Pick<Origin, 'partition' | 'offset'> | undefined>
  /** How many keys redrives into the store have added. */
  added(): Promise<number>
  /** Oldest first. */
  events(id: string): Promise<readonly { readonly what: string; readonly detail: object }[]>
}

export const REPLAY_MAX = 2

/** Both refuse an order whose amount is 666. */
export function memoryRedriveHarness(): RedriveHarness {
  const store = createMemoryStore<Order>({
    redriveMax: REPLAY_MAX,
    refuse: ({ value }) =>
      value.payment.amount === 666 ? new RecordRefusedError('refused', { sqlState: '23514' }) : undefined,
  })
  const { letters, items, events } = store.inbox
  return {
    ...{ store, pages: store.pages },
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
    async hold(redriveId, epoch) {
      store.epochs.set(redriveId, epoch)
    },
    item: async (redriveId, id) => items.get(`${redriveId} ${id}`),
    events: async id => events.filter(event => event.id === id).map(({ what, detail }) => ({ what, detail })),
    async stored(key) {
      const { partition = 0, offset = 0n } = store.rows.get(key)?.origin ?? {}
      return store.rows.has(key) ? { partition, offset } : undefined
    },
    added: async () => store.added(),
  }
}

export async function postgresRedriveHarness(pool: pg.Pool, copyFrom?: number): Promise<RedriveHarness> {
  await pool.query(`TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger, holdfast.dead_letters,
    holdfast.dead_letter_events, holdfast.replays, holdfast.replay_items, holdfast.dead_letters_purged, holdfast.replay_items_purged, holdfast.value_count_changes`)
  await pool.query(
    'ALTER TABLE payments DROP CONSTRAINT IF EXISTS test_only, ADD CONSTRAINT test_only CHECK (amount <> 666)',
  )
  const options = { pool, stream: 'orders', tables: orderTables, redriveMax: REPLAY_MAX, copyFrom }
  return {
    store: createStreamSettlement(options),
    pages: createRedrivePages(options),
    async letter(id) {
      const { rows } = await pool.query('SELECT * FROM holdfast.dead_letters WHERE id = $1', [id])
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
      await pool.query('UPDATE holdfast.dead_letters SET state = $2, replay_id = $3 WHERE id = $1', [
        id,
        state,
        redriveId,
      ])
    },
    async addItem(redriveId, id, state) {
      await pool.query(
        `INSERT INTO holdfast.replays (id, state, filter, requested_by, because, automatic, only_passing, edited, total, topic)
          VALUES ($1, 'done', '', 'test', '', false, false, false, 1, 'orders') ON CONFLICT DO NOTHING`,
        [redriveId],
      )
      await pool.query(
        'INSERT INTO holdfast.replay_items (replay_id, position, dead_letter_id, state) SELECT $1, count(*) + 1, $2, $3 FROM holdfast.replay_items',
        [redriveId, id, state],
      )
    },
    async hold(redriveId, epoch) {
      await pool.query(`UPDATE holdfast.replays SET state = 'running', topic = '', epoch = $2 WHERE id = $1`, [
        redriveId,
        epoch,
      ])
    },
    async item(redriveId, id) {
      const { rows } = await pool.query(
        'SELECT state, outcome FROM holdfast.replay_items WHERE replay_id = $1 AND dead_letter_id = $2',
        [redriveId, id],
      )
      return rows[0]
    },
    async events(id) {
      const { rows } = await pool.query(
        'SELECT what, detail FROM holdfast.dead_letter_events WHERE dead_letter_id = $1 ORDER BY dead_letter_events.id',
        [id],
      )
      return rows
    },
    async stored(key) {
      const { rows } = await pool.query(
        'SELECT source_partition AS partition, source_offset AS offset FROM orders WHERE order_uid = $1',
        [key],
      )
      return rows[0] && { partition: rows[0].partition, offset: BigInt(rows[0].offset) }
    },
    async added() {
      const { rows } = await pool.query('SELECT sum(values)::int AS sum FROM holdfast.value_count_changes')
      return rows[0].sum ?? 0
    },
  }
}
