import { compileStream, type StreamNames } from '../../engine/definition/compile.ts'
import type { Stream } from '../../engine/stream.ts'
import { createGenerator } from '../../orders/generator.ts'
import { maskPersonal } from '../../orders/mask.ts'
import { createOrderJudge, type Order, orderJson, unusual } from '../../orders/order.ts'
import { UID_PATTERN } from '../../orders/order-schema.ts'
import { orders } from './definition.ts'

const UID = new RegExp(UID_PATTERN)

/** The stream of orders, under these names. */
export function createOrderStream(options: StreamNames & { readonly maxBytes: number }): Stream<Order> {
  const { maxBytes, ...names } = options
  const judge = createOrderJudge({ maxBytes })
  return compileStream<Order>(orders, {
    ...names,
    codec: {
      judge(record) {
        const verdict = judge(record)
        return verdict.ok ? { ...verdict, unusual: unusual(record, verdict) } : verdict
      },
      json: orderJson,
      isKey: text => UID.test(text),
      mask: maskPersonal,
      createGenerator,
    },
  })
}

const stream = createOrderStream({ topic: 'orders', dlqTopic: 'orders.dlq', groupId: 'holdfast', maxBytes: 0 })

/** How orders are written and read, whatever the names of their topics. */
export const { tables: orderTables, queries: orderQueries } = stream
