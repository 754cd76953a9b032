import { httpNames } from '../engine/http-names.ts'
import type { Stream } from '../engine/stream.ts'
import { orderHttp } from '../streams/orders/http.ts'
import { createGenerator } from './generator.ts'
import { maskPersonal } from './mask.ts'
import { createOrderJudge, type Order, orderJson, unusual } from './order.ts'
import { orderQueries } from './order-rows.ts'
import { orderSchema, UID_PATTERN } from './order-schema.ts'
import { orderTables } from './order-sql.ts'

const UID = new RegExp(UID_PATTERN)

/** The stream of orders, under these names. */
export function createOrderStream(options: {
  readonly topic: string
  readonly dlqTopic: string
  readonly groupId: string
  readonly maxBytes: number
}): Stream<Order> {
  const { maxBytes, ...names } = options
  const judge = createOrderJudge({ maxBytes })
  return {
    ...names,
    name: 'orders',
    route: 'orders',
    http: httpNames('orders', orderHttp),
    schema: orderSchema,
    key: '/order_uid',
    judge(record) {
      const verdict = judge(record)
      return verdict.ok ? { ...verdict, unusual: unusual(record, verdict) } : verdict
    },
    command: 'order',
    createGenerator,
    unusualKinds: ['sum_mismatch'],
    overrides: {},
    json: orderJson,
    isKey: text => UID.test(text),
    tableNames: ['orders', 'deliveries', 'payments', 'items'],
    tables: orderTables,
    queries: orderQueries,
    mask: maskPersonal,
  }
}
