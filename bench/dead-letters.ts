/**
 * How long operators wait for the index of dead letters, and what each of its secondary indexes costs the stream that
 * writes it. Real PostgreSQL, default settings.
 */

import { Command } from 'commander'
import type pg from 'pg'
import { parseCount } from '#src/cli/arguments.ts'
import type { DeadLetter } from '#src/engine/dead-letter.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import { parseFilter } from '#src/inbox/filter-reader.ts'
import type { DeadLetterPlace, LetterSort } from '#src/inbox/ports.ts'
import { createDeadLetterIndex } from '#src/inbox/postgres/dead-letter-index.ts'
import { createDeadLetterStore } from '#src/inbox/postgres/dead-letter-store.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { startPostgres } from '#tools/demo/servers/postgres.ts'
import { grouped } from '../src/engine/grouped.ts'
import type { Order } from '../test/support/order.ts'
import { orderTables } from '../test/support/order-stream.ts'
import { freshDatabase } from './database.ts'
import { median } from './measurement.ts'
import { cpuSecondsOfTree } from './process-figures.ts'

const { letters, runs, batches, rounds } = new Command('dead-letters')
  .description('Measures questions to the index of dead letters, and what its indexes cost the writer.')
  .option('--letters <n>', 'in the index', parseCount, 100_000)
  .option('--runs <n>', 'of each question', parseCount, 15)
  .option('--batches <n>', 'of 1,000 dead letters, for each way to write in each round', parseCount, 30)
  .option('--rounds <n>', 'of writing; the ways take turns', parseCount, 4)
  .parse()
  .opts<{ letters: number; runs: number; batches: number; rounds: number }>()

const BATCH = 1_000
/** Where the fourth of the six partitions begins. */
const DEEP_SOURCE: DeadLetterPlace = { sort: 'source', keys: ['orders', '3', '0', 'orders-3-0'] }
/** The ways to write: all indexes, and one less each. */
const WITHOUT = [undefined, 'dead_letters_key', 'dead_letters_newest', 'dead_letters_source'] as const

await using server = await startPostgres({ log: line => console.error(line) })
await askQuestions()
await writeLetters()
await closeLoops()

async function askQuestions(): Promise<void> {
  await using database = await freshDatabase(server, 'questions', { keep: false })
  const pool = createPool({ url: database.url, schema: 'holdfast', max: 1, statementTimeoutMs: 60_000, name: 'bench' })
  await fill(pool)
  const store = createDeadLetterStore(pool, 'orders')
  const index = createDeadLetterIndex(pool, 'orders')
  const page = (text: string, sort?: LetterSort) => () =>
    store.page({ filter: filter(text), limit: 50, ...(sort === undefined ? {} : { sort }), after: undefined })
  const deep = await deepPlace(pool)
  const questions: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['groups', () => store.groups(filter(''))],
    ['groups state:open', () => store.groups(filter('state:open'))],
    ['groups text:"must"', () => store.groups(filter('text:must'))],
    ['first page', page('')],
    ['first page state:open', page('state:open')],
    ['first page state:parked (1 %, the oldest)', page('state:parked')],
    ['first page reason:too_large (none)', page('reason:too_large')],
    ['first page uid:UID', page('uid:uid-77')],
    ['a page from the middle', () => store.page({ filter: filter(''), limit: 50, after: deep })],
    ['first page, oldest first', page('', 'failed_at')],
    ['first page by record', page('', 'source')],
    ['first page by record, downwards, state:open', page('state:open', '-source')],
    ['a page by record from the middle', () => store.page({ filter: filter(''), limit: 50, after: DEEP_SOURCE })],
    ['one letter', () => store.get('orders-0-600')],
    ['the letter of an order', () => index.ofKey('uid-77')],
    ['the letter of an order that has none', () => index.ofKey('nobody')],
  ]
  console.log(`${grouped(letters)} dead letters; milliseconds, median (highest) of ${runs}`)
  for (const [name, ask] of questions) {
    for (let i = 0; i < 3; i++) await ask()
    const times: number[] = []
    for (let i = 0; i < runs; i++) {
      const started = performance.now()
      await ask()
      times.push(performance.now() - started)
    }
    console.log(`  ${name.padEnd(44)} ${median(times).toFixed(1).padStart(7)}  (${Math.max(...times).toFixed(1)})`)
  }
  await pool.end()
}

