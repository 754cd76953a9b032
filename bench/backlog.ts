/** The topic that every contender processes, and the expected content of the tables afterwards. */

import { ensureTopics } from '#src/engine/kafka/admin.ts'
import type { KafkaConnection } from '#src/engine/kafka/client.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { type RecordOptions, recordsOf } from './records.ts'

export interface BacklogOptions extends RecordOptions {
  /** Records of the topic. */
  readonly orders: number
  readonly topic: string
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
  readonly dlqTopic: string
  /** The next offset of each partition. */
  readonly ends: readonly bigint[]
  /** The partition and offset of record `i` of the generator. */
  readonly partitionOf: Uint16Array
  readonly offsetOf: Uint32Array
  /** 1 where record `i` is the newest version of its order. */
  readonly isNewest: Uint8Array
  readonly timestampMs: number
  readonly valueBytes: number
  /** The newest version of each order. */
  readonly expected: Tally
  /** Records that must become dead letters. */
  readonly invalid: number
}

interface Newest {
  readonly index: number
  readonly amount: number
  readonly items: number
  readonly totalPrice: number
}

/** Sent together, then awaited together. */
const CHUNK = 5_000

/** Fills a new topic. The time that it takes is not part of any measurement. */
export async function produceBacklog(connection: KafkaConnection, options: BacklogOptions): Promise<Backlog> {
  const { orders, partitions, topic } = options
  const dlqTopic = `${topic}.dlq`
  const timestampMs = Date.now()
  const partitionOf = new Uint16Array(orders)
  const offsetOf = new Uint32Array(orders)
  const isNewest = new Uint8Array(orders)
  const ends = Array.from({ length: partitions }, () => 0n)
  const newest = new Map<string, Newest>()
  let valueBytes = 0
  let invalid = 0

  await using producer = await startProducer({ connection })
  await ensureTopics(connection, producer, { topic, dlqTopic, partitions, replication: undefined })
  const records = recordsOf(options)
  for (let start = 0; start < orders; start += CHUNK) {
    const length = Math.min(CHUNK, orders - start)
    await Promise.all(Array.from({ length }, (_, i) => send(start + i)))
  }

  async function send(index: number): Promise<void> {
    const { key, value, order, partition: wanted } = records.next()
    valueBytes += value?.length ?? 0
    if (order === undefined) invalid += 1
    else {
      const earlier = newest.get(order.order_uid)
      if (earlier !== undefined) isNewest[earlier.index] = 0
      isNewest[index] = 1
      newest.set(order.order_uid, {
        index,
        amount: order.payment.amount,
        items: order.items.length,
        totalPrice: sum(order.items, item => item.total_price),
      })
    }
    const place = wanted === undefined ? {} : { partition: wanted }
    const { partition, offset } = await producer.produce({ topic, ...place, key, value, headers: [], timestampMs })
    partitionOf[index] = partition
    offsetOf[index] = Number(offset)
    if (offset >= (ends[partition] ?? 0n)) ends[partition] = offset + 1n
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
  return {
    ...{ ...options, dlqTopic, ends, partitionOf, offsetOf, isNewest },
    ...{ timestampMs, valueBytes, expected, invalid },
  }
}

function sum<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0)
}
