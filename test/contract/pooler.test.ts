import pg from 'pg'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { StoreContendedError, StoreMisconfiguredError, StoreUnavailableError } from '#src/engine/errors.ts'
import { migrate } from '#src/engine/postgres/migrate.ts'
import { createPool, finish, pipelined, query, queryAsGiven, transaction } from '#src/engine/postgres/pool.ts'
import { findPooling, requireSupportedPooling } from '#src/engine/postgres/pooling.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import type { Order } from '../support/order.ts'
import { orderTables } from '../support/order-stream.ts'
import { aReadyOrder, aWork } from '../support/orders.ts'
import { aPgBouncer, type PgBouncerOptions, type PoolMode, withPgBouncers } from '../support/pgbouncer.ts'
import { freshDatabase } from '../support/stack.ts'

/** The limits and formats that each transaction must run under, as the server shows them. */
const SETTINGS = `SELECT current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock,
  current_setting('idle_in_transaction_session_timeout') AS idle, current_setting('datestyle') AS dates,
  current_setting('extra_float_digits') AS digits`
const OURS = { statement: '800ms', lock: '400ms', idle: '800ms', dates: 'ISO, MDY', digits: '1' }
const STATEMENT_TIMEOUT_MS = 800

let databaseUrl: string
beforeEach(async () => {
  databaseUrl = await freshDatabase({ migrated: true })
})

type Over = Partial<Parameters<typeof createPool>[0]>

function aPool(url: string, over: Over = {}): pg.Pool {
  const pool = createPool({
    url,
    schema: 'holdfast',
    max: 4,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    name: 'test',
    ...over,
  })
  onTestFinished(() => (pool.ended ? undefined : pool.end()))
  return pool
}

/** A client of another program, which uses the sessions after us. */
async function aStranger(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  onTestFinished(() => client.end().catch(() => {}))
  return client
}

/** How long another one waits for a row that a process holds which stopped inside of its transaction, in ms; with what it takes to begin. */
async function heldMs(url: string): Promise<number> {
  const frozen = await aPool(url).connect()
  onTestFinished(() => frozen.release(true))
  const watch = await aStranger(databaseUrl)
  await watch.query('CREATE TABLE IF NOT EXISTS held (id int PRIMARY KEY)')
  await watch.query('INSERT INTO held VALUES (1) ON CONFLICT DO NOTHING')
  const begun = performance.now()
  await pipelined(frozen, ['BEGIN', 'SELECT * FROM held FOR UPDATE'])
  await watch.query('UPDATE held SET id = 1')
  return performance.now() - begun
}

