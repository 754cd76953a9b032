import { compileStream, type StreamNames } from '../../engine/definition/compile.ts'
import type { Stream } from '../../engine/stream.ts'
import { createGenerator } from '../../orders/generator.ts'
import { createOrderValues, type Order } from '../../orders/order.ts'
import { orders } from './definition.ts'

/** The stream of orders, under these names. */
export function createOrderStream(options: StreamNames & { readonly maxBytes: number }): Stream<Order> {
  const { maxBytes, ...names } = options
  const { validate, ...values } = createOrderValues({ maxBytes })
  return compileStream<Order>(orders, { ...names, codec: { ...values, judge: validate, createGenerator } })
}

const stream = createOrderStream({ topic: 'orders', dlqTopic: 'orders.dlq', groupId: 'holdfast', maxBytes: 0 })

/** How orders are written and read, whatever the names of their topics. */
export const { tables: orderTables, queries: orderQueries } = stream
