import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { toQuery } from '#src/engine/postgres/binary.ts'
import { createPool, pipelined, transaction } from '#src/engine/postgres/pool.ts'
import type { SettlementWork } from '#src/engine/settlement.ts'
import type { Tables } from '#src/engine/value-sql.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import type { Order } from '../support/order.ts'
import { ordersIn, orderTables } from '../support/order-stream.ts'
import { aDeadLetter, aReadyOrder, aWork } from '../support/orders.ts'

/** New keys go by COPY, and nobody can tell: neither from the tables, nor from how batches end. */
let database: MigratedDatabase
let pool: pg.Pool
beforeAll(async () => {
  database = await migratedDatabase()
  pool = database.pool
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})
beforeEach(emptied)

const COPY = 1
const UPSERT = Number.POSITIVE_INFINITY
const TABLES = ['orders', 'deliveries', 'payments', 'items']

async function emptied(): Promise<void> {
  await pool.query(
    'TRUNCATE orders, deliveries, payments, items, holdfast.stream_progress, holdfast.stream_ledger, holdfast.dead_letters',
  )
}

interface Run {
  readonly tables?: Tables<Order>
  readonly through?: pg.Pool
}

/** A store at offset 0, and what kept it from COPY. */
async function started(copyFrom: number, { tables = orderTables, through = pool }: Run = {}) {
  const obstacles: string[] = []
  const onObstacle = (because: string) => void obstacles.push(because)
  const store = createStreamSettlement({ pool: through, stream: 'orders', tables, copyFrom, onObstacle })
  for (const partition of [0, 1]) await store.startProgress('holdfast', { topic: 'orders', partition, nextOffset: 0n })
  return { store, obstacles }
}

/** All rows as Postgres writes them, but for `stored_at`; and the ledger without its times. */
async function dump(): Promise<unknown> {
  const dumps = TABLES.map(async table => {
    const { rows } = await pool.query(`SELECT (to_jsonb(t) - 'stored_at')::text AS row FROM ${table} AS t ORDER BY 1`)
    return [table, rows.map(({ row }) => row)]
  })
  const { rows: ledger } = await pool.query(
    `SELECT to_jsonb(l) - 'settled_at' - 'id' AS row FROM holdfast.stream_ledger AS l ORDER BY partition, from_offset`,
  )
  return [...(await Promise.all(dumps)), ledger]
}

/** Settles these works one after another on an empty database. @returns how each ended, and what is stored then */
async function settled(copyFrom: number, works: readonly SettlementWork<Order>[], run?: Run) {
  await emptied()
  const { store, obstacles } = await started(copyFrom, run)
  const ends: unknown[] = []
  for (const work of works) {
    const end = await store.settle(work).catch((error: Error) => ({ thrown: error.name, message: error.message }))
    ends.push('written' in end ? { ...end, written: end.written?.map(({ key }) => key).sort() } : end)
  }
  return { ends, stored: await dump(), obstacles }
}

const byKey = (a: { readonly key: string }, b: { readonly key: string }) => (a.key < b.key ? -1 : 1)

/** How often the table has been read as a whole, in any session of the pool: an idle one reports its scans after ten seconds only, unless it is told to. */
async function scansOf(table: string): Promise<number> {
  await setTimeout(1_100)
  const sessions = await Promise.all(Array.from({ length: pool.totalCount }, () => pool.connect()))
  for (const session of sessions) {
    // Before PostgreSQL 15 there is no such function: any statement reports what is older than half a second.
    await session.query(`DO $$ BEGIN
      IF current_setting('server_version_num')::int >= 150000 THEN PERFORM pg_stat_force_next_flush(); END IF;
    END $$`)
    session.release()
  }
  const { rows } = await pool.query('SELECT seq_scan FROM pg_stat_user_tables WHERE relname = $1', [table])
  return Number(rows[0].seq_scan)
}

