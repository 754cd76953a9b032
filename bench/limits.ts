/**
 * The limits: how fast PostgreSQL alone takes the rows of the topic. Everything is encoded before the clock starts; two
 * connections send, each the batches of its own half of the partitions, in the order of their offsets; a batch is a transaction.
 */
import pg from 'pg'
import { collapse } from '#src/engine/collapse.ts'
import { encodeColumn } from '#src/engine/postgres/binary.ts'
import { pipelined } from '#src/engine/postgres/pool.ts'
import type { CopyStatement } from '#src/engine/value-sql.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import { createOrderJudge, type Order } from '../test/support/order.ts'
import { orderTables } from '../test/support/order-stream.ts'
import type { Backlog } from './backlog.ts'
import type { Span } from './measurement.ts'
import { recordsOf } from './records.ts'
import type { Servers } from './servers.ts'

export const LIMIT_CONNECTIONS = 2
export const LIMIT_BATCH = 1_000

/** The batches of each connection, encoded. Some 1.2 KB an order, outside of the heap. */
export interface LimitWork<Batch> {
  readonly queues: readonly (readonly Batch[])[]
  /** What it writes of the topic's records. */
  readonly orders: number
}

export interface Limits {
  /**
   * The statement of the service that merges (`orderTables.upsert`), without fence, ledger, or trimming of items: every valid
   * record, the newest version of each order in a batch.
   */
  readonly upsert: LimitWork<pg.QueryConfig>
  /** The COPYs of the service (`orderTables.copies`), without look at the keys, of the newest version of each order in the topic. */
  readonly copy: LimitWork<readonly CopyStatement[]>
}

export function encodeLimits(backlog: Backlog): Limits {
  const judge = createOrderJudge({ maxBytes: 16 * 1024 * 1024 })
  const upsert = inBatches(backlog, encodeUpsert)
  const storedAtMicros = BigInt(Date.now()) * 1000n
  const copy = inBatches(backlog, records => orderTables.copies(collapse(records).ready, storedAtMicros))
  const records = recordsOf(backlog)
  for (let i = 0; i < backlog.orders; i++) {
    const { key, value, order } = records.next()
    if (order === undefined) continue
    const verdict = judge({ key, value })
    if (!verdict.ok) throw new RangeError(`record ${i} of the generator is invalid`)
    const origin = {
      topic: backlog.topic,
      partition: backlog.partitionOf[i] ?? 0,
      offset: BigInt(backlog.offsetOf[i] ?? 0),
      timestampMs: backlog.timestampMs,
    }
    const record = { ...origin, key, value: null, headers: [] }
    const ready = { record, origin, key: verdict.key, value: verdict.value }
    upsert.add(ready)
    if (backlog.isNewest[i] === 1) copy.add(ready)
  }
  return { upsert: upsert.close(), copy: copy.close() }
}

/** Collects the records of each partition, and encodes each batch once it is full. */
function inBatches<Batch>({ ends }: Backlog, encode: (records: readonly ReadyRecord<Order>[]) => Batch) {
  const queues = Array.from({ length: LIMIT_CONNECTIONS }, (): Batch[] => [])
  const waiting = ends.map((): ReadyRecord<Order>[] => [])
  let orders = 0

  function encodeWaiting(partition: number): void {
    const records = waiting[partition]?.splice(0) ?? []
    if (records.length > 0) queues[partition % LIMIT_CONNECTIONS]?.push(encode(records))
  }

  return {
    add(record: ReadyRecord<Order>): void {
      orders += 1
      const { partition } = record.origin
      if (waiting[partition]?.push(record) === LIMIT_BATCH) encodeWaiting(partition)
    },
    close(): LimitWork<Batch> {
      for (const partition of waiting.keys()) encodeWaiting(partition)
      return { queues, orders }
    },
  }
}

function encodeUpsert(records: readonly ReadyRecord<Order>[]): pg.QueryConfig {
  const { name, text, columns } = orderTables.upsert(collapse(records).ready)
  return { name, text, values: columns.map(encodeColumn) }
}

export function runUpsertLimit(url: string, servers: Servers, { upsert }: Limits): Promise<Span> {
  return runLimit(url, servers, upsert, async (client, batch) => void (await client.query(batch)))
}

export function runCopyLimit(url: string, servers: Servers, { copy }: Limits): Promise<Span> {
  return runLimit(
    url,
    servers,
    copy,
    async (client, batch) => void (await pipelined(client, ['BEGIN', ...batch, 'COMMIT'])),
  )
}

/** @returns the time from the first batch to the last answer */
async function runLimit<Batch>(
  url: string,
  servers: Servers,
  { queues, orders }: LimitWork<Batch>,
  send: (client: pg.Client, batch: Batch) => Promise<void>,
): Promise<Span> {
  const clients = queues.map(() => new pg.Client({ connectionString: url, pipeline: true }))
  try {
    await Promise.all(clients.map(client => client.connect()))
    const ownBefore = process.cpuUsage()
    const before = servers.cpu()
    const started = performance.now()
    await Promise.all(
      clients.map(async (client, i) => {
        for (const batch of queues[i] ?? []) await send(client, batch)
      }),
    )
    const seconds = (performance.now() - started) / 1000
    const own = process.cpuUsage(ownBefore)
    return { seconds, orders, cpu: { client: (own.user + own.system) / 1e6, ...servers.cpu(before) } }
  } finally {
    await Promise.all(clients.map(client => client.end()))
  }
}
