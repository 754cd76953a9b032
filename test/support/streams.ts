import type { Config } from '#src/config.ts'
import { createOrderStream } from '#src/streams/orders/stream.ts'

/** The stream of orders, with the names that these settings give it. */
export function orderStream({ kafka: { topic, dlqTopic, groupId }, recordMaxBytes: maxBytes }: Config) {
  return createOrderStream({ topic, dlqTopic, groupId, maxBytes })
}