/** Six partitions, some forty groups, uids of most, the oldest percent parked, a tenth resolved. */
async function fill(pool: pg.Pool): Promise<void> {
  await pool.query(
    `INSERT INTO holdfast.dead_letters (id, reason, error, pointer, message, violations, key, group_id, source_topic,
       source_partition, source_offset, source_timestamp, first_failed_at, failed_at, failures, attempts, replay_count,
       state, bytes, dlq_partition, dlq_offset)
     SELECT 'orders-' || n % 6 || '-' || n, (ARRAY['schema_violation', 'malformed_json', 'store_rejected'])[1 + n % 3],
       (ARRAY['required', 'type', 'pattern', '23514'])[1 + n % 4], '/items/' || n % 10 || '/price',
       'must be a whole number (one of 3 violations)',
       jsonb_build_array(v, v, v), CASE WHEN n % 20 > 0 THEN 'uid-' || n END, 'holdfast', 'orders', n % 6, n, 1700000000000, at, at, 1, 1, 0,
       CASE WHEN n <= $1 / 100 THEN 'parked' WHEN n % 10 = 0 THEN 'resolved' ELSE 'open' END, 1200, n % 6, n
     FROM generate_series(1, $1::integer) AS n, LATERAL (SELECT now() + (n - $1) * interval '10 ms' AS at) AS t,
       LATERAL (SELECT '{"pointer": "/items/0/price", "keyword": "type", "message": "must be a whole number"}'::jsonb AS v) AS w`,
    [letters],
  )
  await pool.query('VACUUM ANALYZE holdfast.dead_letters')
}

async function deepPlace(pool: pg.Pool): Promise<DeadLetterPlace> {
  const { rows } = await pool.query<{ id: string; failed_at: Date }>(
    'SELECT id, failed_at FROM holdfast.dead_letters ORDER BY failed_at DESC OFFSET $1 LIMIT 1',
    [Math.floor(letters / 2)],
  )
  const [row] = rows
  if (row === undefined) throw new Error('there are no letters')
  return { sort: '-failed_at', keys: [row.failed_at.toISOString(), row.id] }
}

async function writeLetters(): Promise<void> {
  const seconds = new Map<string, number[]>()
  const wal = new Map<string, number[]>()
  const cpu = new Map<string, number[]>()
  for (let round = 0; round < rounds; round++) {
    const ways = round % 2 === 0 ? WITHOUT : WITHOUT.toReversed()
    for (const without of ways) {
      await using database = await freshDatabase(server, `writes_${round}_${without ?? 'all'}`, { keep: false })
      const pool = createPool({
        url: database.url,
        schema: 'holdfast',
        max: 1,
        statementTimeoutMs: 60_000,
        name: 'bench',
      })
      if (without !== undefined) await pool.query(`DROP INDEX ${without}`)
      const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables })
      await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
      const name = without === undefined ? 'all indexes' : `without ${without}`
      const walBefore = await walBytes(pool)
      const cpuBefore = cpuSecondsOfTree(server.pid)
      const started = performance.now()
      for (let batch = 0; batch < batches; batch++) await settle(store, batch)
      note(seconds, name, (performance.now() - started) / batches)
      note(wal, name, ((await walBytes(pool)) - walBefore) / batches / BATCH)
      const cpuAfter = cpuSecondsOfTree(server.pid)
      if (cpuBefore !== undefined && cpuAfter !== undefined) {
        note(cpu, name, ((cpuAfter - cpuBefore) * 1e6) / batches / BATCH)
      }
      await pool.end()
    }
  }
  console.log(`\na batch of ${BATCH} dead letters; medians of ${rounds} rounds of ${batches} batches`)
  for (const [name, times] of seconds) {
    const micros = median(cpu.get(name) ?? []).toFixed(0)
    console.log(
      `  ${name.padEnd(32)} ${median(times).toFixed(1)} ms a batch, ${micros} µs of PostgreSQL's CPU and ` +
        `${median(wal.get(name) ?? []).toFixed(0)} bytes of WAL a letter`,
    )
  }
}