const batch = (from: number, uids: readonly string[], over: Parameters<typeof aReadyOrder>[0] = {}) =>
  uids.map((uid, index) => aReadyOrder({ uid, offset: BigInt(from + index), items: (index % 3) + 1, ...over }))

describe('both roads', () => {
  it('leave the same rows, ledger and outcomes: new keys, known ones, shorter and longer versions, stale and repeated ones', async () => {
    const odd = aReadyOrder({ uid: 'odd', offset: 0n, partition: 1, timestampMs: -1 })
    const { value } = odd
    const long = 'долго '.repeat(300_000)
    const texts = {
      ...value,
      customer_id: long,
      locale: 'ру',
      track_number: 'träck 👍 … 0123456789 0123456789 0123456789',
      entry: '',
    }
    const works = [
      aWork(batch(0, ['a', 'b', 'c', 'd']), { from: 0n, deadLetters: [aDeadLetter(4n)] }),
      // Known and new ones: `b` grows, `c` shrinks.
      aWork([...batch(5, ['e', 'b', 'f']), aReadyOrder({ uid: 'c', offset: 8n, items: 1, amount: 9 })], { from: 5n }),
      // Known ones alone; one of them is stale, one a duplicate.
      aWork([aReadyOrder({ uid: 'a', offset: 0n }), aReadyOrder({ uid: 'b', offset: 5n })], { from: 9n }),
      aWork([], { from: 11n, to: 14n }),
      aWork([{ ...odd, value: { ...texts, date_created: '2021-11-26T06:22:19.123456+03:00' } }], {
        from: 0n,
        partition: 1,
      }),
    ]
    const byCopy = await settled(COPY, works)
    const byUpsert = await settled(UPSERT, works)
    expect(byCopy).toEqual(byUpsert)
    expect(byCopy.ends).toMatchObject([
      { counts: { written: 4, dead_lettered: 1 } },
      { counts: { written: 4 } },
      { counts: { written: 0, stale: 1, duplicate: 1 } },
      { counts: { written: 0 } },
      { counts: { written: 1 } },
    ])
  })

  it.each([
    ['by COPY', COPY],
    ['by the upsert', UPSERT],
  ])('find rows by their keys in tables that have grown since they were analyzed: %s', async (_, copyFrom) => {
    const { store } = await started(copyFrom)
    const uids = Array.from({ length: 6_000 }, (_, i) => `order-${i}`)
    await pool.query('ALTER TABLE items SET (autovacuum_enabled = off)')
    await store.settle(aWork(batch(0, uids).sort(byKey), { from: 0n }))
    const before = await scansOf('items')

    const changed = uids.filter((_, i) => i % 300 === 0)
    const end = await store.settle(aWork(batch(6_000, [...changed, 'new-1', 'new-2']).sort(byKey), { from: 6_000n }))

    expect(end).toMatchObject({ counts: { written: 22 } })
    expect(await scansOf('items')).toEqual(before)
  })

  it('take the keys that are new by COPY, and the known ones by the upsert', async () => {
    const taken: [road: string, keys: string[]][] = []
    const keysOf = (records: readonly ReadyRecord<Order>[]) => records.map(({ key }) => key)
    const tables: Tables<Order> = {
      ...orderTables,
      copies(records, storedAtMicros) {
        taken.push(['copy', keysOf(records)])
        return orderTables.copies(records, storedAtMicros)
      },
      upsert(records) {
        taken.push(['upsert', keysOf(records)])
        return orderTables.upsert(records)
      },
    }
    const { store } = await started(COPY, { tables })
    await store.settle(aWork(batch(0, ['a', 'c']), { from: 0n }))
    await store.settle(aWork(batch(2, ['a', 'b', 'c', 'd']), { from: 2n }))
    await store.settle(aWork(batch(6, ['b', 'd']), { from: 6n }))
    expect(taken).toEqual([
      ['copy', ['a', 'c']],
      ['copy', ['b', 'd']],
      ['upsert', ['a', 'c']],
      ['upsert', ['b', 'd']],
    ])
  })

  it('store the start of their transaction as the time of a new row', async () => {
    const { store } = await started(COPY)
    await store.settle(aWork(batch(0, ['a', 'b']), { from: 0n }))
    const { rows } = await pool.query(
      `SELECT count(*)::int AS n FROM orders JOIN holdfast.stream_progress AS p ON p.updated_at = stored_at AND p.partition = 0`,
    )
    expect(rows).toEqual([{ n: 2 }])
  })

  it('tell a new key from one that was replaced after COPY wrote it', async () => {
    const { store } = await started(COPY)
    await store.settle(aWork(batch(0, ['a', 'b']), { from: 0n }))
    await store.settle(
      aWork([aReadyOrder({ uid: 'a', offset: 2n }), aReadyOrder({ uid: 'n', offset: 3n })], { from: 2n }),
    )
    const { rows } = await pool.query('SELECT inserted::int FROM holdfast.stream_ledger ORDER BY from_offset')
    expect(rows.map(({ inserted }) => inserted)).toEqual([2, 1])
  })
})

