import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { passedOver } from '#src/engine/postgres/deep-rows.ts'
import { lockMerges, mergeLedger } from '#src/engine/postgres/ledger-merge.ts'
import { type Proof, readProof } from '#src/engine/postgres/proof.ts'
import { createRandom } from '#src/engine/values/random.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { type MigratedDatabase, migratedDatabase, someoneWaitsForALock } from '../support/database.ts'
import { orderTables } from '../support/order-stream.ts'
import { aReadyOrder, aWork } from '../support/orders.ts'
import { provenOrders } from '../support/streams.ts'

const HOUR_MS = 3_600_000
const ALL = { olderThanMs: 24 * HOUR_MS, limit: 1_000_000 }

let database: MigratedDatabase
beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(() => database[Symbol.asyncDispose]())
beforeEach(() =>
  database.pool.query(
    'TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger, holdfast.value_count_changes, holdfast.dead_letters, holdfast.proof_checkpoints',
  ),
)

const query = async (text: string, values: unknown[] = []) => (await database.pool.query(text, values)).rows
const merge = (options = ALL) => mergeLedger(database.pool, 'orders', options)
const proof = () => readProof(database.pool, provenOrders())
const rows = async () =>
  await query(
    'SELECT partition, from_offset, to_offset, records, settled_at::text FROM holdfast.stream_ledger ORDER BY id',
  )
const count = async () => (await rows()).length

interface Row {
  readonly partition: number
  readonly from: number
  readonly to: number
  readonly hoursAgo: number
  readonly written?: number
  readonly gaps?: number
  readonly skipped?: number
  readonly expired?: number
  readonly inserted?: number | null
  readonly group?: string
}

/**
 * In the order in which they were written; progress is where the last row of each partition ends. Hours are counted back from the midnight
 * before the first row is stored. Within its hour each row stands half an hour away from the minute that it is: so none comes of age while a
 * test runs.
 */
async function ledger(given: readonly Row[]): Promise<void> {
  const [{ base }] = await query(
    `SELECT date_trunc('day', now()) + (now() + interval '30 minutes' - date_trunc('hour', now() + interval '30 minutes')) AS base`,
  )
  for (const {
    partition,
    from,
    to,
    hoursAgo,
    gaps = 0,
    skipped = 0,
    expired = 0,
    group = 'holdfast',
    ...row
  } of given) {
    const { written = to - from - gaps - skipped - expired, inserted = 0 } = row
    await query(
      `INSERT INTO holdfast.stream_ledger (topic, partition, group_id, from_offset, to_offset, records, written, duplicate, stale, superseded,
         dead_lettered, gaps, expired, skipped, inserted, settled_at)
       VALUES ('orders', $1, $2, $3, $4, $5, $5, 0, 0, 0, 0, $6, $7, $8, $9, $11::timestamptz - make_interval(hours => $10))`,
      [partition, group, from, to, written, gaps, expired, skipped, inserted, hoursAgo, base],
    )
  }
  await query(
    `INSERT INTO holdfast.stream_progress (topic, partition, group_id, first_offset, next_offset)
     SELECT DISTINCT ON (partition, group_id) 'orders', partition, group_id, first_value(from_offset) OVER (PARTITION BY partition, group_id ORDER BY id),
       to_offset FROM holdfast.stream_ledger ORDER BY partition, group_id, id DESC`,
  )
}

/** Any chain: batches, gaps, what expired and was skipped, moves back, rows of an older version, and damage. */
function anyLedger(seed: number): Row[] {
  const random = createRandom([seed, 17, 4])
  const below = (n: number) => random.between(0, n - 1)
  return [0, 1].flatMap(partition => {
    let at = below(5)
    let hoursAgo = 24 * (3 + below(3))
    return Array.from({ length: 20 + below(60) }, (): Row => {
      hoursAgo = Math.max(-1, hoursAgo - below(4))
      const from = at
      const kind = below(20)
      const length = 1 + below(9)
      at = kind === 0 ? below(at + 1) : from + length
      const row = { partition, from, to: at, hoursAgo }
      if (kind === 0 || kind === 1) return { ...row, skipped: at - from }
      if (kind === 2) return { ...row, expired: length }
      if (kind === 3) return { ...row, inserted: null }
      if (kind === 4) return { ...row, written: length + 1 }
      if (kind === 5) at += 2
      return { ...row, gaps: below(length), inserted: below(2) }
    })
  })
}

