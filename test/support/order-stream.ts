import { type CompileOptions, compileStream } from '../../src/engine/definition/compile.ts'
import type { Stream } from '../../src/engine/stream.ts'
import { orders } from '../../src/streams/orders/definition.ts'
import type { Order } from '../../src/streams/orders/schema.ts'

/** The stream of orders, under these names. */
export function createOrderStream(options: CompileOptions): Stream<Order> {
  return compileStream<Order>(orders, options)
}

const names = { topic: 'orders', dlqTopic: 'orders.dlq', groupId: 'holdfast', maxBytes: 0 }
const stream = createOrderStream(names)

/** How orders are written and read, whatever the names of their topics. */
export const { plan: orderPlan, tables: orderTables, queries: orderQueries } = stream

/** Orders whose tables stand in this schema. */
export function ordersIn(tablesIn: string): Stream<Order> {
  return compileStream<Order>({ ...orders, tablesIn }, names)
}
