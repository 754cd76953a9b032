import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '#src/clock.ts'
import { migrate, migrationStatus } from '#src/engine/postgres/migrate.ts'
import { missingMigrations } from '#src/engine/postgres/migration-status.ts'
import { startWriteListener } from '#src/engine/postgres/notifications.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import { forgetProcess, noteProcess } from '#src/engine/postgres/processes.ts'
import { readProof } from '#src/engine/postgres/proof.ts'
import { serverFacts } from '#src/engine/postgres/table-rights.ts'
import { queueSchemaOf, requireQueueSchema } from '#src/inbox/jobs/queue-schema.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { ALL_MIGRATIONS as ALL, anInstallationInPublic, BEFORE_OWN_SCHEMA as BEFORE } from '../support/installations.ts'
import type { Order } from '../support/order.ts'
import { orderTables } from '../support/order-stream.ts'
import { aReadyOrder, aWork } from '../support/orders.ts'
import { eventually } from '../support/service.ts'
import { freshDatabase } from '../support/stack.ts'
import { provenOrders } from '../support/streams.ts'

function aPool(url: string, schema = 'holdfast'): pg.Pool {
  const pool = createPool({ url, schema, max: 2, statementTimeoutMs: 10_000, name: 'test' })
  onTestFinished(() => pool.end())
  return pool
}

/** Its session is that of any other program: the names that it uses are found by the search path. */
function aStranger(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 1 })
  onTestFinished(() => pool.end())
  return pool
}

/** Of these schemas, `kind schema.name`. */
async function relations(pool: pg.Pool, ...schemas: string[]): Promise<string[]> {
  const { rows } = await pool.query(
    `SELECT relkind::text || ' ' || relnamespace::regnamespace || '.' || relname AS it FROM pg_class
      WHERE relnamespace::regnamespace::text = ANY ($1) AND relkind IN ('r', 'v', 'S') ORDER BY 1`,
    [schemas],
  )
  return rows.map(({ it }) => it)
}

async function aRole(url: string, name: string): Promise<{ readonly role: string; readonly url: string }> {
  const role = `${name}_${randomUUID().slice(0, 8)}`
  const admin = aStranger(url)
  await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`)
  onTestFinished(async () => {
    const cleaning = new pg.Client({ connectionString: url })
    await cleaning.connect()
    await cleaning.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`)
    await cleaning.end()
  })
  const as = new URL(url)
  as.username = role
  as.password = 'secret'
  return { role, url: as.href }
}

/** Settles orders one after another from an offset on; the progress is started where there is none. */
async function settle(pool: pg.Pool, from: bigint, ...uids: string[]) {
  const store = createStreamSettlement<Order>({ pool, stream: 'orders', tables: orderTables, notifyAs: 'me' })
  const place = { topic: 'orders', partition: 0, nextOffset: from }
  if ((await store.readProgress('holdfast', [place])).length === 0) await store.startProgress('holdfast', place)
  for (const [nth, uid] of uids.entries()) {
    const offset = from + BigInt(nth)
    expect(await store.settle(aWork([aReadyOrder({ uid, offset })], { from: offset }))).toMatchObject({
      kind: 'settled',
    })
  }
}

