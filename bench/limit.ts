/**
 * The limit: how fast PostgreSQL alone runs the same upsert of the same rows. The statement is `orderTables.upsert` as it
 * stands, one a transaction (no fence, ledger, or trimming of items); its parameters are encoded before the clock starts;
 * two connections send, each the batches of its own half of the partitions, in the order of their offsets.
 */
import pg from 'pg'
import { collapse } from '#src/engine/collapse.ts'
import { encodeColumn } from '#src/engine/postgres/binary.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import { createOrderJudge, type Order } from '../test/support/order.ts'
import { orderTables } from '../test/support/order-stream.ts'
import { type Backlog, validOrders } from './backlog.ts'
import type { Span } from './measurement.ts'
import type { Servers } from './servers.ts'

export const LIMIT_CONNECTIONS = 2
export const LIMIT_BATCH = 1_000

/** One statement, ready to be sent. */
type Encoded = pg.QueryConfig

/** The batches of each connection. Some 1.2 KB an order, outside of the heap. */
export function encodeBacklog(backlog: Backlog): readonly (readonly Encoded[])[] {
  const judge = createOrderJudge({ maxBytes: 1024 * 1024 })
  const orders = validOrders(backlog)
  const queues = Array.from({ length: LIMIT_CONNECTIONS }, (): Encoded[] => [])
  const waiting = backlog.ends.map((): ReadyRecord<Order>[] => [])

  function close(partition: number): void {
    const records = waiting[partition]?.splice(0) ?? []
    if (records.length > 0) queues[partition % LIMIT_CONNECTIONS]?.push(encode(records))
  }

  for (let i = 0; i < backlog.orders; i++) {
    const { key, value } = orders.next()
    const verdict = judge({ key, value })
    if (!verdict.ok) throw new RangeError(`record ${i} of the generator is invalid`)
    const partition = backlog.partitionOf[i] ?? 0
    const offset = BigInt(backlog.offsetOf[i] ?? 0)
    const origin = { topic: backlog.topic, partition, offset, timestampMs: backlog.timestampMs }
    const record = { ...origin, key, value: null, headers: [] }
    const length = waiting[partition]?.push({ record, origin, key: verdict.key, value: verdict.value })
    if (length === LIMIT_BATCH) close(partition)
  }
  for (const partition of waiting.keys()) close(partition)
  return queues
}

function encode(records: readonly ReadyRecord<Order>[]): Encoded {
  const { name, text, columns } = orderTables.upsert(collapse(records).ready)
  return { name, text, values: columns.map(encodeColumn) }
}

/** @returns the time from the first statement to the last answer */
export async function runLimit(url: string, servers: Servers, queues: readonly (readonly Encoded[])[]): Promise<Span> {
  const clients = queues.map(() => new pg.Client({ connectionString: url }))
  try {
    await Promise.all(clients.map(client => client.connect()))
    const ownBefore = process.cpuUsage()
    const before = servers.cpu()
    const started = performance.now()
    await Promise.all(
      clients.map(async (client, i) => {
        for (const batch of queues[i] ?? []) await client.query(batch)
      }),
    )
    const seconds = (performance.now() - started) / 1000
    const own = process.cpuUsage(ownBefore)
    return { seconds, cpu: { client: (own.user + own.system) / 1e6, ...servers.cpu(before) } }
  } finally {
    await Promise.all(clients.map(client => client.end()))
  }
}
