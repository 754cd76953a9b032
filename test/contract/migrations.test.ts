import { randomUUID } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { describe, expect, it, onTestFinished } from 'vitest'
import { examine } from '#src/cli/doctor-checks.ts'
import { StoreMisconfiguredError, StoreUnavailableError } from '#src/engine/errors.ts'
import { migrate, migrationStatus } from '#src/engine/postgres/migrate.ts'
import { missingMigrations, requireFitDatabase, requireMigrated } from '#src/engine/postgres/migration-status.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import { prove, readProof } from '#src/engine/postgres/proof.ts'
import { leaveCheckpoint } from '#src/engine/postgres/proof-checkpoint.ts'
import { requireQueueSchema } from '#src/inbox/jobs/queue-schema.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { orderTables } from '../support/order-stream.ts'
import { aReadyOrder, aWork } from '../support/orders.ts'
import { freshDatabase } from '../support/stack.ts'
import { provenOrders } from '../support/streams.ts'

/** In the order in which they are applied. */
const ALL = readdirSync(new URL('../../migrations/', import.meta.url))
  .map(file => file.replace(/\.sql$/, ''))
  .sort()

async function missingIn(url: string): Promise<string[]> {
  const pool = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
  try {
    return await missingMigrations(pool)
  } finally {
    await pool.end()
  }
}

/** With their schema. */
async function tablesIn(url: string): Promise<string[]> {
  const pool = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
  try {
    const { rows } = await pool.query(
      `SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname IN ('public', 'holdfast') ORDER BY 1`,
    )
    return rows.map(row => row.name)
  } finally {
    await pool.end()
  }
}

