/**
 * Measures what the service keeps about its records. `node bench/books.ts proof [--records 10000000]`: how long the database's half of
 * a proof takes, from the start and from a checkpoint. `node bench/books.ts trickle [--batches 20000]`: what a batch of one record costs with
 * a row of the ledger for each and with rows that are extended, and what merging costs. Starts a PostgreSQL of its own, and removes it.
 */
import { parseArgs } from 'node:util'
import type pg from 'pg'
import { mergeLedger } from '#src/engine/postgres/ledger-merge.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import { prove } from '#src/engine/postgres/proof.ts'
import { leaveCheckpoint } from '#src/engine/postgres/proof-checkpoint.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { startPostgres } from '#tools/demo/servers/postgres.ts'
import { createOrderStream, orderTables } from '../test/support/order-stream.ts'
import { aReadyOrder, aWork } from '../test/support/orders.ts'
import { migrated } from './database.ts'
import { cpuSecondsOfTree } from './process-figures.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { records: { type: 'string', default: '10000000' }, batches: { type: 'string', default: '20000' } },
})
const PARTITIONS = 6
const STATEMENT_TIMEOUT_MS = 60 * 60_000

// The settings shorten the filling; a proof makes no use of them.
const settings = { max_wal_size: '8GB', maintenance_work_mem: '512MB' }
await using server = await startPostgres({ log: line => console.error(line), settings })
const stream = createOrderStream({ topic: 'orders', dlqTopic: 'orders.dlq', groupId: 'holdfast', maxBytes: 1_000_000 })
if (positionals[0] === 'proof') await measureProof(Number(values.records))
else await measureTrickle(Number(values.batches))

async function freshPool(name: string): Promise<pg.Pool> {
  const url = await server.createDatabase(name)
  await migrated(url)
  return createPool({ url, schema: 'holdfast', max: 2, statementTimeoutMs: STATEMENT_TIMEOUT_MS, name })
}

async function timed<R>(what: string, work: () => Promise<R>): Promise<R> {
  const [startedMs, cpu] = [performance.now(), cpuSecondsOfTree(server.pid) ?? 0]
  const result = await work()
  const seconds = (performance.now() - startedMs) / 1_000
  console.log(
    `${what}: ${seconds.toFixed(2)} s, CPU of PostgreSQL ${((cpuSecondsOfTree(server.pid) ?? 0) - cpu).toFixed(2)} s`,
  )
  return result
}

async function measureProof(records: number): Promise<void> {
  const pool = await freshPool('proof')
  await pool.query(`INSERT INTO holdfast.stream_progress (topic, partition, group_id, first_offset, next_offset)
    SELECT 'orders', p, 'holdfast', 0, 0 FROM generate_series(0, ${PARTITIONS - 1}) AS p`)
  await timed(`${records} records stored`, () => fill(pool, 0, records))
  const whole = await timed('proof, everything read', () => prove(pool, stream, { full: true }))
  report(whole.findings)
  await leaveCheckpoint(pool, stream, whole, undefined)
  const since = Math.round(records / 100)
  await fill(pool, records, records + since)
  for (const turn of ['first', 'second']) {
    const proof = await timed(`proof from a checkpoint, ${since} records after it, ${turn} time`, () =>
      prove(pool, stream),
    )
    if (proof.from === undefined) throw new Error('it did not go on from the checkpoint')
    report(proof.findings)
  }
  const { rows } = await pool.query(`SELECT relname, pg_size_pretty(pg_total_relation_size(oid)) AS size FROM pg_class
    WHERE relname IN ('orders', 'deliveries', 'payments', 'items', 'stream_ledger')`)
  console.log(rows.map(row => `${row.relname} ${row.size}`).join(', '))
  await pool.end()
}

function report(findings: readonly { readonly what: string }[]): void {
  console.log(findings.length === 0 ? '  holds' : findings.map(({ what }) => `  ${what}`).join('\n'))
}

