import { loadConfig } from '#src/settings/config.ts'
import type { Environment } from '#src/settings/origins.ts'
import { prepareStreams } from '#src/settings/streams.ts'
import { orders } from '#src/streams/orders/definition.ts'
import { createOrderStream } from './order-stream.ts'

/** The stream of orders, with the names that these settings give it. */
export function orderStream(env: Environment) {
  return prepareStreams([orders], loadConfig(env), env)[0]
}

/** The stream of orders in the form that the proof takes. */
export function provenOrders(topic = 'orders', groupId = 'holdfast') {
  return createOrderStream({ topic, dlqTopic: 'orders.dlq', groupId, maxBytes: 1_000_000 })
}