/** Batches whose records were all redriven, so that each resolves its letter: beside the same batch without a redrive. */
async function closeLoops(): Promise<void> {
  await using database = await freshDatabase(server, 'loops', { keep: false })
  const pool = createPool({ url: database.url, schema: 'holdfast', max: 1, statementTimeoutMs: 60_000, name: 'bench' })
  const store = createStreamSettlement({ pool, stream: 'orders', tables: orderTables })
  await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
  for (let batch = 0; batch < batches; batch++) await settle(store, batch)
  await pool.query(`UPDATE holdfast.dead_letters SET state = 'replaying', replay_id = 'r1'`)
  await pool.query(`INSERT INTO holdfast.replay_items (replay_id, position, dead_letter_id, state)
    SELECT 'r1', source_offset + 1, id, 'published' FROM holdfast.dead_letters`)
  await pool.query('VACUUM ANALYZE holdfast.dead_letters, holdfast.replay_items')
  const times: Record<'plain' | 'redriven', number[]> = { plain: [], redriven: [] }
  let next = BigInt(batches * BATCH)
  for (let batch = 0; batch < batches; batch++) {
    for (const kind of ['plain', 'redriven'] as const) {
      const leftOut = Array.from({ length: BATCH }, (_, i) => {
        const offset = BigInt(batch * BATCH + i)
        const record = { topic: 'orders', partition: 0, offset, timestampMs: 0, key: null, value: null, headers: [] }
        const redrive = kind === 'redriven' ? { redriveId: 'r1', redriveCount: 1 } : undefined
        return { ready: { record, origin: record, key: '', value: {} as Order, redrive }, outcome: 'stale' as const }
      })
      const started = performance.now()
      await store.settle({
        ...{ topic: 'orders', partition: 0, groupId: 'holdfast', isolate: false, ready: [], deadLetters: [] },
        ...{ from: next, to: next + BigInt(BATCH), records: BATCH },
        collapsed: { superseded: 0, duplicate: 0, stale: BATCH, leftOut },
      })
      times[kind].push(performance.now() - started)
      next += BigInt(BATCH)
    }
  }
  await pool.end()
  console.log(
    `\na batch of ${BATCH} records that need no write: ${median(times.plain).toFixed(1)} ms; ` +
      `when each closes the loop of a redrive: ${median(times.redriven).toFixed(1)} ms`,
  )
}

async function settle(store: ReturnType<typeof createStreamSettlement>, batch: number): Promise<void> {
  const from = BigInt(batch * BATCH)
  const deadLetters = Array.from({ length: BATCH }, (_, i): DeadLetter => {
    const record = {
      topic: 'orders',
      partition: 0,
      offset: from + BigInt(i),
      timestampMs: 1_700_000_000_000,
      key: null,
      value: null,
      headers: [],
    }
    const violation = { pointer: '/items/0/price', keyword: 'type', message: 'must be a whole number' }
    return {
      record,
      origin: record,
      rejection: {
        reason: 'schema_violation',
        error: 'type',
        pointer: '/items/0/price',
        message: 'must be a whole number',
        violations: [violation, violation, violation],
      },
      failedAtMs: 1_700_000_000_000 + batch * 50,
      attempts: 1,
      redriveCount: 0,
      key: `b563feb7b2b84b6test-${(batch * BATCH + i) * 7919}`,
      groupId: 'holdfast',
    }
  })
  await store.settle({
    topic: 'orders',
    partition: 0,
    groupId: 'holdfast',
    from,
    to: from + BigInt(BATCH),
    records: BATCH,
    ready: [],
    collapsed: { superseded: 0, duplicate: 0, stale: 0 },
    deadLetters,
    isolate: false,
  })
}

async function walBytes(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query(`SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS bytes`)
  return Number(rows[0]?.bytes)
}

function note(into: Map<string, number[]>, name: string, value: number): void {
  into.set(name, [...(into.get(name) ?? []), value])
}

function filter(text: string) {
  const parsed = parseFilter(text)
  if (!parsed.ok) throw new Error(parsed.message)
  const terms = parsed.filter.terms.filter(term => term.field !== 'word' && term.field !== 'value')
  return { terms }
}