/** Orders with a row in each table and full batches in the ledger, a day ago those from offset 0. */
async function fill(pool: pg.Pool, from: number, to: number): Promise<void> {
  const uid = `left(md5(n::text), 19) || 'test'`
  const storedAt = from === 0 ? `now() - interval '1 day'` : 'now()'
  const columns: Readonly<Record<string, string>> = {
    orders: `${uid}, 'WBILMTESTTRACK', 'WBIL', 'en', '', 'customer' || n % 100000, 'meest', '9', 99,
      timestamptz '2026-01-01' + n * interval '1 second', '1', 'orders', n % ${PARTITIONS}, n / ${PARTITIONS}, 1700000000000, ${storedAt}`,
    deliveries: `${uid}, 'Test Testov', '+9720000000', '2639809', 'Kiryat Mozkin', 'Ploshad Mira 15', 'Kraiot', 'test@gmail.com'`,
    payments: `${uid}, ${uid}, '', 'USD', 'wbpay', 1817, 1637907727, 'alpha', 1500, 317, 0`,
    items: `${uid}, 0, 9934930, 'WBILMTESTTRACK', 453, 'ab4219087a764ae0btest', 'Mascaras', 30, '0', 317, 2389212, 'Vivienne Sabo', 202`,
  }
  for (const [table, row] of Object.entries(columns)) {
    const indexes = from === 0 ? await withoutIndexes(pool, table) : []
    await pool.query(`INSERT INTO ${table} SELECT ${row} FROM generate_series(${from}, ${to - 1}) AS n`)
    for (const index of indexes) await pool.query(index)
  }
  await pool.query(`WITH moved AS (
      UPDATE holdfast.stream_progress AS p SET next_offset = (${to} - p.partition + ${PARTITIONS - 1}) / ${PARTITIONS} FROM holdfast.stream_progress AS before
      WHERE before.partition = p.partition RETURNING p.topic, p.partition, p.group_id, before.next_offset AS before, p.next_offset AS after
    )
    INSERT INTO holdfast.stream_ledger (topic, partition, group_id, from_offset, to_offset, records, written, duplicate, stale, superseded,
      dead_lettered, gaps, expired, skipped, inserted, settled_at)
    SELECT topic, partition, group_id, at, least(at + 1000, after), least(1000, after - at), least(1000, after - at), 0, 0, 0, 0, 0, 0, 0,
      least(1000, after - at), ${storedAt} FROM moved, generate_series(before, after - 1, 1000) AS at ORDER BY at, partition`)
  await pool.query('VACUUM ANALYZE')
}

/** @returns what makes them again: a table that is filled at once is faster without. */
async function withoutIndexes(pool: pg.Pool, table: string): Promise<string[]> {
  const { rows: keys } = await pool.query(
    `SELECT conname AS name, pg_get_constraintdef(oid) AS def FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'p'`,
    [table],
  )
  for (const { name } of keys) await pool.query(`ALTER TABLE ${table} DROP CONSTRAINT ${name}`)
  const { rows: indexes } = await pool.query(
    'SELECT indexname AS name, indexdef AS def FROM pg_indexes WHERE tablename = $1',
    [table],
  )
  for (const { name } of indexes) await pool.query(`DROP INDEX ${name}`)
  return [...keys.map(({ def }) => `ALTER TABLE ${table} ADD ${def}`), ...indexes.map(({ def }) => def)]
}

async function measureTrickle(batches: number): Promise<void> {
  for (const turn of [1, 2]) {
    for (const [name, ownRowFrom] of [
      ['a row for each batch', 0],
      ['extended rows', 1_000],
    ] as const) {
      const pool = await freshPool(`trickle_${ownRowFrom}_${turn}`)
      const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables, ownRowFrom })
      await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
      await timed(`${batches} batches of one record, ${name}`, async () => {
        for (let at = 0n; at < batches; at++)
          await store.settle(aWork([aReadyOrder({ uid: `o${at}`, offset: at })], { from: at }))
      })
      const { rows } =
        await pool.query(`SELECT relname, n_live_tup AS rows, n_tup_upd AS updated, n_tup_hot_upd AS hot, n_dead_tup AS dead, autovacuum_count AS vacuums,
        pg_size_pretty(pg_total_relation_size(relid)) AS size FROM pg_stat_user_tables WHERE relname IN ('stream_ledger', 'stream_progress')`)
      console.log(rows.map(row => `  ${JSON.stringify(row)}`).join('\n'))
      await timed('  merged', async () =>
        console.log(`  ${await mergeLedger(pool, 'orders', { olderThanMs: 0, limit: 1e9 })} rows are gone`),
      )
      await pool.end()
    }
  }
}
