import { collapse } from '#src/engine/collapse.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import { createStreamSettlement } from '#src/inbox/postgres/letter-settlement.ts'
import { createGenerator } from '#src/streams/orders/generator.ts'
import { createOrderJudge, type Order } from '../test/support/order.ts'
import { orderTables } from '../test/support/order-stream.ts'

const TOPIC = { topic: 'bench', partition: 0 }
const GROUP = 'bench'

/** Stores so many generated orders as the service does. @returns their uids */
export async function storeOrders(databaseUrl: string, count: number): Promise<string[]> {
  const pool = createPool({ url: databaseUrl, schema: 'holdfast', max: 1, statementTimeoutMs: 30_000, name: 'bench' })
  try {
    const store = createStreamSettlement<Order>({ pool, stream: 'orders', tables: orderTables })
    await store.startProgress(GROUP, { ...TOPIC, nextOffset: 0n })
    const judge = createOrderJudge({ maxBytes: 1 << 20 })
    const orders = createGenerator({ seed: 1, updatesRatio: 0, invalidRatio: 0 })
    const records = Array.from({ length: count }, (_, offset): ReadyRecord<Order> => {
      const { key, value } = orders.next()
      const record = {
        ...TOPIC,
        offset: BigInt(offset),
        timestampMs: 1_700_000_000_000 + offset,
        key,
        value,
        headers: [],
      }
      const verdict = judge(record)
      if (!verdict.ok) throw new Error(`the generator made no order: ${verdict.rejection.error}`)
      return { record, origin: record, key: verdict.value.order_uid, value: verdict.value }
    })
    const { ready, ...counts } = collapse(records)
    await store.settle({
      ...TOPIC,
      groupId: GROUP,
      from: 0n,
      to: BigInt(count),
      records: count,
      ready,
      collapsed: counts,
      deadLetters: [],
      isolate: false,
    })
    return ready.map(({ key: uid }) => uid)
  } finally {
    await pool.end()
  }
}
