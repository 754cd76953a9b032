import type { Config } from './config.ts'
import { RecordTooLargeError } from './core/errors.ts'
import type { SendTracing } from './core/tracing.ts'
import type { Intake } from './core/write-side.ts'
import type { Clock } from './engine/ports.ts'
import { CODE, describe } from './kafka/errors.ts'
import { createPublisher, type Publisher } from './kafka/publisher.ts'
import type { createOrderJudge } from './orders/order.ts'

/**
 * What a batch of one record may have by Kafka's default (`message.max.bytes`: 1 MiB and 12 bytes), and what of it is not the
 * value: the batch's header (61 bytes), lengths (up to 30), the key (up to 64), the trace context.
 */
const BATCH_MAX_BYTES = 1_048_588
const AROUND_VALUE_BYTES = 1_024
/** What is larger is refused at once: the broker would never take it. One order of usual size has 1 to 2 KB. */
const UPLOAD_MAX_BYTES = BATCH_MAX_BYTES - AROUND_VALUE_BYTES
/** Somebody waits for the answer: soon "try again" is better than late "done". */
const PUBLISH_TIMEOUT_MS = 5_000

export interface IntakeOptions {
  readonly config: Config
  readonly judge: ReturnType<typeof createOrderJudge>
  readonly onKafkaWarning: (text: string) => void
  readonly clock: Pick<Clock, 'now'>
  readonly tracing: SendTracing
}

/** The one road in: what the API takes becomes a record like any other, and is judged again when it is consumed. */
export function composeIntake({ config, judge, clock, ...options }: IntakeOptions): Intake & AsyncDisposable {
  const { topic } = config.kafka
  const publisher: Publisher = createPublisher({
    connection: config.kafka,
    deliveryTimeoutMs: PUBLISH_TIMEOUT_MS,
    connectTimeoutMs: PUBLISH_TIMEOUT_MS,
    onWarning: options.onKafkaWarning,
    tracing: options.tracing,
  })
  return {
    maxBytes: Math.min(config.recordMaxBytes, UPLOAD_MAX_BYTES),
    judge: value => judge({ key: null, value }),
    async publish(key, value) {
      const timestampMs = clock.now()
      const record = { topic, key: Buffer.from(key), value, headers: [], timestampMs }
      try {
        return { topic, timestampMs, ...(await publisher.publish(record)) }
      } catch (error) {
        // A topic may take less than Kafka's default.
        const { cause } = error instanceof Error ? error : { cause: undefined }
        if (describe(cause).code !== CODE.recordTooLarge) throw error
        throw new RecordTooLargeError(`the topic ${topic} takes no record of this size (max.message.bytes)`, { cause })
      }
    },
    [Symbol.asyncDispose]: () => publisher[Symbol.asyncDispose](),
  }
}
