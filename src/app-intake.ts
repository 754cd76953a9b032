import type { Config } from './config.ts'
import type { Clock } from './core/ports.ts'
import type { SendTracing } from './core/tracing.ts'
import type { Intake } from './core/write-side.ts'
import { createPublisher, type Publisher } from './kafka/publisher.ts'
import type { createOrderJudge } from './orders/order.ts'

/** One order of usual size has 1 to 2 KB; somebody who sends more than this has chosen the wrong file. */
const UPLOAD_MAX_BYTES = 1024 * 1024
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
    async publish(uid, value) {
      const timestampMs = clock.now()
      const record = { topic, key: Buffer.from(uid), value, headers: [], timestampMs }
      return { topic, timestampMs, ...(await publisher.publish(record)) }
    },
    [Symbol.asyncDispose]: () => publisher[Symbol.asyncDispose](),
  }
}