await withPgBouncers('behind a pooler', program => {
  const aPooler = (mode: PoolMode, over: Partial<PgBouncerOptions> = {}) =>
    aPgBouncer({ databaseUrl, mode, program, ...over })

  describe.each(['session', 'transaction'] as const)('in %s mode', mode => {
    it('each transaction and each single statement has the limits that are ours, and nobody else has them', async () => {
      const pooler = await aPooler(mode, { settings: { default_pool_size: '1' } })
      // In session mode the only session is ours for as long as we are connected.
      const pool = aPool(pooler.url(), { max: 1 })
      expect(await query(pool, { text: SETTINGS })).toEqual([OURS])
      const [, shown] = await transaction(pool, async client => {
        const answers = await pipelined(client, ['BEGIN', SETTINGS])
        await finish(client, [])
        return answers
      })
      expect(shown?.rows).toEqual([OURS])
      expect((await queryAsGiven(pool, `${SETTINGS} WHERE $1`, [true])).rows).toEqual([OURS])
      await pool.end()
      const stranger = await aStranger(pooler.url())
      expect((await stranger.query(SETTINGS)).rows).toMatchObject([{ statement: '0', lock: '0', idle: '0' }])
    })

    it('a process that stops inside a transaction holds its rows no longer than without it', async () => {
      const pooler = await aPooler(mode)
      const [direct, pooled] = [await heldMs(databaseUrl), await heldMs(pooler.url())]
      for (const ms of [direct, pooled]) {
        expect(ms).toBeGreaterThan(STATEMENT_TIMEOUT_MS * 0.8)
        // Without a limit for as long as the process stands still. On a busy machine the server is late as well.
        expect(ms).toBeLessThan(STATEMENT_TIMEOUT_MS * 40)
      }
    })

    it('a single statement waits for a lock as long as it may, and no longer', async () => {
      const pooler = await aPooler(mode)
      const holder = await aStranger(databaseUrl)
      await holder.query('BEGIN; LOCK TABLE orders')
      const pool = aPool(pooler.url(), { preparedStatements: program.keepsStatements })
      const asked = query(pool, { text: 'SELECT count(*) FROM orders' })
      // It was the limit of the wait that ended it (lock_not_available).
      await expect(asked).rejects.toMatchObject({ name: 'StoreContendedError', sqlState: '55P03' })
      await expect(query(pool, { text: 'SELECT pg_sleep(10)' })).rejects.toThrow(StoreContendedError)
      await holder.query('ROLLBACK')
      expect(await query(pool, { text: 'SELECT count(*) FROM orders' })).toEqual([{ count: '0' }])
    })

    it('writers that share few sessions settle their batches, and nothing of one is in another', async () => {
      const pooler = await aPooler(mode, { settings: { default_pool_size: mode === 'session' ? '20' : '2' } })
      const over = { statementTimeoutMs: 10_000, preparedStatements: program.keepsStatements || mode === 'session' }
      const writers = [0, 1, 2].map(partition => {
        const pool = aPool(pooler.url(), { ...over, max: 2 })
        return { partition, store: createStreamSettlement<Order>({ pool, stream: 'orders', tables: orderTables }) }
      })
      await Promise.all(
        writers.map(async ({ partition, store }) => {
          await store.startProgress('holdfast', { topic: 'orders', partition, nextOffset: 0n })
          for (let batch = 0n; batch < 10n; batch++) {
            // By turns by the upsert alone and by COPY, new keys and known ones.
            const size = batch % 2n === 0n ? 5 : 40
            const from = (batch / 2n) * 45n + (batch % 2n) * 5n
            const records = Array.from({ length: size }, (_, i) =>
              aReadyOrder({ uid: `p${partition}-${i + (batch > 5n ? 20 : 0)}`, partition, offset: from + BigInt(i) }),
            )
            const settled = await store.settle(aWork(records, { from, partition }))
            expect(settled).toMatchObject({ kind: 'settled', counts: { written: size } })
          }
        }),
      )
      const [row] = await query<{ keys: string; misplaced: string }>(aPool(databaseUrl), {
        text: `SELECT count(*) AS keys,
          count(*) FILTER (WHERE order_uid NOT LIKE 'p' || source_partition || '-%') AS misplaced FROM orders`,
      })
      expect(row).toEqual({ keys: '180', misplaced: '0' })
    })

    it('a restart of it is an outage: the next statements find it again', async () => {
      const pooler = await aPooler(mode)
      const pool = aPool(pooler.url(), { max: 1, statementTimeoutMs: 60_000 })
      await query(pool, { text: 'SELECT 1' })
      const waiting = query(pool, { text: 'SELECT pg_sleep(30)' })
      const failed = expect(waiting).rejects.toThrow(StoreUnavailableError)
      await pooler.stop('SIGKILL')
      await failed
      await expect(query(pool, { text: 'SELECT 1' })).rejects.toThrow(StoreUnavailableError)
      await pooler.restart()
      expect(await query(pool, { text: 'SELECT 1 AS one' })).toEqual([{ one: 1 }])
    })
  })

  it('is found, and so is how it lends sessions', async () => {
    expect((await findPooling(databaseUrl)).lends).toBe('none')
    expect((await findPooling((await aPooler('session')).url())).lends).toBe('session')
    const pooler = await aPooler('transaction')
    const pooling = await findPooling(pooler.url())
    expect(pooling).toEqual({ lends: 'transaction', keepsStatements: program.keepsStatements })
    // And nothing of the question is left in its sessions.
    const { rows } = await (await aStranger(pooler.url())).query(`SELECT count(*) FROM pg_prepared_statements
      WHERE name LIKE 'holdfast%'`)
    expect(rows).toEqual([{ count: '0' }])
  })

  it('is found among sessions that others use at the same time', async () => {
    const pooler = await aPooler('transaction')
    const busy = new AbortController()
    const others = await Promise.all(Array.from({ length: 8 }, () => aStranger(pooler.url())))
    const running = others.map(async other => {
      while (!busy.signal.aborted) await other.query('SELECT 1')
    })
    onTestFinished(async () => {
      busy.abort()
      await Promise.all(running)
    })
    for (let look = 0; look < 10; look++) expect((await findPooling(pooler.url())).lends).toBe('transaction')
  })

  it('needs settings where it lends sessions by the transaction, and the refusal names them', async () => {
    const pooler = await aPooler('transaction')
    const [url, direct] = [pooler.url(), { url: databaseUrl }]
    const refused = requireSupportedPooling({ url, direct: { url }, preparedStatements: false })
    await expect(refused).rejects.toThrow(StoreMisconfiguredError)
    await expect(refused).rejects.toThrow(/set DATABASE_DIRECT_URL to/)
    await expect(refused).rejects.not.toThrow(/PG_PREPARED_STATEMENTS/)
    await expect(requireSupportedPooling({ url, direct, preparedStatements: false })).resolves.toBeDefined()
    const prepared = requireSupportedPooling({ url, direct, preparedStatements: true })
    if (program.keepsStatements) await expect(prepared).resolves.toBeDefined()
    else await expect(prepared).rejects.toThrow(/set PG_PREPARED_STATEMENTS=off \(or max_prepared_statements/)
  })

  it('and its direct way must be one, to the same database', async () => {
    const pooler = await aPooler('transaction')
    const url = pooler.url()
    const another = await freshDatabase({ migrated: false })
    const settings = { url, preparedStatements: false }
    await expect(requireSupportedPooling({ ...settings, direct: { url: `${url}?` } })).rejects.toThrow(
      /DATABASE_DIRECT_URL leads through a pooler that lends sessions by the transaction as well/,
    )
    await expect(requireSupportedPooling({ ...settings, direct: { url: another } })).rejects.toThrow(
      /lead to two different databases/,
    )
  })

  it('takes no migrations where it lends sessions by the transaction', async () => {
    const pooler = await aPooler('transaction')
    await expect(migrate(pooler.url(), 'up')).rejects.toThrow(/set DATABASE_DIRECT_URL/)
    expect(await migrate((await aPooler('session')).url(), 'up')).toEqual([])
  })

  it('is refused where it takes no transactions', async () => {
    const pooler = await aPooler('statement')
    await expect(
      requireSupportedPooling({ url: pooler.url(), direct: { url: databaseUrl }, preparedStatements: false }),
    ).rejects.toThrow(/set pool_mode to session or transaction/)
  })

  it('that keeps no account of statements is named by what then fails, and blames no record', async () => {
    const settings: Record<string, string> = { default_pool_size: '1' }
    if (program.keepsStatements) settings.max_prepared_statements = '0'
    const pooler = await aPooler('transaction', { settings })
    const [one, other] = [aPool(pooler.url()), aPool(pooler.url())]
    const statement = { name: 'twice', text: 'SELECT $1::int AS given', values: [1] }
    expect(await query(one, statement)).toEqual([{ given: 1 }])
    const failed = query(other, statement)
    await expect(failed).rejects.toThrow(StoreMisconfiguredError)
    await expect(failed).rejects.toThrow(/PG_PREPARED_STATEMENTS=off/)
    const unnamed = aPool(pooler.url(), { preparedStatements: false })
    expect(await query(unnamed, statement)).toEqual([{ given: 1 }])
  })
})
