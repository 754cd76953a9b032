import { call, type KafkaConnection, nativeAdmin } from './client.ts'
import { CODE, describe, toStreamError } from './errors.ts'
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
 * The dead-letter topic keeps its records until somebody decides otherwise, and takes larger ones than any source,
 * because a dead letter is its record plus headers.
 * @throws BrokerUnavailableError
 */
export async function ensureTopics(
  connection: KafkaConnection,
  producer: Pick<KafkaProducer, 'partitionCount'>,
  plan: TopicPlan,
): Promise<void> {
  const admin = nativeAdmin(connection)
  try {
    await ensure(plan.topic, plan.partitions, {})
    // The mirror of the source as it is, not as the settings would have made it.
    const partitions = Math.max(1, await producer.partitionCount(plan.topic)) || plan.partitions
    await ensure(plan.dlqTopic, partitions, { 'retention.ms': '-1', 'max.message.bytes': String(PRODUCE_MAX_BYTES) })
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
      if (describe(error).code !== CODE.topicExists) throw toStreamError(error, `creating topic ${topic}`)
    })
    // Created is not yet known to every broker.
    for (let tries = 0; tries < 50 && (await producer.partitionCount(topic)) === 0; tries++) await pause(100)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