/** What it says, but for what a merge may change. */
const said = ({ partitions, totals, expired, skipped, findings }: Proof) => ({
  partitions,
  totals,
  expired,
  skipped,
  findings,
})

describe('merging the ledger', () => {
  it('makes one row of a partition and day, and changes nothing that the proof says', async () => {
    await ledger([
      ...[0, 1].flatMap(partition =>
        Array.from({ length: 72 }, (_, hour): Row => ({ partition, from: hour, to: hour + 1, hoursAgo: 96 - hour })),
      ),
      ...Array.from(
        { length: 30 },
        (_, hour): Row => ({ partition: 0, from: hour, to: hour + 1, hoursAgo: 90 - hour, group: 'others' }),
      ),
    ])
    const before = said(await proof())
    await merge()
    // Three days of either partition; the other group began in the sixth hour of the first. The latest rows stay.
    expect(await count()).toBe(2 * (3 + 1) + 2 + 1)
    expect(said(await proof())).toEqual(before)
    expect(await merge()).toBe(0)
    const [first] = await query('SELECT * FROM holdfast.stream_ledger ORDER BY id LIMIT 1')
    expect(first).toMatchObject({ from_offset: '0', to_offset: '24', records: '24', written: '24', last_batch: null })
    expect(first.settled_at - first.since).toBe(23 * HOUR_MS)
  })

  it.each(Array.from({ length: 25 }, (_, seed) => seed))(
    'changes nothing that the proof says of any ledger (seed %i)',
    async seed => {
      await ledger(anyLedger(seed))
      const before = [said(await proof()), await passedOver(database.pool, 'orders', 'holdfast'), await count()]
      const gone = await merge()
      const after = [said(await proof()), await passedOver(database.pool, 'orders', 'holdfast'), (await count()) + gone]
      expect(after).toEqual(before)
      expect(await merge()).toBe(0)
    },
  )

  it('leaves what is young, and the latest row however old it is', async () => {
    await ledger([50, 49, 48, 3, 2, 1].map((hoursAgo, at) => ({ partition: 0, from: at, to: at + 1, hoursAgo })))
    await query(`UPDATE holdfast.stream_ledger SET settled_at = now() - interval '10 minutes' WHERE from_offset > 2`)
    expect(await merge()).toBe(1) // 48 hours before midnight is another day than 49 and 50
    await query(`UPDATE holdfast.stream_ledger SET settled_at = now() - interval '10 days'`)
    await query('DELETE FROM holdfast.stream_ledger WHERE from_offset > 2')
    expect(await merge()).toBe(0)
  })

  it('keeps apart what an earlier version did not count, of which the proof knows the most only', async () => {
    const counts = [null, null, 1, 1, 1]
    await ledger(counts.map((inserted, at) => ({ partition: 0, from: at, to: at + 1, hoursAgo: 50, inserted })))
    expect(await merge()).toBe(2)
    expect(await query('SELECT written, inserted FROM holdfast.stream_ledger ORDER BY id')).toEqual([
      { written: '2', inserted: null },
      { written: '2', inserted: '2' },
      { written: '1', inserted: '1' },
    ])
  })

  it('waits for another merge, and for a checkpoint that is being left', async () => {
    await ledger([50, 50, 50].map((hoursAgo, at) => ({ partition: 0, from: at, to: at + 1, hoursAgo })))
    const holder = await database.pool.connect()
    await holder.query('BEGIN')
    await holder.query(lockMerges('orders'))
    const merging = merge()
    await someoneWaitsForALock(database.pool)
    expect(await count()).toBe(3)
    await holder.query('ROLLBACK')
    holder.release()
    expect(await merging).toBe(1)
  })

  it('goes on in slices of a transaction each, up to a limit', async () => {
    await query(`INSERT INTO holdfast.stream_ledger (topic, partition, group_id, from_offset, to_offset, records, written, duplicate, stale,
        superseded, dead_lettered, gaps, expired, skipped, inserted, settled_at)
      SELECT 'orders', 0, 'holdfast', n, n + 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, '2026-01-01T00:00:00Z' FROM generate_series(0, 3500) AS n`)
    await ledger([])
    const before = said(await proof())
    expect(await merge({ ...ALL, limit: 1_500 })).toBe(999 + 999)
    expect(said(await proof())).toEqual(before)
    expect(await merge()).toBe(3_499 - 2 * 999)
    expect(await rows()).toMatchObject([
      { from_offset: '0', to_offset: '3500', records: '3500' },
      { from_offset: '3500' },
    ])
    expect(said(await proof())).toEqual(before)
  })

  it('leaves a slice as it was when it fails in the middle', async () => {
    await ledger([50, 50, 50, 50].map((hoursAgo, at) => ({ partition: 0, from: at, to: at + 1, hoursAgo })))
    const before = await rows()
    await query(`CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'stop'; END $$`)
    await query(
      `CREATE TRIGGER stop BEFORE DELETE ON holdfast.stream_ledger FOR EACH ROW WHEN (OLD.from_offset = 2) EXECUTE FUNCTION stop()`,
    )
    try {
      await expect(merge()).rejects.toThrow(/stop/)
      expect(await rows()).toEqual(before)
    } finally {
      await query('DROP TRIGGER stop ON holdfast.stream_ledger')
      await query('DROP FUNCTION stop')
    }
    expect(await merge()).toBe(2)
  })

  it('does not merge rows on both sides of a checkpoint, also once the row of the checkpoint itself is merged', async () => {
    await ledger([50, 50, 50, 50, 50, 50].map((hoursAgo, at) => ({ partition: 0, from: at, to: at + 1, hoursAgo })))
    await query(
      `INSERT INTO holdfast.proof_checkpoints (stream, topic, group_id, proven_at, full_at, partitions)
       SELECT 'orders', 'orders', 'holdfast', now(), now(), jsonb_build_array(jsonb_build_object('partition', 0, 'ledger_id', id))
       FROM holdfast.stream_ledger WHERE from_offset = 1`,
    )
    for (let turn = 0; turn < 2; turn++) {
      await merge()
      expect((await rows()).map(({ from_offset, to_offset }) => [from_offset, to_offset])).toEqual([
        ['0', '2'],
        ['2', '5'],
        ['5', '6'],
      ])
    }
    await query('DELETE FROM holdfast.proof_checkpoints')
    expect(await merge()).toBe(1)
  })

  it('holds up no batch and disturbs no proof, while several of it run', async () => {
    const store = createStreamSettlement({ pool: database.pool, stream: 'orders', tables: orderTables, ownRowFrom: 2 })
    await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
    const least = 150
    let settled = 0
    let merged = 0
    let isSettled = false
    const settle = async () => {
      // On a busy machine the others may not have begun by then.
      for (; settled < least || merged <= 10; settled++) {
        const from = BigInt(2 * settled)
        const two = [0n, 1n].map(n => aReadyOrder({ uid: `o${from + n}`, offset: from + n }))
        const batches = settled % 3 === 0 ? [[two[0]], [two[1]]] : [two]
        let at = from
        for (const batch of batches) {
          const ready = batch.filter(order => order !== undefined)
          await store.settle(aWork(ready, { from: at }))
          at += BigInt(ready.length)
        }
      }
    }
    const settling = settle().finally(() => {
      isSettled = true
    })
    const mergeMeanwhile = async () => {
      while (!isSettled) merged += await merge({ olderThanMs: 0, limit: 1_000_000 })
    }
    const found: unknown[] = []
    const proveMeanwhile = async () => {
      while (!isSettled) found.push(...(await proof()).findings)
    }
    await Promise.all([settling, mergeMeanwhile(), mergeMeanwhile(), proveMeanwhile()])
    expect(merged).toBeGreaterThan(10)
    expect(found).toEqual([])
    const records = 2 * settled
    expect((await proof()).totals).toMatchObject({ records, written: records, inserted: records })
  })
})