/** What stands in the way of a write, and what of it COPY must not meet. */
const FAULTS = [
  [
    'a constraint of a child table',
    'ALTER TABLE payments ADD CONSTRAINT test_only CHECK (amount <> 666)',
    'ALTER TABLE payments DROP CONSTRAINT test_only',
  ],
  [
    'a constraint that is checked by COMMIT',
    `${trigger("WHEN (NEW.order_uid = 'c')", 'AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED', 'RAISE EXCEPTION $$no$$;', 'CONSTRAINT ')}`,
    'DROP FUNCTION test_only() CASCADE',
  ],
  [
    'an exception of a trigger behind the row',
    trigger("WHEN (NEW.order_uid = 'c')", 'AFTER INSERT ON items', 'RAISE EXCEPTION $$no$$;'),
    'DROP FUNCTION test_only() CASCADE',
  ],
  [
    'an exception of a trigger before the row',
    trigger("WHEN (NEW.order_uid = 'c')", 'BEFORE INSERT ON items', 'RAISE EXCEPTION $$no$$;'),
    'DROP FUNCTION test_only() CASCADE',
    /^items has a trigger BEFORE INSERT FOR EACH ROW$/,
  ],
  [
    'a trigger that suppresses a row',
    trigger("WHEN (NEW.order_uid = 'c')", 'BEFORE INSERT ON orders', 'RETURN NULL;'),
    'DROP FUNCTION test_only() CASCADE',
    /^orders has a trigger BEFORE INSERT FOR EACH ROW$/,
  ],
  [
    'a rule, which an upsert does not take',
    'CREATE RULE test_only AS ON INSERT TO payments DO ALSO NOTHING',
    'DROP RULE test_only ON payments',
    /^payments has a rule$/,
  ],
  [
    'a column that is narrower than its parameter',
    'ALTER TABLE items ALTER COLUMN sale TYPE smallint',
    'ALTER TABLE items ALTER COLUMN sale TYPE bigint',
    /^items has a column that differs from the definition$/,
  ],
  [
    'a column whose eight bytes mean something else',
    'ALTER TABLE items ALTER COLUMN price TYPE double precision',
    'ALTER TABLE items ALTER COLUMN price TYPE bigint',
    /^items has a column that differs from the definition$/,
  ],
  [
    'a column that is missing',
    'ALTER TABLE items RENAME brand TO make',
    'ALTER TABLE items RENAME make TO brand',
    /^items has a column that differs from the definition$/,
  ],
  [
    'a ledger that rejects the batch',
    'ALTER TABLE holdfast.stream_ledger ADD CONSTRAINT test_only CHECK (records <> 4)',
    'ALTER TABLE holdfast.stream_ledger DROP CONSTRAINT test_only',
  ],
] as const satisfies readonly (readonly [what: string, up: string, down: string, obstacle?: RegExp])[]

