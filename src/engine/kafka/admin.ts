import { BrokerUnavailableError } from '../errors.ts'
import { type KafkaConnection, nativeAdmin } from './client.ts'
import { CODE, describe, toStreamError } from './errors.ts'
import { call } from './native.ts'
import { type KafkaProducer, PRODUCE_MAX_BYTES } from './producer.ts'

export interface TopicPlan {
  readonly topic: string
  readonly dlqTopic: string
  readonly partitions: number
  /** `undefined`: the broker's default. */
  readonly replication: number | undefined
}

/**
 * Creates the source and the dead-letter topic where they are missing. Safe when several replicas do so at once.
 * The dead-letter topic keeps its records until an operator decides otherwise, and takes larger ones than any source,
 * because a dead letter is its record plus headers.
 * @throws BrokerUnavailableError
 */
export async function ensureTopics(
  connection: KafkaConnection,
  producer: Pick<KafkaProducer, 'partitionCount'>,
  plan: TopicPlan,
): Promise<void> {
  const admin = await nativeAdmin(connection)
  try {
    await ensure(plan.topic, plan.partitions, {})
    // The mirror of the source as it is, not as the settings would have made it.
    const partitions = Math.max(1, await producer.partitionCount(plan.topic)) || plan.partitions
    const config = { 'retention.ms': '-1', 'max.message.bytes': String(PRODUCE_MAX_BYTES) }
    await ensure(plan.dlqTopic, partitions, { ...config, ...ANY_TIMESTAMP }).catch(async (error: unknown) => {
      // Brokers before Kafka 3.6 do not know it, and need it not; some hosted ones do not allow it to be set.
      if (!(error instanceof BrokerUnavailableError) || !isRefusedConfig(error.cause)) throw error
      await ensure(plan.dlqTopic, partitions, config)
    })
  } finally {
    admin.disconnect()
  }

  async function ensure(topic: string, partitions: number, config: Record<string, string>): Promise<void> {
    if ((await producer.partitionCount(topic)) > 0) return
    const created = call(done =>
      admin.createTopic(
        { topic, num_partitions: partitions, replication_factor: plan.replication ?? -1, config },
        10_000,
        done,
      ),
    )
    await created.catch((error: unknown) => {
      if (describe(error).code !== CODE.topicExists) throw toStreamError(error, `creating topic ${topic}`, admin)
    })
    // Created is not yet known to every broker.
    for (let tries = 0; tries < 50 && (await producer.partitionCount(topic)) === 0; tries++) await pause(100)
  }
}

/**
 * A dead letter carries the time of its failure by our clock. Kafka 4 refuses, by default, what is more than an hour ahead of
 * the broker's: a clock that is set wrongly would hold the stream up.
 */
const ANY_TIMESTAMP = { 'message.timestamp.after.max.ms': '9223372036854775807' }

function isRefusedConfig(error: unknown): boolean {
  const { code } = describe(error)
  return code === CODE.invalidConfig || code === CODE.policyViolation
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
