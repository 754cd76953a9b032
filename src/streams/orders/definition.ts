import { defineStream } from '../../engine/definition.ts'
import { ORDER_FACTS, PERSONAL_PLACES, SUMMED_PLACES, sumMismatch } from './facts.ts'
import { createGenerator } from './generator.ts'
import { orderHttp } from './http.ts'
import { orderSchema } from './schema.ts'

/** Orders: a snapshot of each, in four tables (migrations/0001). */
export const orders = defineStream({
  name: 'orders',
  settings: { topic: 'KAFKA_TOPIC', dlqTopic: 'KAFKA_DLQ_TOPIC', group: 'KAFKA_GROUP_ID' },
  http: orderHttp,
  command: 'order',
  schema: orderSchema,
  key: '/order_uid',
  tablesIn: 'public',
  tables: {
    orders: {},
    deliveries: { at: '/delivery' },
    payments: { at: '/payment' },
    items: { each: '/items' },
  },
  list: { newest: '/date_created', by: ['/customer_id'] },
  personal: PERSONAL_PLACES,
  generator: createGenerator,
  unusualKinds: ORDER_FACTS,
  unusual: sumMismatch,
  unusualReads: SUMMED_PLACES,
})
