import { RecordTooLargeError } from '../engine/errors.ts'
import { CODE, describe } from '../engine/kafka/errors.ts'
import { createPublisher, type Publisher } from '../engine/kafka/publisher.ts'
import type { Clock } from '../engine/ports.ts'
import type { Stream } from '../engine/stream.ts'
import type { SendTracing } from '../engine/tracing.ts'
import type { Intake } from '../read/intake.ts'
import type { Config } from '../settings/config.ts'

/**
 * Kafka's default limit of a batch of one record (`message.max.bytes`: 1 MiB and 12 bytes), and what of it is not the value: the
 * batch's header (61 bytes), lengths (up to 30), the key (up to 64), the trace context.
 */
const BATCH_MAX_BYTES = 1_048_588
const AROUND_VALUE_BYTES = 1_024
/** A larger value is refused at once, because the broker would never take it. A usual value has 1 to 2 KB. */
const UPLOAD_MAX_BYTES = BATCH_MAX_BYTES - AROUND_VALUE_BYTES
/** A client waits for the answer: soon "try again" is better than late "done". */
const PUBLISH_TIMEOUT_MS = 5_000

/** The producer of what the API takes, for all streams. It connects with the first value. */
export function openPublisher(options: {
  readonly config: Pick<Config, 'kafka'>
  readonly onKafkaWarning: (text: string) => void
  readonly tracing: SendTracing
}): Publisher {
  return createPublisher({
    connection: options.config.kafka,
    deliveryTimeoutMs: PUBLISH_TIMEOUT_MS,
    connectTimeoutMs: PUBLISH_TIMEOUT_MS,
    onWarning: options.onKafkaWarning,
    tracing: options.tracing,
  })
}

export interface IntakeParts {
  readonly config: Pick<Config, 'recordMaxBytes'>
  readonly stream: Pick<Stream, 'topic' | 'judge'>
  readonly publisher: Publisher
  readonly clock: Pick<Clock, 'now'>
}

/** What the API takes becomes a record like any other, and is validated again when it is consumed: there is one write path. */
export function composeIntake({ config, stream, publisher, clock }: IntakeParts): Intake {
  const { topic, judge } = stream
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
  }
}