describe('an installation in public', () => {
  it('is moved with what it holds, its rights and sequences, and leaves views for the version before', async () => {
    const url = await freshDatabase()
    await anInstallationInPublic(url)
    const before = aStranger(url)
    const { role } = await aRole(url, 'service')
    await before.query(`GRANT SELECT, INSERT, UPDATE ON stream_progress, pgmigrations TO ${role}`)
    await before.query(
      `INSERT INTO audit_log (who, what, filter, because, counts) VALUES ('ada', 'seek', '', 'x', '{}')`,
    )
    await before.query(`INSERT INTO stream_progress (topic, partition, group_id, first_offset, next_offset)
      VALUES ('orders', 0, 'holdfast', 0, 0)`)
    const pool = aPool(url)
    expect(await missingMigrations(pool)).toEqual(ALL.slice(BEFORE))

    expect(await migrate(url, 'up')).toEqual(ALL.slice(BEFORE))

    expect(await missingMigrations(pool)).toEqual([])
    expect((await migrationStatus(url)).every(({ appliedAt }) => appliedAt !== undefined)).toBe(true)
    const tables = (await relations(pool, 'public')).filter(it => it.startsWith('r '))
    expect(tables).toEqual([
      ...['r public.deliveries', 'r public.items', 'r public.orders', 'r public.payments'],
      // For the runner of the version before, which wants a table.
      'r public.pgmigrations',
    ])
    expect((await relations(pool, 'public')).filter(it => it.startsWith('S '))).toEqual([])
    expect((await pool.query('SELECT who FROM holdfast.audit_log')).rows).toEqual([{ who: 'ada' }])
    await settle(pool, 0n, 'a', 'b')
    expect((await readProof(pool, provenOrders())).findings).toEqual([])

    // The version before reads and writes through the views, and has the same rights there.
    const { rows } = await before.query(`INSERT INTO audit_log (who, what, filter, because, counts)
      VALUES ('bob', 'seek', '', 'x', '{}') RETURNING id::int`)
    expect(rows).toEqual([{ id: 2 }])
    expect((await before.query('SELECT next_offset FROM stream_progress FOR UPDATE')).rows).toEqual([
      { next_offset: '2' },
    ])
    const theirs = await pool.query(
      `SELECT has_table_privilege($1, 'public.stream_progress', 'INSERT') AS view, has_schema_privilege($1, 'holdfast', 'USAGE') AS schema,
        has_table_privilege($1, 'holdfast.stream_progress', 'UPDATE') AS table, has_table_privilege($1, 'public.stream_progress', 'DELETE') AS more`,
      [role],
    )
    expect(theirs.rows).toEqual([{ view: true, schema: true, table: true, more: false }])
  })

  it('goes back to public, and forth again', async () => {
    const url = await freshDatabase()
    await anInstallationInPublic(url)
    const pool = aPool(url)
    const made = await relations(pool, 'public', 'holdfast')
    await migrate(url, 'up')
    await settle(pool, 0n, 'a')
    const back = { count: ALL.length - BEFORE }

    expect(await migrate(url, 'down', back)).toEqual(ALL.slice(BEFORE).reverse())
    expect(await relations(pool, 'public', 'holdfast')).toEqual(made)
    expect((await aStranger(url).query('SELECT next_offset FROM stream_progress')).rows).toEqual([{ next_offset: '1' }])

    expect(await migrate(url, 'up')).toEqual(ALL.slice(BEFORE))
    await settle(pool, 1n, 'b')
    expect((await readProof(pool, provenOrders())).findings).toEqual([])
  })

  it('is moved from an older version as well, past tables of others that have the names of later ones', async () => {
    const url = await freshDatabase()
    await anInstallationInPublic(url, ALL.indexOf('0019_causes'))
    const other = aStranger(url)
    await other.query(
      `CREATE TABLE causes (theirs text); CREATE TABLE notices (theirs text); INSERT INTO causes VALUES ('x')`,
    )

    await migrate(url, 'up')

    expect((await other.query('TABLE causes')).rows).toEqual([{ theirs: 'x' }])
    expect((await other.query('TABLE notices')).rows).toEqual([])
    expect(await relations(other, 'holdfast')).toEqual(
      expect.arrayContaining(['r holdfast.causes', 'r holdfast.notices']),
    )
    await expect(migrate(url, 'down', { count: ALL.length - BEFORE })).rejects.toThrow(
      /no migration was taken back, because of 0022_own_schema: public.causes is of another program/,
    )
  })

  it('is moved past tables of others in a schema that has the name of ours', async () => {
    const url = await freshDatabase()
    await anInstallationInPublic(url)
    const other = aStranger(url)
    await other.query(`CREATE SCHEMA holdfast; CREATE TABLE holdfast.orders (theirs text); INSERT INTO holdfast.orders VALUES ('x');
      CREATE TABLE holdfast.items AS TABLE public.items`)

    await migrate(url, 'up')

    expect((await other.query('TABLE holdfast.orders')).rows).toEqual([{ theirs: 'x' }])
    expect(await relations(other, 'holdfast')).toContain('r holdfast.items')
  })

  it('is not moved to where another program has a table of the name of one of ours', async () => {
    const url = await freshDatabase()
    await anInstallationInPublic(url)
    const other = aStranger(url)
    await other.query('CREATE SCHEMA holdfast; CREATE TABLE holdfast.notices (theirs text)')

    await expect(migrate(url, 'up')).rejects.toThrow(
      /no migration was applied, because of 0022_own_schema: holdfast.notices is of another program.*PG_SCHEMA/,
    )

    await migrate(url, 'up', { schema: 'shop' })
    expect(await relations(other, 'holdfast')).toEqual(['r holdfast.notices'])
    expect(await missingMigrations(aPool(url, 'shop'))).toEqual([])
  })

  it('is moved by a member of the role that owns it, and the owner goes on, in this version and in the one before', async () => {
    const url = await freshDatabase()
    const admin = aStranger(url)
    const { role: owner, url: ofOwner } = await aRole(url, 'owner')
    const { role: deployer, url: ofDeployer } = await aRole(url, 'deployer')
    const database = new URL(url).pathname.slice(1)
    await admin.query(`GRANT CREATE ON SCHEMA public TO ${owner}, ${deployer}; GRANT CREATE ON DATABASE ${database} TO ${deployer};
      GRANT ${owner} TO ${deployer}`)
    await anInstallationInPublic(ofOwner)

    await migrate(ofDeployer, 'up')

    const pool = aPool(ofOwner)
    expect((await serverFacts(pool, [])).forbidden).toEqual([])
    await settle(pool, 0n, 'a')
    const before = aStranger(ofOwner)
    await before.query(`UPDATE stream_progress SET next_offset = 5`)
    expect((await before.query('SELECT count(*)::int AS migrations FROM pgmigrations')).rows).toEqual([
      { migrations: ALL.length },
    ])
    const me = { id: randomUUID(), migration: ALL.at(-1) ?? '', roles: ['api'], host: 'here', pid: 1 }
    await noteProcess(pool, me)
    await forgetProcess(pool, me.id)
    expect(await missingMigrations(pool)).toEqual([])
  })

  it('is waited for, while a batch of the version before is under way, and neither fails', async () => {
    const url = await freshDatabase()
    await anInstallationInPublic(url)
    const before = aStranger(url)
    await before.query(
      `INSERT INTO stream_progress (topic, partition, group_id, first_offset, next_offset) VALUES ('orders', 0, 'g', 0, 0)`,
    )
    const client = await before.connect()
    const advance = {
      name: 'advance',
      text: `UPDATE stream_progress SET next_offset = next_offset + 1 RETURNING next_offset::int AS at`,
    }
    await client.query(advance)
    await client.query('BEGIN')
    await client.query(advance)
    const moving = migrate(url, 'up')
    const pool = aPool(url)
    await eventually(
      async () =>
        (
          await pool.query(
            `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
          )
        ).rowCount === 1,
      'the migration waiting',
    )
    await client.query('COMMIT')
    await moving
    // A prepared statement, too, finds the table in its new place.
    expect((await client.query(advance)).rows).toEqual([{ at: 3 }])
    client.release()
    expect((await pool.query('SELECT next_offset::int AS at FROM holdfast.stream_progress')).rows).toEqual([{ at: 3 }])
  })
})

describe('a new installation', () => {
  it('leaves alone what others have in public, whatever its name, and leaves nothing else there', async () => {
    const url = await freshDatabase()
    const other = aStranger(url)
    await other.query(`CREATE TABLE notices (theirs text); CREATE TABLE stream_ledger (theirs text); CREATE TABLE orders (theirs text);
      CREATE TABLE pgmigrations (id serial PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL);
      INSERT INTO pgmigrations (name, run_on) VALUES ('1_theirs', now()); CREATE TABLE pgmigrations_project (theirs text)`)
    const theirs = await relations(other, 'public')

    expect(await migrate(url, 'up')).toEqual(ALL)

    const made = ['r public.deliveries', 'r public.items', 'r public.payments']
    expect(await relations(other, 'public')).toEqual([...theirs, ...made].sort())
    expect((await other.query('SELECT name FROM pgmigrations')).rows).toEqual([{ name: '1_theirs' }])
    expect(await missingMigrations(aPool(url))).toEqual([])
  })

  it('works for a user who is only given the schema, and says which statement gives it', async () => {
    const url = await freshDatabase()
    const { role, url: theirs } = await aRole(url, 'tenant')
    const admin = aStranger(url)
    await admin.query(`GRANT CREATE ON SCHEMA public TO ${role}`)
    const statement = `CREATE SCHEMA holdfast AUTHORIZATION ${role}`
    await expect(migrate(theirs, 'up')).rejects.toThrow(`let the owner of the database run: ${statement}`)
    await admin.query(statement)
    await migrate(theirs, 'up')
    const tenant = aPool(theirs)
    expect((await serverFacts(tenant, [])).forbidden).toEqual([])
    // The queues of jobs likewise.
    const ask = async (text: string, values: readonly unknown[]) => (await tenant.query(text, [...values])).rows
    await expect(requireQueueSchema(ask, 'pgboss')).rejects.toThrow(`CREATE SCHEMA pgboss AUTHORIZATION "${role}"`)
    await admin.query(`CREATE SCHEMA pgboss AUTHORIZATION ${role}`)
    expect(await requireQueueSchema(ask, 'pgboss')).toBe(true)
    await admin.query(`ALTER SCHEMA holdfast OWNER TO CURRENT_USER; REVOKE ALL ON SCHEMA holdfast FROM ${role}`)
    expect((await serverFacts(aPool(theirs), [])).forbidden).toContain('holdfast.stream_progress')
  })
})

describe('two installations in one database', () => {
  it('know nothing of one another', async () => {
    const url = await freshDatabase()
    // A word of SQL, which has to be quoted wherever it stands.
    const schemas = ['holdfast', 'user'] as const
    for (const schema of schemas) expect(await migrate(url, 'up', { schema })).toEqual(ALL)
    const [first, second] = schemas.map(schema => aPool(url, schema)) as [pg.Pool, pg.Pool]
    const heard: (readonly string[] | 'all')[] = []
    const connected = Promise.withResolvers<void>()
    let currentAsOfMs = Number.NEGATIVE_INFINITY
    const listener = startWriteListener({
      ...{ pool: aPool(url, 'user'), self: 'other', clock: systemClock, random: () => 0 },
      onConnected: connected.resolve,
      onWritten: keys => heard.push(keys),
      onCurrent: asOfMs => {
        currentAsOfMs = asOfMs
      },
      onLost: () => {},
    })
    onTestFinished(() => listener.stop())
    await connected.promise

    await settle(first, 0n, 'a', 'a')
    const ledgers =
      'SELECT (SELECT count(*)::int FROM holdfast.stream_ledger) AS rows, (SELECT next_offset::int FROM holdfast.stream_progress) AS at'
    expect((await first.query(ledgers)).rows).toEqual([{ rows: expect.any(Number), at: 2 }])
    expect((await second.query(ledgers)).rows).toEqual([{ rows: 0, at: null }])
    await settle(second, 0n, 'b', 'b', 'b')
    expect((await first.query(ledgers)).rows).toMatchObject([{ at: 2 }])
    expect((await second.query(ledgers)).rows).toMatchObject([{ at: 3 }])
    const now = systemClock.monotonic()
    await eventually(() => currentAsOfMs > now, 'all notices having arrived')
    expect(heard).toEqual([['b'], ['b']])
    expect(schemas.map(queueSchemaOf)).toEqual(['pgboss', 'user_jobs'])

    // What another one has in public keeps it from going there.
    await migrate(url, 'down', { schema: 'holdfast', count: ALL.length - BEFORE })
    await expect(migrate(url, 'down', { schema: 'user', count: ALL.length - BEFORE })).rejects.toThrow(
      /public.stream_progress is of another/,
    )
    expect(await missingMigrations(second)).toEqual([])
    await settle(second, 3n, 'c')
  })
})
