/**
 * What a pooler costs: batches and single reads without one, and through PgBouncer in each mode, by turns on one server. One connection, so that each
 * figure is a time from the first statement to the last answer. `node bench/pooler.ts [ROUNDS]`
 */
import type pg from 'pg'
import { migrate } from '#src/engine/postgres/migrate.ts'
import { createPool, query } from '#src/engine/postgres/pool.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { startPostgres } from '#tools/demo/servers/postgres.ts'
import type { Order } from '../test/support/order.ts'
import { orderTables } from '../test/support/order-stream.ts'
import { aReadyOrder, aWork } from '../test/support/orders.ts'
import { startPgBouncer } from '../test/support/pgbouncer.ts'
import { findPgBouncers } from '../test/support/pgbouncer-programs.ts'

/** Orders of a batch, and how many batches of that size a round has. */
const SIZES = [
  [1, 100],
  [1_000, 4],
] as const
const READS = 200

const rounds = Number(process.argv[2] ?? 7)
await using servers = new AsyncDisposableStack()
const postgres = servers.use(await startPostgres())
await migrate(postgres.url, 'up')

interface Way {
  readonly name: string
  readonly pool: pg.Pool
  readonly partition: number
  readonly times: Map<string, number[]>
  nextOffset: bigint
}

const ways: Way[] = []
function addWay(name: string, url: string, preparedStatements = true): void {
  const pool = createPool({
    url,
    schema: 'holdfast',
    max: 1,
    statementTimeoutMs: 10_000,
    preparedStatements,
    name: 'bench',
  })
  servers.defer(() => pool.end())
  ways.push({ name, pool, partition: ways.length, times: new Map(), nextOffset: 0n })
}

addWay('no pooler', postgres.url)
addWay('no pooler, statements not prepared', postgres.url, false)
for (const program of (await findPgBouncers()).programs) {
  for (const mode of ['session', 'transaction'] as const) {
    const pooler = servers.use(await startPgBouncer({ databaseUrl: postgres.url, mode, program }))
    const name = `PgBouncer ${program.version}, ${mode} mode`
    if (mode === 'session' || program.keepsStatements) addWay(name, pooler.url())
    if (mode === 'transaction') addWay(`${name}, statements not prepared`, pooler.url(), false)
  }
}

for (let round = 0; round < rounds; round++) {
  // Back and forth, so that none always follows the same one.
  for (const way of round % 2 === 0 ? ways : ways.toReversed()) await measure(way)
}
const columns = [...SIZES.map(([size]) => `batch of ${size}`), 'read of one order']
console.log(
  `| ms, median of ${rounds} rounds | ${columns.join(' | ')} |\n| --- |${columns.map(() => ' --- |').join('')}`,
)
for (const { name, times } of ways) {
  console.log(`| ${name} | ${columns.map(column => median(times.get(column) ?? []).toFixed(2)).join(' | ')} |`)
}

async function measure(way: Way): Promise<void> {
  const { pool, partition } = way
  const store = createStreamSettlement<Order>({ pool, stream: 'orders', tables: orderTables })
  await store.startProgress('bench', { topic: 'orders', partition, nextOffset: way.nextOffset })
  for (const [size, count] of SIZES) {
    const works = Array.from({ length: count }, () => {
      const from = way.nextOffset
      way.nextOffset += BigInt(size)
      const uid = (i: number) => `${partition}-${from + BigInt(i)}`
      const records = Array.from({ length: size }, (_, i) =>
        aReadyOrder({ uid: uid(i), items: 3, partition, offset: from + BigInt(i) }),
      )
      return aWork(records, { from, partition, groupId: 'bench' })
    })
    await timed(way, `batch of ${size}`, count, async i => {
      const work = works[i]
      if (work !== undefined) await store.settle(work)
    })
  }
  await timed(way, 'read of one order', READS, async i => {
    const text = 'SELECT * FROM orders WHERE order_uid = $1'
    await query(pool, { name: 'bench_read', text, values: [`${partition}-${i}`] })
  })
}

async function timed(way: Way, what: string, count: number, work: (i: number) => Promise<unknown>): Promise<void> {
  const begun = performance.now()
  for (let i = 0; i < count; i++) await work(i)
  const times = way.times.get(what) ?? []
  way.times.set(what, [...times, (performance.now() - begun) / count])
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
