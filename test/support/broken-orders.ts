import { anOrder } from './orders.ts'
import type { ProducedRecord } from './stream.ts'

/** Orders that break one rule of the schema each, on the partitions in turn. */
export function brokenOrders(
  count: number,
  options: { readonly prefix?: string; readonly partitions?: number } = {},
): ProducedRecord[] {
  const { prefix = 'broken', partitions = 3 } = options
  return Array.from({ length: count }, (_, n): ProducedRecord => {
    const order = anOrder({ uid: `${prefix}-${n}` })
    return {
      key: Buffer.from(order.order_uid),
      value: JSON.stringify({ ...order, payment: { ...order.payment, amount: 'much' } }),
      partition: n % partitions,
    }
  })
}
