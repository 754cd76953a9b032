import { type CompileOptions, compileStream } from '../../src/engine/definition/compile.ts'
import type { Stream } from '../../src/engine/stream.ts'
import { orders } from '../../src/streams/orders/definition.ts'
import type { Order } from '../../src/streams/orders/schema.ts'

/** The stream of orders, under these names. */
export function createOrderStream(options: CompileOptions): Stream<Order> {
  return compileStream<Order>(orders, options)
}

const stream = createOrderStream({ topic: 'orders', dlqTopic: 'orders.dlq', groupId: 'holdfast', maxBytes: 0 })

/** How orders are written and read, whatever the names of their topics. */
export const { plan: orderPlan, tables: orderTables, queries: orderQueries } = stream
