import type { Config } from '#src/settings/config.ts'
import { createOrderStream } from './order-stream.ts'

/** The stream of orders, with the names that these settings give it. */
export function orderStream({ kafka: { topic, dlqTopic, groupId }, recordMaxBytes: maxBytes }: Config) {
  return createOrderStream({ topic, dlqTopic, groupId, maxBytes })
}

/** The stream of orders as its proof knows it. */
export function provenOrders(topic = 'orders', groupId = 'holdfast') {
  return createOrderStream({ topic, dlqTopic: 'orders.dlq', groupId, maxBytes: 1_000_000 })
}