describe('migrations', () => {
  it('are applied once, by one of three replicas that start at the same moment', async () => {
    const url = await freshDatabase()
    const applied = await Promise.all([migrate(url, 'up'), migrate(url, 'up'), migrate(url, 'up')])
    expect(applied.flat().sort()).toEqual(ALL)
    expect(await missingIn(url)).toEqual([])
  })

  it('make the tables of the contract, and take them away again', async () => {
    const url = await freshDatabase()
    await migrate(url, 'up')
    expect(await tablesIn(url)).toEqual([
      'holdfast.audit_log',
      'holdfast.breaking_migrations',
      'holdfast.causes',
      'holdfast.consumer_starts',
      'holdfast.dead_letter_events',
      'holdfast.dead_letters',
      'holdfast.dead_letters_purged',
      'holdfast.dead_letters_purged_counts',
      'holdfast.notices',
      'holdfast.pgmigrations',
      'holdfast.processes',
      'holdfast.proof_checkpoints',
      'holdfast.replay_items',
      'holdfast.replay_items_purged',
      'holdfast.replays',
      'holdfast.stream_ledger',
      'holdfast.stream_moves',
      'holdfast.stream_pauses',
      'holdfast.stream_progress',
      'holdfast.switches',
      'holdfast.timeline_steps',
      'holdfast.value_count_changes',
      'public.deliveries',
      'public.items',
      'public.orders',
      'public.payments',
    ])
    expect(await migrate(url, 'down')).toEqual(ALL.slice(-1))
    expect(await missingIn(url)).toEqual(ALL.slice(-1))
    expect(await migrate(url, 'down', { count: ALL.length - 1 })).toEqual(ALL.slice(0, -1).reverse())
    expect(await tablesIn(url)).toEqual(['public.pgmigrations'])
    expect(await migrate(url, 'up', { count: 1 })).toEqual(['0001_order_tables'])
  })

  it('are all missing from a new database, which a look at them leaves untouched', async () => {
    const url = await freshDatabase()
    expect(await missingIn(url)).toEqual(ALL)
    expect((await migrationStatus(url)).map(({ name, appliedAt }) => [name, appliedAt])).toEqual(
      ALL.map(name => [name, undefined]),
    )
    expect(await tablesIn(url)).toEqual([])
  })

  it('take the orders that are stored as the base of the new keys that the ledger counts from then on', async () => {
    const url = await freshDatabase()
    await migrate(url, 'up')
    const pool = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
    try {
      const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables })
      await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
      await store.settle(aWork([aReadyOrder({ uid: 'a', offset: 0n })], { from: 0n }))
      await migrate(url, 'down', { count: ALL.length - ALL.indexOf('0012_inserted_keys') })
      await migrate(url, 'up')
      await store.settle(aWork([aReadyOrder({ uid: 'b', offset: 1n })], { from: 1n }))
      expect((await readProof(pool, provenOrders())).findings).toEqual([])
      await pool.query('DELETE FROM holdfast.value_count_changes')
      expect((await readProof(pool, provenOrders())).findings).toMatchObject([
        { what: 'orders holds 2 rows, but the ledger counts 1 new keys: 1 came from elsewhere' },
      ])
    } finally {
      await pool.end()
    }
  })

  it('give what is stored to the stream of orders, and what is left to it when they are taken back', async () => {
    const url = await freshDatabase()
    await migrate(url, 'up')
    const pool = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
    try {
      await migrate(url, 'down', { count: ALL.length - ALL.indexOf('0014_streams') })
      await pool.query(`INSERT INTO dead_letters (id, reason, error, pointer, message, violations, order_uid, group_id,
          source_topic, source_partition, source_offset, source_timestamp, first_failed_at, failed_at, failures, attempts,
          replay_count, bytes)
        VALUES ('orders-0-7', 'crash_loop', '', '', '', '[]', 'a', 'holdfast', 'orders', 0, 7, 0, now(), now(), 1, 1, 0, 1)`)
      await pool.query(`INSERT INTO order_count_changes (orders, order_uid, because) VALUES (-1, 'b', 'erasure')`)
      await pool.query(`INSERT INTO stream_progress (topic, partition, group_id, first_offset, next_offset)
        VALUES ('orders', 0, 'holdfast', 0, 8)`)

      await migrate(url, 'up')
      const rows = async (text: string) => (await pool.query(text)).rows
      expect(await rows('SELECT stream, key FROM holdfast.dead_letters')).toEqual([{ stream: 'orders', key: 'a' }])
      expect(await rows('SELECT stream, values, key FROM holdfast.value_count_changes')).toEqual([
        { stream: 'orders', values: '-1', key: 'b' },
      ])
      expect(await rows('SELECT stream, next_offset FROM holdfast.stream_progress')).toEqual([
        { stream: 'orders', next_offset: '8' },
      ])

      await migrate(url, 'down', { count: ALL.length - ALL.indexOf('0014_streams') })
      expect(await rows('SELECT id, order_uid FROM dead_letters')).toEqual([{ id: 'orders-0-7', order_uid: 'a' }])
    } finally {
      await pool.end()
    }
  })

  it('go back to 0014 and forth again on books that were extended, merged and redriven into, unless a redrive would be published by that', async () => {
    const url = await freshDatabase()
    await migrate(url, 'up')
    const pool = createPool({ url, schema: 'holdfast', max: 2, statementTimeoutMs: 10_000, name: 'test' })
    onTestFinished(() => pool.end())
    const back = { count: ALL.length - 1 - ALL.indexOf('0014_streams') }
    const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables, ownRowFrom: 10 })
    await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
    const settle = (offset: bigint) =>
      store.settle(aWork([aReadyOrder({ uid: `o${offset}`, offset })], { from: offset }))
    for (const offset of [0n, 1n, 2n]) await settle(offset)
    await pool.query(
      `UPDATE holdfast.stream_ledger SET settled_at = settled_at - interval '2 days', since = since - interval '2 days'`,
    )
    for (const offset of [3n, 4n]) await settle(offset)
    // An order that a redrive into the store has added.
    await pool.query(`INSERT INTO holdfast.replays (id, stream, state, filter, requested_by, because, automatic, only_passing, edited, total, topic)
      VALUES ('r1', 'orders', 'paused', '', 'ada', '', false, false, false, 1, '')`)
    await pool.query(
      `INSERT INTO holdfast.value_count_changes (stream, replay_id, values, because) VALUES ('orders', 'r1', 0, 'x')`,
    )
    await pool.query(
      `INSERT INTO holdfast.stream_pauses (stream, topic, group_id, paused_by, because) VALUES ('orders', 'orders', 'holdfast', 'ada', 'x')`,
    )
    const proof = await readProof(pool, provenOrders())
    expect(proof.findings).toEqual([])
    expect(await leaveCheckpoint(pool, provenOrders(), proof, undefined)).toBe(true)

    await expect(migrate(url, 'down', back)).rejects.toThrow(
      /^no migration was taken back, because of 0015_redrives_into_the_store: a redrive into the store is not over: cancel it first/,
    )
    expect(await missingIn(url)).toEqual([])
    await pool.query(`UPDATE holdfast.replays SET state = 'cancelled'`)
    expect(await migrate(url, 'down', back)).toHaveLength(back.count)
    expect((await pool.query('SELECT records FROM stream_ledger ORDER BY id')).rows).toEqual([
      { records: '3' },
      { records: '2' },
    ])
    await migrate(url, 'up')
    await settle(5n)
    expect((await prove(pool, provenOrders())).findings).toEqual([])
    expect((await pool.query('SELECT "to" FROM holdfast.replays')).rows).toEqual([{ to: 'store' }])
  })

  it('say when they were applied, and which came from a newer version', async () => {
    const url = await freshDatabase()
    const before = Date.now()
    await migrate(url, 'up')
    const pool = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
    await pool.query(`INSERT INTO holdfast.pgmigrations (name, run_on) VALUES ('0099_tomorrow', now())`)
    await pool.end()
    const status = await migrationStatus(url)
    expect(status.map(({ name, known }) => [name, known])).toEqual([
      ...ALL.map(name => [name, true]),
      ['0099_tomorrow', false],
    ])
    for (const { appliedAt } of status) {
      expect(Math.abs((appliedAt?.getTime() ?? 0) - before)).toBeLessThan(60_000)
    }
    expect(await missingIn(url)).toEqual([])
  })

  it('say what is wrong when there is no server, or no such database', async () => {
    const url = new URL(await freshDatabase())
    url.pathname = '/nowhere_to_be_found'
    await expect(migrate(url.href, 'up')).rejects.toThrow(/"nowhere_to_be_found" does not exist.*DATABASE_URL/)
    await expect(migrate(url.href, 'up')).rejects.toThrow(StoreMisconfiguredError)
    url.port = '1'
    await expect(migrationStatus(url.href)).rejects.toThrow(StoreUnavailableError)
  })
})

