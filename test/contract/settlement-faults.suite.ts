import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import {
  OwnershipLostError,
  ProgressSetBackError,
  StoreContendedError,
  StoreMisconfiguredError,
  StoreUnavailableError,
} from '#src/engine/errors.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import type { SettlementStore } from '#src/engine/settlement.ts'
import type { Tables } from '#src/engine/value-sql.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { type MigratedDatabase, migratedDatabase, someoneWaitsForALock } from '../support/database.ts'
import { wireToPostgres } from '../support/faults/wire-to-postgres.ts'
import type { Order } from '../support/order.ts'
import { orderTables } from '../support/order-stream.ts'
import { aDeadLetter, aReadyOrder, aWork } from '../support/orders.ts'
import { freshDatabase } from '../support/stack.ts'

const CANCELS_ITSELF = 'SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(10)'

/**
 * What the store on Postgres does when something breaks under it. What it promises otherwise: settlement-store.suite.ts
 * @param copyFrom which road batches take: 1 for COPY, Infinity for the upsert
 */
export function settlementFaultsSuite(copyFrom: number): void {
  let database: MigratedDatabase
  let pool: pg.Pool
  /** Locks are waited for half as long: short, for tests that wait until they time out. */
  let hasty: pg.Pool
  beforeAll(async () => {
    database = await migratedDatabase()
    pool = database.pool
    hasty = createPool({ url: database.url, schema: 'holdfast', max: 2, statementTimeoutMs: 1_000, name: 'hasty' })
  })
  afterAll(async () => {
    await hasty.end()
    await database[Symbol.asyncDispose]()
  })
  beforeEach(async () => {
    await pool.query(
      'TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger, holdfast.dead_letters',
    )
  })

  async function started(tables: Tables<Order> = orderTables, through = pool): Promise<SettlementStore<Order>> {
    const store = createStreamSettlement({ pool: through, stream: 'orders', tables, copyFrom })
    await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
    return store
  }

  const four = ['a', 'b', 'c', 'd'].map((uid, index) => aReadyOrder({ uid, offset: BigInt(index) }))

  async function count(table: string): Promise<number> {
    const { rows } = await pool.query(`SELECT count(*)::integer AS count FROM ${table}`)
    return rows[0]?.count
  }

  /** Holds the row of order `uid` in a transaction of its own while `work` runs. */
  async function whileLocked<R>(sql: string, work: () => Promise<R>): Promise<R> {
    const holder = await pool.connect()
    try {
      await holder.query("SET idle_in_transaction_session_timeout = '1min'")
      await holder.query('BEGIN')
      await holder.query(sql)
      return await work()
    } finally {
      await holder.query('ROLLBACK')
      holder.release(true)
    }
  }

  it('a BEGIN that fails: nothing of the batch is stored, its progress least of all, and the next attempt settles it', async () => {
    const one = createPool({
      url: database.url,
      schema: 'holdfast',
      max: 1,
      statementTimeoutMs: 30_000,
      name: 'test',
    })
    onTestFinished(() => one.end())
    const store = await started(orderTables, one)
    const counts = async () => [await count('orders'), await count('holdfast.stream_ledger')]
    const progress = async () => (await pool.query('SELECT next_offset FROM holdfast.stream_progress')).rows
    const before = await progress()
    // (A time limit that was that of the statement before may cancel it. Here the server gets one instead that cancels itself.)
    const client = await one.connect()
    const send = client.query.bind(client) as (...query: unknown[]) => unknown
    let failures = 1
    const query = (statement: unknown, ...rest: unknown[]) =>
      send(String(statement).startsWith('BEGIN') && failures-- > 0 ? CANCELS_ITSELF : statement, ...rest)
    Object.assign(client, { query })
    client.release()
    const work = aWork(four, { from: 0n, deadLetters: [aDeadLetter(4n)] })
    await expect(store.settle(work)).rejects.toThrow(StoreContendedError)
    expect(await progress()).toEqual(before)
    expect(await counts()).toEqual([0, 0])
    expect(await store.settle(work)).toMatchObject({ kind: 'settled', counts: { written: 4, dead_lettered: 1 } })
    expect(await counts()).toEqual([4, 1])
  })

  describe('a reply that is lost', () => {
    it('to COMMIT: the next attempt finds the batch settled, and writes it no second time', async () => {
      const wire = await wireToPostgres(database.url)
      const throughWire = createPool({
        url: wire.url,
        schema: 'holdfast',
        max: 1,
        statementTimeoutMs: 10_000,
        name: 'test',
      })
      await started()
      const store = createStreamSettlement({ pool: throughWire, stream: 'orders', tables: orderTables, copyFrom })
      const work = aWork(four, { from: 0n, deadLetters: [aDeadLetter(4n)] })

      wire.set({ kind: 'lose-reply', request: 'COMMIT', reply: 'COMMIT' })
      await expect(store.settle(work)).rejects.toThrow(StoreUnavailableError)

      wire.set({ kind: 'pass' })
      expect(await store.settle(work)).toEqual({
        kind: 'settled',
        counts: { written: 4, duplicate: 0, stale: 0, superseded: 0, dead_lettered: 1 },
        written: undefined,
      })
      expect(await count('holdfast.stream_ledger')).toBe(1)
      await throughWire.end()
    })

    it('to COMMIT, and progress was set back since: the batch does not count as settled', async () => {
      const store = await started()
      await store.settle(aWork(four.slice(0, 2), { from: 0n }))
      const last = aWork(four.slice(2), { from: 2n })
      await store.settle(last)
      await pool.query('UPDATE holdfast.stream_progress SET next_offset = 0')
      await expect(store.settle(last)).rejects.toThrow(ProgressSetBackError)
    })

    it('because nothing moves any more: the wait ends, and the next connection works', async () => {
      const wire = await wireToPostgres(database.url)
      const throughWire = createPool({
        url: wire.url,
        schema: 'holdfast',
        max: 1,
        // What comes after the silence must not take as long, also on a busy machine.
        statementTimeoutMs: 5_000,
        name: 'test',
      })
      await started()
      const store = createStreamSettlement({ pool: throughWire, stream: 'orders', tables: orderTables, copyFrom })
      await store.probe()

      wire.set({ kind: 'black-hole' })
      await expect(store.settle(aWork(four, { from: 0n }))).rejects.toThrow(StoreUnavailableError)
      wire.set({ kind: 'pass' })

      expect(await store.settle(aWork(four, { from: 0n }))).toMatchObject({ kind: 'settled', counts: { written: 4 } })
      await throughWire.end()
    })
  })

  describe('a second stream on one topic', () => {
    const place = { topic: 'orders', partition: 0 }

    it.each([
      ['in the same group, where each would settle the records of the other', 'holdfast'],
      ['in another group, where both would have dead letters of the same ids', 'holdfast-returns'],
    ])('is refused %s', async (_why, group) => {
      await started()
      const returns = createStreamSettlement({ pool, stream: 'returns', tables: orderTables })
      const refused =
        /the stream orders consumes orders-0, in the group holdfast: .*returns.*; give the stream returns a topic/
      await expect(returns.readProgress(group, [place])).rejects.toThrow(refused)
      await expect(returns.startProgress(group, { ...place, nextOffset: 0n })).rejects.toThrow(refused)
      expect(await count('holdfast.stream_progress')).toBe(1)
    })

    it('is refused as it starts at the same time as the first one, and leaves nothing behind', async () => {
      const [orders, returns] = ['orders', 'returns'].map(stream =>
        createStreamSettlement({ pool, stream, tables: orderTables }),
      )
      const starts = [orders, returns].map((store, index) =>
        store?.startProgress(`group-${index}`, { ...place, nextOffset: 0n }),
      )
      const ends = await Promise.allSettled(starts)
      expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
      expect(await count('holdfast.stream_progress')).toBe(1)
    })

    it('consumes it once what is stored has its name, as the manual says', async () => {
      await started()
      const manual = readFileSync(new URL('../../docs/streams.md', import.meta.url), 'utf8')
      const [, sql = ''] = /## Renaming a stream.*?```sql\n(.*?)```/s.exec(manual) ?? []
      const { rows: tables } = await pool.query(
        "SELECT table_name AS name FROM information_schema.columns WHERE column_name = 'stream' AND table_schema = 'holdfast'",
      )
      for (const { name } of tables) expect(sql).toContain(`UPDATE holdfast.${name} SET`)
      await pool.query(sql.replaceAll("'old-name'", "'orders'").replaceAll("'new-name'", "'returns'"))
      const returns = createStreamSettlement({ pool, stream: 'returns', tables: orderTables })
      expect(await returns.readProgress('holdfast', [place])).toMatchObject([{ nextOffset: 0n }])
      await pool.query("UPDATE holdfast.stream_progress SET stream = 'orders'")
    })
  })

  describe('a COMMIT that writes nothing', () => {
    it('is found out by its answer: the batch is not taken for settled', async () => {
      // Given a transaction that has failed on the server without an error that anybody was told
      const spoiled = createPool({
        url: database.url,
        schema: 'holdfast',
        max: 1,
        statementTimeoutMs: 10_000,
        name: 'test',
      })
      const client = await spoiled.connect()
      const send = client.query.bind(client) as (statement: unknown) => Promise<unknown>
      Object.assign(client, {
        query(statement: unknown) {
          if (statement === 'COMMIT') void send('SELECT 1 / 0').catch(() => {})
          return send(statement)
        },
      })
      client.release()
      await started()

      // When a batch is settled on it, then Postgres answers COMMIT with ROLLBACK, and the store says so
      const store = createStreamSettlement({ pool: spoiled, stream: 'orders', tables: orderTables, copyFrom })
      await expect(store.settle(aWork(four, { from: 0n }))).rejects.toThrow(/COMMIT was answered with ROLLBACK/)
      await expect(store.expire('holdfast', { topic: 'orders', partition: 0 }, 0n, 4n)).rejects.toThrow(/ROLLBACK/)
      expect([await count('orders'), await count('holdfast.stream_ledger')]).toEqual([0, 0])
      await spoiled.end()
    })
  })

  describe('a server that goes away', () => {
    it('in the middle of a batch: nothing of it is written, nobody crashes, and it can be tried again', async () => {
      const store = await started()
      await whileLocked('SELECT 1 FROM holdfast.stream_progress FOR UPDATE', async () => {
        const settling = store.settle(aWork(four, { from: 0n }))
        const outcome = expect(settling).rejects.toThrow(StoreUnavailableError)
        await someoneWaitsForALock(pool)
        await pool.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        )
        await outcome
      })
      expect(await count('orders')).toBe(0)
      expect(await store.settle(aWork(four, { from: 0n }))).toMatchObject({ kind: 'settled' })
    })

    it('between two batches: an idle connection that broke is not lent again', async () => {
      await started()
      const one = createPool({
        url: database.url,
        schema: 'holdfast',
        max: 1,
        statementTimeoutMs: 10_000,
        name: 'idle',
      })
      const store = createStreamSettlement({ pool: one, stream: 'orders', tables: orderTables, copyFrom })
      await store.probe()
      const removed = new Promise<void>(resolve => one.once('remove', () => resolve()))
      await pool.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'holdfast-idle/%'",
      )
      await removed
      expect(await store.settle(aWork(four, { from: 0n }))).toMatchObject({ kind: 'settled' })
      await one.end()
    })

    it('and comes back as a standby: it counts as away, for the batch and for the probe', async () => {
      const store = await started()
      const admin = createPool({
        url: database.url,
        schema: 'holdfast',
        max: 1,
        statementTimeoutMs: 10_000,
        name: 'admin',
      })
      const name = new URL(database.url).pathname.slice(1)
      await admin.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`)
      const readOnly = createPool({
        url: database.url,
        schema: 'holdfast',
        max: 2,
        statementTimeoutMs: 10_000,
        name: 'test',
      })
      const storeThere = createStreamSettlement({ pool: readOnly, stream: 'orders', tables: orderTables, copyFrom })
      try {
        await expect(storeThere.probe()).rejects.toThrow(StoreUnavailableError)
        await expect(storeThere.settle(aWork(four, { from: 0n }))).rejects.toThrow(StoreUnavailableError)
        expect(readOnly.totalCount).toBe(0) // destroyed: the next connection may find the new primary
      } finally {
        await admin.query('SET default_transaction_read_only = off')
        await admin.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`)
        await admin.end()
        await readOnly.end()
      }
      await store.probe()
    })
  })

  describe('contention', () => {
    const locked = "SELECT 1 FROM orders WHERE order_uid = 'c' FOR UPDATE"

    it('blames nobody at first: the batch is tried again', async () => {
      const store = await started()
      await store.settle(aWork(four, { from: 0n }))
      const work = aWork(
        four.map((order, index) => aReadyOrder({ uid: order.key, offset: BigInt(index + 4) })),
        { from: 4n },
      )
      await whileLocked(locked, async () => {
        await expect((await started(orderTables, hasty)).settle(work)).rejects.toThrow(StoreContendedError)
      })
      expect(await store.settle(work)).toMatchObject({ kind: 'settled', counts: { written: 4 } })
    })

    it('is pinned on the one order that causes it, once the batch is to be taken apart', async () => {
      const store = await started()
      await pool.query(`
      CREATE FUNCTION too_slow() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'canceling statement' USING ERRCODE = '57014'; END $$;
      CREATE TRIGGER too_slow BEFORE INSERT ON orders FOR EACH ROW WHEN (NEW.order_uid = 'c') EXECUTE FUNCTION too_slow()`)
      try {
        expect(await store.settle(aWork(four, { from: 0n, isolate: true }))).toMatchObject({
          kind: 'refused',
          culprits: [{ index: 2, error: '57014', kind: 'unforeseen' }],
        })
      } finally {
        await pool.query('DROP TRIGGER too_slow ON orders; DROP FUNCTION too_slow')
      }
    })

    it('over a lock that somebody else holds is never pinned on an order', async () => {
      await (await started()).settle(aWork(four, { from: 0n }))
      const store = await started(orderTables, hasty)
      const again = four.map((order, index) => aReadyOrder({ uid: order.key, offset: BigInt(index + 4) }))
      await whileLocked(locked, async () => {
        await expect(store.settle(aWork(again, { from: 4n, isolate: true }))).rejects.toThrow(StoreContendedError)
      })
    })

    it('on the fence is never pinned on an order', async () => {
      const store = await started(orderTables, hasty)
      await whileLocked('SELECT 1 FROM holdfast.stream_progress FOR UPDATE', async () => {
        await expect(store.settle(aWork(four, { from: 0n, isolate: true }))).rejects.toThrow(StoreContendedError)
      })
    })
  })

  describe('an error that nobody foresaw', () => {
    const bug = new TypeError('cannot read properties of undefined')
    const stumbling = (uids: readonly string[]): Tables<Order> => {
      const stumble = (records: readonly ReadyRecord<Order>[]) => {
        if (records.some(record => uids.includes(record.key))) throw bug
      }
      return {
        ...orderTables,
        upsert(records) {
          stumble(records)
          return orderTables.upsert(records)
        },
        copies(records, storedAtMicros) {
          stumble(records)
          return orderTables.copies(records, storedAtMicros)
        },
      }
    }

    it('is thrown as it is, and pinned on its record when the batch is taken apart', async () => {
      const store = await started(stumbling(['b']))
      await expect(store.settle(aWork(four, { from: 0n }))).rejects.toBe(bug)
      expect(await store.settle(aWork(four, { from: 0n, isolate: true }))).toMatchObject({
        kind: 'refused',
        culprits: [{ index: 1, error: 'TypeError', kind: 'unforeseen' }],
      })
      expect(await count('orders')).toBe(0)
    })

    it('that every record meets is our bug, and none of them is to blame', async () => {
      const store = await started(stumbling(['a', 'b', 'c', 'd']))
      await expect(store.settle(aWork(four, { from: 0n, isolate: true }))).rejects.toBe(bug)
    })
  })

  describe('what the server answers', () => {
    it('never costs a connection: neither a refusal nor a lost partition does', async () => {
      await started()
      const one = createPool({
        url: database.url,
        schema: 'holdfast',
        max: 1,
        statementTimeoutMs: 10_000,
        name: 'test',
      })
      const store = createStreamSettlement({ pool: one, stream: 'orders', tables: orderTables, copyFrom })
      let removed = 0
      one.on('remove', () => {
        removed += 1
      })
      await pool.query('ALTER TABLE payments ADD CONSTRAINT test_only CHECK (amount <> 666)')
      try {
        const refused = [...four.slice(0, 3), aReadyOrder({ uid: 'd', offset: 3n, amount: 666 })]
        expect(await store.settle(aWork(refused, { from: 0n }))).toMatchObject({ kind: 'refused' })
        await expect(store.settle(aWork(four, { from: 7n }))).rejects.toThrow(OwnershipLostError)
        expect(await store.settle(aWork(four, { from: 0n }))).toMatchObject({ kind: 'settled' })
        expect(removed).toBe(0)
      } finally {
        await pool.query('ALTER TABLE payments DROP CONSTRAINT test_only')
        await one.end()
      }
    })
  })

  describe('records that only fail together', () => {
    it('are found: what passed before stays in the transaction that searches', async () => {
      const store = await started()
      await pool.query('CREATE UNIQUE INDEX test_only ON payments (amount)')
      try {
        const records = ['a', 'b', 'c'].map((uid, index) =>
          aReadyOrder({ uid, offset: BigInt(index), amount: uid === 'b' ? 2 : 1 }),
        )
        expect(await store.settle(aWork(records, { from: 0n }))).toMatchObject({
          kind: 'refused',
          culprits: [{ index: 2, error: '23505' }],
        })
      } finally {
        await pool.query('DROP INDEX test_only')
      }
    })
  })

  describe('a code that does not tell whose fault it is', () => {
    /** Runs `work` while the database has what `up` adds. */
    async function whilst(up: string, down: string, work: () => Promise<void>): Promise<void> {
      await pool.query(up)
      try {
        await work()
      } finally {
        await pool.query(down)
      }
    }
    const trigger = (when: string, how: string) => `
    CREATE FUNCTION test_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${how} END $$;
    CREATE TRIGGER test_only ${when} EXECUTE FUNCTION test_only()`
    const NO_TRIGGER = 'DROP FUNCTION test_only() CASCADE'
    const raise = "RAISE EXCEPTION 'no order %', NEW.order_uid; RETURN NEW;"

    it.each([
      { what: 'an exception of a trigger', how: raise, sqlState: 'P0001' },
      { what: 'one with a code of its own', how: raise.replace(';', " USING ERRCODE = 'ZX001';"), sqlState: 'ZX001' },
      { what: 'a check option', how: raise.replace(';', " USING ERRCODE = '44000';"), sqlState: '44000' },
      { what: 'an internal error', how: raise.replace(';', " USING ERRCODE = 'XX000';"), sqlState: 'XX000' },
    ])("is the record's where its neighbours pass: $what", async ({ how, sqlState }) => {
      const store = await started()
      const one = trigger("BEFORE INSERT ON orders FOR EACH ROW WHEN (NEW.order_uid = 'c')", how)
      await whilst(one, NO_TRIGGER, async () => {
        const settlement = await store.settle(aWork(four, { from: 0n }))
        expect(settlement).toMatchObject({ culprits: [{ index: 2, error: sqlState, kind: 'refused' }] })
        expect(JSON.stringify(settlement)).not.toContain('no order')
        // Alone in its batch it has no neighbours: a write without rows says as much.
        expect(await store.settle(aWork(four.slice(2, 3), { from: 0n }))).toMatchObject({ culprits: [{ index: 0 }] })
      })
    })

    it("is the record's where row-level security forbids its row alone", async () => {
      const user = new URL(database.url)
      // Roles are those of the server, which other runs may use as well.
      const role = `test_only_${randomUUID().slice(0, 8)}`
      user.username = role
      user.password = role
      const up = `CREATE ROLE ${role} LOGIN PASSWORD '${role}';
      GRANT USAGE ON SCHEMA holdfast TO ${role};
      GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, holdfast TO ${role};
      ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
      CREATE POLICY test_only ON orders USING (true) WITH CHECK (order_uid <> 'b')`
      const down = `DROP POLICY test_only ON orders; ALTER TABLE orders DISABLE ROW LEVEL SECURITY;
      DROP OWNED BY ${role}; DROP ROLE ${role}`
      await whilst(up, down, async () => {
        const limited = createPool({
          url: user.href,
          schema: 'holdfast',
          max: 1,
          statementTimeoutMs: 10_000,
          name: 'test',
        })
        const store = await started(orderTables, limited)
        expect(await store.settle(aWork(four, { from: 0n }))).toMatchObject({
          culprits: [{ index: 1, error: '42501' }],
        })
        // A missing right, with the same code, meets a write without rows as well.
        await pool.query(`REVOKE INSERT ON payments FROM ${role}`)
        for (const orders of [four, four.slice(0, 1)]) {
          const settling = store.settle(aWork(orders, { from: 0n }))
          await expect(settling).rejects.toThrow(StoreMisconfiguredError)
          await expect(settling).rejects.toThrow(/permission denied for table payments.*42501.*grant this right/)
        }
        await limited.end()
      })
    })

    it('is ours where a write without rows meets it', async () => {
      const store = await started()
      const each = trigger('BEFORE INSERT ON orders FOR EACH STATEMENT', "RAISE EXCEPTION 'closed'; RETURN NULL;")
      await whilst(each, NO_TRIGGER, async () => {
        for (const orders of [four, four.slice(0, 1)]) {
          await expect(store.settle(aWork(orders, { from: 0n }))).rejects.toThrow(StoreMisconfiguredError)
        }
      })
    })

    it("is the record's also where only what it replaces is refused, or where the check comes with COMMIT", async () => {
      const store = await started()
      const longer = four.map(order => ({ ...aReadyOrder({ uid: order.key, offset: order.record.offset, items: 2 }) }))
      await store.settle(aWork(longer, { from: 0n }))
      const shorter = four.map(({ key: uid }, i) => aReadyOrder({ uid, offset: BigInt(4 + i) }))
      const trimmed = trigger(
        "BEFORE DELETE ON items FOR EACH ROW WHEN (OLD.order_uid = 'b')",
        "RAISE EXCEPTION 'kept'; RETURN OLD;",
      )
      await whilst(trimmed, NO_TRIGGER, async () => {
        expect(await store.settle(aWork(shorter, { from: 4n }))).toMatchObject({ culprits: [{ index: 1 }] })
        expect(await store.settle(aWork(shorter.slice(1, 2), { from: 4n }))).toMatchObject({ culprits: [{ index: 0 }] })
      })
      const deferred = trigger(
        "AFTER UPDATE ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.order_uid = 'd')",
        raise,
      ).replace('CREATE TRIGGER', 'CREATE CONSTRAINT TRIGGER')
      await whilst(deferred, NO_TRIGGER, async () => {
        expect(await store.settle(aWork(shorter, { from: 4n }))).toMatchObject({ culprits: [{ index: 3 }] })
      })
      expect(await store.settle(aWork(shorter, { from: 4n }))).toMatchObject({ counts: { written: 4 } })
    })
  })

  describe('a database that does not fit', () => {
    it('is named with what is missing and what to do, and no record is blamed', async () => {
      const url = await freshDatabase()
      const empty = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
      const store = createStreamSettlement({ pool: empty, stream: 'orders', tables: orderTables, copyFrom })
      const settling = store.settle(aWork(four, { from: 0n, isolate: true }))
      await expect(settling).rejects.toThrow(StoreMisconfiguredError)
      await expect(settling).rejects.toThrow(/relation "holdfast.stream_progress" does not exist.*holdfast migrate up/)
      await expect(store.probe()).rejects.toThrow(StoreMisconfiguredError)
      await empty.end()
    })

    it('is named with the column that it lacks', async () => {
      const store = await started()
      await pool.query('ALTER TABLE items RENAME COLUMN brand TO make')
      try {
        await expect(store.settle(aWork(four, { from: 0n }))).rejects.toThrow(/column "brand".*holdfast migrate up/)
      } finally {
        await pool.query('ALTER TABLE items RENAME COLUMN make TO brand')
      }
      expect(await store.settle(aWork(four, { from: 0n }))).toMatchObject({ kind: 'settled' })
    })

    it.each([1, 4])(
      'that rejects the ledger row of %i records stops the stream: a COMMIT that answers ROLLBACK is not taken for one',
      async size => {
        const store = await started()
        await pool.query(`ALTER TABLE holdfast.stream_ledger ADD CONSTRAINT test_only CHECK (records <> ${size})`)
        try {
          const settling = store.settle(aWork(four.slice(0, size), { from: 0n }))
          await expect(settling).rejects.toThrow(StoreMisconfiguredError)
          await expect(settling).rejects.toThrow(/no record is to blame.*test_only of stream_ledger/)
          expect(await count('orders')).toBe(0)
        } finally {
          await pool.query('ALTER TABLE holdfast.stream_ledger DROP CONSTRAINT test_only')
        }
      },
    )

    it('with a wrong password is named as that', async () => {
      const url = new URL(database.url)
      url.password = 'wrong'
      const refused = createPool({
        url: url.href,
        schema: 'holdfast',
        max: 1,
        statementTimeoutMs: 10_000,
        name: 'test',
      })
      const store = createStreamSettlement({ pool: refused, stream: 'orders', tables: orderTables, copyFrom })
      await expect(store.probe()).rejects.toThrow(/password authentication failed.*DATABASE_URL/)
      await refused.end()
    })
  })

  it('a consumer that stopped inside its transaction loses it, and writes nothing when it wakes', async () => {
    const store = await started()
    // The zombie: it holds the fence and an order, and does not go on.
    const zombie = await hasty.connect()
    const woken = new Promise<void>(resolve => zombie.once('end', () => resolve()))
    await zombie.query('BEGIN; UPDATE holdfast.stream_progress SET next_offset = 9')
    await woken // its session idled beyond the limit, and the server ended it
    zombie.release(true)

    expect(await store.settle(aWork(four, { from: 0n }))).toMatchObject({ kind: 'settled', counts: { written: 4 } })
    await expect(store.settle(aWork(four.slice(0, 1), { from: 0n }))).rejects.toThrow(OwnershipLostError)
  })
}
