import { type KafkaConnection, nativeAdmin } from './client.ts'
import { CODE, toStreamError } from './errors.ts'
import { call, type NativeTopic } from './native.ts'

/** Whether the cluster shows a topic to this user. `hidden`: it may be there, but the user lacks DESCRIBE on it. */
export type TopicSight = 'shown' | 'missing' | 'hidden'

/**
 * Distinguishes a topic that does not exist from one that this user may not see: a list of partitions is empty for both.
 * @throws BrokerUnavailableError, BrokerFatalError
 */
export async function topicSight(connection: KafkaConnection, topic: string): Promise<TopicSight> {
  const admin = await nativeAdmin(connection)
  try {
    const [found] = await call<readonly NativeTopic[]>(done =>
      admin.describeTopics([topic], { includeAuthorizedOperations: false, timeout: 10_000 }, done),
    )
    if (found?.error === undefined && (found?.partitions.length ?? 0) > 0) return 'shown'
    return found?.error === undefined || found.error.code === CODE.unknownTopic ? 'missing' : 'hidden'
  } catch (error) {
    throw toStreamError(error, `asking for topic ${topic}`)
  } finally {
    admin.disconnect()
  }
}