function trigger(when: string, on: string, body: string, kind = ''): string {
  return `CREATE FUNCTION test_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN ${body} RETURN NEW; END';
    CREATE ${kind}TRIGGER test_only ${on} FOR EACH ROW ${when} EXECUTE FUNCTION test_only()`
}

describe('what the database refuses', () => {
  it.each(FAULTS.map(([what, ...fault]) => ({ what, fault })))('ends alike on both roads: $what', async ({ fault }) => {
    const [up, down, obstacle] = fault
    const works = [
      aWork(
        batch(0, ['a', 'b', 'c', 'd']).map(ready => spoiled(ready, ready.key === 'c')),
        { from: 0n },
      ),
      aWork(
        batch(0, ['c']).map(ready => spoiled(ready, true)),
        { from: 0n },
      ),
      aWork(batch(0, ['x', 'y', 'z']), { from: 0n }),
    ]
    await pool.query(up)
    try {
      const byCopy = await settled(COPY, works)
      const byUpsert = await settled(UPSERT, works)
      expect({ ends: byCopy.ends, stored: byCopy.stored }).toEqual({ ends: byUpsert.ends, stored: byUpsert.stored })
      if (obstacle !== undefined) expect(byCopy.obstacles).toEqual([expect.stringMatching(obstacle)])
      else expect(byCopy.obstacles).toEqual([])
    } finally {
      await pool.query(down)
    }
  })

  const spoiled = (ready: ReadyRecord<Order>, bad: boolean): ReadyRecord<Order> =>
    bad ? { ...ready, value: { ...ready.value, payment: { ...ready.value.payment, amount: 666 } } } : ready

  it('leaves the connection in step, however much of the data the server has not read', async () => {
    const large = Buffer.alloc(8 * 1024 * 1024, 'x').toString()
    const records = batch(0, ['a', 'b', 'c']).map(({ value, ...ready }) => {
      return { ...ready, value: { ...value, delivery: { ...value.delivery, address: large } } }
    })
    await pool.query(`INSERT INTO deliveries SELECT 'a', n.* FROM (SELECT '', '', '', '', '', '', '') AS n`)
    const copies = orderTables.copies(records, 0n)
    await transaction(pool, async client => {
      const failing = pipelined(client, ['BEGIN', ...copies, 'SELECT 1'])
      await expect(failing).rejects.toMatchObject({ sqlState: '23505' })
      await pipelined(client, ['ROLLBACK'])
      // A statement that is not there, so that the server never asks for the data.
      const [copy] = copies
      if (copy === undefined) throw new Error('there is nothing to copy')
      const missing = pipelined(client, [{ ...copy, text: copy.text.replace('orders', 'nowhere') }])
      await expect(missing).rejects.toThrow(/"public\.nowhere" does not exist/)
      expect((await pipelined(client, ['SELECT 7 AS n']))[0]?.rows).toEqual([{ n: 7 }])
    })
  })
})

