/** The records of a topic, as a shape of the benchmark wants them. */
import { createGenerator } from '#src/streams/orders/generator.ts'
import type { Item, Order } from '../test/support/order.ts'

export interface RecordOptions {
  readonly seed: number
  /** Share of records that are a new version of an earlier order, 0 to 1. */
  readonly updatesRatio: number
  /** Share of records that no consumer can take, 0 to 1. */
  readonly invalidRatio: number
  /** Number of items of each order; `undefined`: 1 to 5. */
  readonly items: number | undefined
  /** Share of the orders on the first partition, 0 to 1; `undefined`: the key decides, evenly. */
  readonly hotShare: number | undefined
  readonly partitions: number
}

export interface BenchRecord {
  readonly key: Buffer
  readonly value: Buffer | null
  /** `undefined`: the record is invalid. */
  readonly order: Order | undefined
  /** `undefined`: the key decides. */
  readonly partition: number | undefined
}

/** The same records in each run: a function of the options. */
export function recordsOf(options: RecordOptions): { next(): BenchRecord } {
  const { seed, updatesRatio, invalidRatio, items } = options
  const generator = createGenerator({ seed, updatesRatio, invalidRatio })
  return {
    next() {
      const { key, value, kind } = generator.next()
      const partition = partitionOf(key, options)
      if (kind === 'invalid' || value === null) return { key, value, order: undefined, partition }
      const order = JSON.parse(value.toString()) as Order
      if (items === undefined) return { key, value, order, partition }
      const larger = withItems(order, items)
      return { key, value: Buffer.from(JSON.stringify(larger)), order: larger, partition }
    },
  }
}

/** A function of the key, so that all versions of an order are on one partition. Keys begin with eight digits, evenly distributed. */
function partitionOf(key: Buffer, { hotShare, partitions }: RecordOptions): number | undefined {
  if (hotShare === undefined) return undefined
  const place = Number.parseInt(key.toString('latin1', 0, 8), 16) / 2 ** 32
  if (place < hotShare || partitions === 1) return 0
  return 1 + Math.floor(((place - hotShare) / (1 - hotShare)) * (partitions - 1))
}

/** Its own items again and again, each an article of its own, with the sums that belong to them. */
function withItems(order: Order, count: number): Order {
  const items = Array.from({ length: count }, (_, i): Item => {
    const item = order.items[i % order.items.length] as Item
    return { ...item, chrt_id: item.chrt_id + i, rid: `${i.toString(16).padStart(4, '0')}${item.rid.slice(4)}` }
  })
  const { payment } = order
  const goodsTotal = items.reduce((sum, item) => sum + item.total_price, 0)
  const amount = payment.amount - payment.goods_total + goodsTotal
  return { ...order, items, payment: { ...payment, goods_total: goodsTotal, amount } }
}