describe('a database that migrations cannot be applied to', () => {
  /** A role of the server, which goes with the test. @returns the url with which it connects */
  async function asRole(url: string, role: string): Promise<string> {
    const pool = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
    await pool.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`)
    await pool.end()
    onTestFinished(async () => {
      const cleaning = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
      await cleaning.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
      await cleaning.end()
    })
    const as = new URL(url)
    as.username = role
    as.password = 'secret'
    return as.href
  }

  it('says which GRANT the owner must give, and doctor does not advise what would fail', async () => {
    const url = await freshDatabase()
    const role = `newcomer_${randomUUID().slice(0, 8)}`
    const theirs = await asRole(url, role)
    const pool = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
    // As it is by default since PostgreSQL 15.
    await pool.query('REVOKE CREATE ON SCHEMA public FROM PUBLIC')
    const schema = `CREATE SCHEMA holdfast AUTHORIZATION ${role}`
    const grant = `GRANT USAGE, CREATE ON SCHEMA public TO ${role}`

    await expect(migrate(theirs, 'up')).rejects.toThrow(schema)
    await pool.query(schema)
    await expect(migrate(theirs, 'up')).rejects.toThrow(grant)
    await expect(migrate(theirs, 'up')).rejects.not.toThrow(/\bat\b.*:\d+|Unable to ensure/)
    const findings = await Array.fromAsync(
      examine({ DATABASE_URL: theirs, KAFKA_BROKERS: '127.0.0.1:1', HTTP_PORT: '0' }),
    )
    const finding = findings.find(({ name }) => name === 'migrations')
    expect(finding).toMatchObject({ ok: false, fix: expect.stringContaining(grant) })
    expect(finding?.fix).not.toContain('migrate up')

    await pool.query(grant)
    await pool.end()
    expect(await migrate(theirs, 'up')).toEqual(ALL)
  })

  it('names the owner of tables that this user may not alter', async () => {
    const url = await freshDatabase()
    const owner = new URL(url).username
    await migrate(url, 'up')
    await migrate(url, 'down')
    const role = `stranger_${randomUUID().slice(0, 8)}`
    const theirs = await asRole(url, role)
    const pool = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
    await pool.query(
      `GRANT USAGE, CREATE ON SCHEMA public, holdfast TO ${role}; GRANT SELECT ON ALL TABLES IN SCHEMA public, holdfast TO ${role}`,
    )
    await pool.end()
    await expect(migrate(theirs, 'up')).rejects.toThrow(
      new RegExp(`stream_progress.* belong to the user ${owner}.*run the migrations as ${owner}`),
    )
  })

  it.each(['SQL_ASCII', 'LATIN1'])('refuses the encoding %s in one sentence', async encoding => {
    const name = `encoded_${randomUUID().slice(0, 8)}`
    const url = new URL(await freshDatabase())
    const server = createPool({ url: url.href, schema: 'holdfast', max: 1, statementTimeoutMs: 30_000, name: 'test' })
    await server.query(`CREATE DATABASE ${name} ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`)
    await server.end()
    url.pathname = `/${name}`
    const refusal = new RegExp(`has the encoding ${encoding}.*must be UTF8; .*CREATE DATABASE .* ENCODING 'UTF8'`)
    await expect(migrate(url.href, 'up')).rejects.toThrow(refusal)
    const pool = createPool({ url: url.href, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
    await expect(requireFitDatabase(pool)).rejects.toThrow(refusal)
    await pool.end()
  })
})

it('a start is not refused for migrations that another process commits while it asks', async () => {
  const url = await freshDatabase()
  const pool = createPool({ url, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' })
  onTestFinished(() => pool.end())
  // Each question takes a connection: the encoding, the table of migrations, and then whether somebody applies them.
  let questions = 0
  const connect = pool.connect.bind(pool)
  Object.assign(pool, {
    async connect() {
      questions += 1
      if (questions === 3) await migrate(url, 'up')
      return await connect()
    },
  })
  expect(await requireMigrated(pool)).toEqual([])
  expect(questions).toBeGreaterThan(3)
})

describe('the schema of the jobs', () => {
  it.each([
    [
      'CREATE SCHEMA pgboss; CREATE TABLE pgboss.theirs ()',
      /is no queue that this user can work with: version, queue, job/,
    ],
    [
      `CREATE SCHEMA pgboss; CREATE TABLE pgboss.version (version int); INSERT INTO pgboss.version VALUES (21);
       CREATE TABLE pgboss.job (); CREATE TABLE pgboss.queue (name text); INSERT INTO pgboss.queue VALUES ('mails')`,
      /another application keeps its queues in the schema pgboss \(mails\), in version 21 of pg-boss/,
    ],
  ])('is left alone where it is not ours', async (sql, refusal) => {
    const pool = createPool({
      url: await freshDatabase(),
      schema: 'holdfast',
      max: 1,
      statementTimeoutMs: 10_000,
      name: 'test',
    })
    const ask = async (text: string, values: readonly unknown[]) => (await pool.query(text, [...values])).rows
    expect(await requireQueueSchema(ask, 'pgboss')).toBe(false)
    await pool.query(sql)
    await expect(requireQueueSchema(ask, 'pgboss')).rejects.toThrow(refusal)
    await pool.end()
  })
})
