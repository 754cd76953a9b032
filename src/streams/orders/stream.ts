import { type CompileOptions, compileStream } from '../../engine/definition/compile.ts'
import type { Stream } from '../../engine/stream.ts'
import type { Order } from '../../orders/order-schema.ts'
import { orders } from './definition.ts'

/** The stream of orders, under these names. */
export function createOrderStream(options: CompileOptions): Stream<Order> {
  return compileStream<Order>(orders, options)
}

const stream = createOrderStream({ topic: 'orders', dlqTopic: 'orders.dlq', groupId: 'holdfast', maxBytes: 0 })

/** How orders are written and read, whatever the names of their topics. */
export const { tables: orderTables, queries: orderQueries } = stream