describe('what COPY cannot write', () => {
  it('goes by the upsert from then on where row-level security applies', async () => {
    const user = new URL(database.url)
    // Roles are those of the server, which other runs may use as well.
    const role = `copy_only_${randomUUID().slice(0, 8)}`
    user.username = role
    user.password = role
    await pool.query(`CREATE ROLE ${role} LOGIN PASSWORD '${role}';
      GRANT USAGE ON SCHEMA holdfast TO ${role};
      GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, holdfast TO ${role};
      ALTER TABLE deliveries ENABLE ROW LEVEL SECURITY;
      CREATE POLICY copy_only ON deliveries USING (true)`)
    const limited = createPool({ url: user.href, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
    try {
      const works = [aWork(batch(0, ['a', 'b']), { from: 0n }), aWork(batch(2, ['c', 'd']), { from: 2n })]
      const { ends, obstacles } = await settled(COPY, works, { through: limited })
      expect(ends).toMatchObject([{ counts: { written: 2 } }, { counts: { written: 2 } }])
      expect(obstacles).toEqual(['deliveries has row-level security for this role'])
    } finally {
      await limited.end()
      await pool.query(`DROP POLICY copy_only ON deliveries; ALTER TABLE deliveries DISABLE ROW LEVEL SECURITY;
        DROP OWNED BY ${role}; DROP ROLE ${role}`)
    }
  })

  it('is found by the count of its rows where a partition of a table suppresses one: nothing of it stays', async () => {
    const { tables } = ordersIn('in_partitions')
    await pool.query('CREATE SCHEMA in_partitions')
    for (const table of TABLES) {
      await pool.query(`CREATE TABLE in_partitions.${table} (LIKE public.${table} INCLUDING INDEXES)
        PARTITION BY HASH (order_uid)`)
      await pool.query(`CREATE TABLE in_partitions.${table}_0 PARTITION OF in_partitions.${table}
        FOR VALUES WITH (MODULUS 1, REMAINDER 0)`)
    }
    await pool.query(trigger("WHEN (NEW.order_uid = 'c')", 'BEFORE INSERT ON in_partitions.orders_0', 'RETURN NULL;'))
    // Connections of its own: statements of a stream are prepared under its name, and this one is called as that of the other tests.
    const url = database.url
    const through = createPool({ url, schema: 'holdfast', max: 2, statementTimeoutMs: 10_000, name: 'test' })
    try {
      const works = [aWork(batch(0, ['a', 'b', 'c', 'd']), { from: 0n })]
      const counted =
        'SELECT count(*)::int AS n FROM in_partitions.orders JOIN in_partitions.deliveries USING (order_uid)'
      const byCopy = await settled(COPY, works, { tables, through })
      expect((await pool.query(counted)).rows).toEqual([{ n: 3 }])
      await pool.query(`TRUNCATE ${TABLES.map(table => `in_partitions.${table}`).join(', ')}`)
      const byUpsert = await settled(UPSERT, works, { tables, through })
      expect(byCopy.ends).toEqual(byUpsert.ends)
      expect(byCopy.obstacles).toEqual([
        expect.stringMatching(/^the database keeps rows out of it.*COPY in_partitions\.orders/),
      ])
    } finally {
      await through.end()
      await pool.query('DROP SCHEMA in_partitions CASCADE; DROP FUNCTION test_only() CASCADE')
    }
  })

  it('is tried once, whatever the reason: the upsert takes the batch, and all that follow', async () => {
    let copied = 0
    const tables: Tables<Order> = {
      ...orderTables,
      copies(records, storedAtMicros) {
        copied += 1
        const copies = orderTables.copies(records, storedAtMicros)
        return copies.map(copy => ({ ...copy, text: copy.text.replace('items', 'nowhere') }))
      },
    }
    const works = [aWork(batch(0, ['a', 'b']), { from: 0n }), aWork(batch(2, ['c', 'd']), { from: 2n })]
    const { ends, obstacles } = await settled(COPY, works, { tables })
    expect(ends).toMatchObject([{ counts: { written: 2 } }, { counts: { written: 2 } }])
    expect([copied, obstacles]).toEqual([1, [expect.stringMatching(/"public\.nowhere" does not exist/)]])
  })

  it('is tried again once the cause may be gone', async () => {
    await pool.query('CREATE RULE test_only AS ON DELETE TO items DO ALSO NOTHING')
    let copied = 0
    const tables: Tables<Order> = {
      ...orderTables,
      copies(records, storedAtMicros) {
        copied += 1
        return orderTables.copies(records, storedAtMicros)
      },
    }
    const { store, obstacles } = await started(COPY, { tables })
    await store.settle(aWork(batch(0, ['a']), { from: 0n }))
    await pool.query('DROP RULE test_only ON items')
    for (let at = 1; at <= 101; at++) await store.settle(aWork(batch(at, [`b${at}`]), { from: BigInt(at) }))
    expect([copied, obstacles]).toEqual([1, ['items has a rule']])
  })

  it('is not tried for few records', async () => {
    const { store } = await started(3, { tables: { ...orderTables, copies: () => expect.unreachable() } })
    expect(await store.settle(aWork(batch(0, ['a', 'b']), { from: 0n }))).toMatchObject({ counts: { written: 2 } })
  })
})

describe('a key that another transaction is about to commit', () => {
  it('sends the batch by the upsert, which then sees it', async () => {
    // Given an order that is written and not committed, and its newer version in a batch
    const { store, obstacles } = await started(COPY)
    const other = new pg.Client({ connectionString: database.url })
    await other.connect()
    try {
      await other.query('BEGIN')
      await other.query(toQuery(orderTables.upsert(batch(7, ['b'], { partition: 1, timestampMs: 1000, items: 5 }))))
      const settling = store.settle(aWork(batch(0, ['a', 'b', 'c']), { from: 0n }))
      await lockWaited('COPY')
      // When it is committed, then COPY fails on it, and the batch is written all the same
      await other.query('COMMIT')
      expect(await settling).toMatchObject({ kind: 'settled', counts: { written: 3, stale: 0 } })
      const { rows } = await pool.query(`SELECT count(*)::int AS n FROM items WHERE order_uid = 'b'`)
      expect(rows).toEqual([{ n: 2 }])
      expect(await inserted()).toEqual([2])
      expect(obstacles).toEqual([])
    } finally {
      await other.end()
    }
  })

  it('may end a batch that goes both ways, when each waits for the other: it is retried, and the newest version wins', async () => {
    // Given `c`, which is stored, and held by a transaction that goes on to write `a`
    const { store } = await started(COPY)
    await store.settle(aWork(batch(0, ['c']), { from: 0n }))
    const [other, gate] = [1, 2].map(() => new pg.Client({ connectionString: database.url })) as [pg.Client, pg.Client]
    await Promise.all([other.connect(), gate.connect()])
    await pool.query(`CREATE FUNCTION test_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$;
      CREATE TRIGGER test_only AFTER INSERT ON items FOR EACH STATEMENT EXECUTE FUNCTION test_only()`)
    try {
      await other.query("SET deadlock_timeout = '60s'")
      await other.query('BEGIN')
      await other.query("SELECT 1 FROM orders WHERE order_uid = 'c' FOR UPDATE")

      // When a batch has written `a` by COPY, the other one waits for that, and it goes on to wait for `c`, then Postgres ends it.
      // Its wait must be the last: a session looks for a deadlock once, a second after its wait began.
      await gate.query('SELECT pg_advisory_lock(1)')
      const work = aWork(batch(1, ['a', 'c']), { from: 1n })
      const settling = expect(store.settle(work)).rejects.toMatchObject({ code: 'store_contended', sqlState: '40P01' })
      await lockWaited('COPY')
      const older = batch(7, ['a'], { partition: 1, timestampMs: 1000, items: 5 })
      const writing = other.query(toQuery(orderTables.upsert(older)))
      await lockWaited('WITH written')
      await gate.query('SELECT pg_advisory_unlock(1)')
      await settling
      await writing
      await other.query('COMMIT')

      // And the next attempt finds `a`
      expect(await store.settle(work)).toMatchObject({ kind: 'settled', counts: { written: 2 } })
      expect(await inserted()).toEqual([1, 0])
    } finally {
      await Promise.all([other.end(), gate.end()])
      await pool.query('DROP FUNCTION test_only() CASCADE')
    }
  })

  async function inserted(): Promise<number[]> {
    const { rows } = await pool.query('SELECT inserted::int FROM holdfast.stream_ledger ORDER BY from_offset')
    return rows.map(row => row.inserted)
  }

  async function lockWaited(statement: string): Promise<void> {
    for (;;) {
      const { rows } = await pool.query(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
          AND starts_with(ltrim(query, E'\\n '), $1)`,
        [statement],
      )
      if (rows.length > 0) return
    }
  }
})
