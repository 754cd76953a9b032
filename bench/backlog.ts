/** The topic of orders that every contender processes, and the expected content of the tables afterwards. */

import { ensureTopics } from '#src/engine/kafka/admin.ts'
import type { KafkaConnection } from '#src/engine/kafka/client.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { createGenerator } from '#src/streams/orders/generator.ts'
import type { Order } from '../test/support/order.ts'

export interface BacklogOptions {
  readonly orders: number
  readonly partitions: number
  /** Share of records that are a new version of an earlier order, 0 to 1. */
  readonly updatesRatio: number
  readonly seed: number
}

/** Sums and counts of the tables; money in the unit of the records. */
export interface Tally {
  readonly orders: number
  readonly deliveries: number
  readonly payments: number
  readonly items: number
  /** Sum of `payments.amount`. */
  readonly amount: number
  /** Sum of `items.total_price`. */
  readonly totalPrice: number
}

export interface Backlog extends BacklogOptions {
  readonly topic: string
  readonly dlqTopic: string
  /** The next offset of each partition. */
  readonly ends: readonly bigint[]
  /** The partition and offset of record `i` of the generator. */
  readonly partitionOf: Uint16Array
  readonly offsetOf: Uint32Array
  readonly timestampMs: number
  readonly valueBytes: number
  /** The newest version of each order. */
  readonly expected: Tally
}

/** Sent together, then awaited together. */
const CHUNK = 5_000

/** Fills a new topic. The time that it takes is not part of any measurement. */
export async function produceBacklog(connection: KafkaConnection, options: BacklogOptions): Promise<Backlog> {
  const { orders, partitions } = options
  const topic = 'orders'
  const dlqTopic = 'orders.dlq'
  const timestampMs = Date.now()
  const partitionOf = new Uint16Array(orders)
  const offsetOf = new Uint32Array(orders)
  const ends = Array.from({ length: partitions }, () => 0n)
  const newest = new Map<string, { amount: number; items: number; totalPrice: number }>()
  let valueBytes = 0

  await using producer = await startProducer({ connection })
  await ensureTopics(connection, producer, { topic, dlqTopic, partitions, replication: undefined })
  const generator = validOrders(options)
  for (let start = 0; start < orders; start += CHUNK) {
    const length = Math.min(CHUNK, orders - start)
    await Promise.all(
      Array.from({ length }, async (_, i) => {
        const { key, value, order } = generator.next()
        valueBytes += value.length
        newest.set(order.order_uid, {
          amount: order.payment.amount,
          items: order.items.length,
          totalPrice: sum(order.items, item => item.total_price),
        })
        const { partition, offset } = await producer.produce({ topic, key, value, headers: [], timestampMs })
        partitionOf[start + i] = partition
        offsetOf[start + i] = Number(offset)
        if (offset >= (ends[partition] ?? 0n)) ends[partition] = offset + 1n
      }),
    )
  }
  const versions = [...newest.values()]
  const expected = {
    orders: versions.length,
    deliveries: versions.length,
    payments: versions.length,
    items: sum(versions, version => version.items),
    amount: sum(versions, version => version.amount),
    totalPrice: sum(versions, version => version.totalPrice),
  }
  return { ...options, topic, dlqTopic, ends, partitionOf, offsetOf, timestampMs, valueBytes, expected }
}

/** The same orders in each run: a function of the seed. */
export function validOrders({ seed, updatesRatio }: Pick<BacklogOptions, 'seed' | 'updatesRatio'>) {
  const generator = createGenerator({ seed, updatesRatio, invalidRatio: 0 })
  return {
    next(): { readonly key: Buffer; readonly value: Buffer; readonly order: Order } {
      const { key, value } = generator.next()
      if (value === null) throw new RangeError('the generator was asked for valid orders only')
      return { key, value, order: JSON.parse(value.toString()) as Order }
    },
  }
}

function sum<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0)
}
