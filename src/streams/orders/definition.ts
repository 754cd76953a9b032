import { defineStream } from '../../engine/definition.ts'
import { createGenerator } from '../../orders/generator.ts'
import { orderSchema } from '../../orders/order-schema.ts'
import { orderHttp } from './http.ts'

/** Orders: a snapshot of each, in four tables (migrations/0001). */
export const orders = defineStream({
  name: 'orders',
  settings: { topic: 'KAFKA_TOPIC', dlqTopic: 'KAFKA_DLQ_TOPIC', group: 'KAFKA_GROUP_ID' },
  http: orderHttp,
  command: 'order',
  schema: orderSchema,
  key: '/order_uid',
  tables: {
    orders: {},
    deliveries: { at: '/delivery' },
    payments: { at: '/payment' },
    items: { each: '/items' },
  },
  list: { newest: '/date_created', by: ['/customer_id'] },
  personal: ['/customer_id', '/delivery'],
  generator: createGenerator,
  unusualKinds: ['sum_mismatch'],
  /** `sum_mismatch`: the items do not add up to `goods_total`, or the parts of the payment to `amount`. */
  unusual({ items, payment }) {
    let goods = 0
    for (const item of items) goods += item.total_price
    const { amount, goods_total, delivery_cost, custom_fee } = payment
    const adds = goods === goods_total && goods_total + delivery_cost + custom_fee === amount
    return adds ? [] : ['sum_mismatch']
  },
})
