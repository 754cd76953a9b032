import { type KafkaConnection, nativeAdmin } from './client.ts'
import { toStreamError } from './errors.ts'
import { call, type NativeTopic } from './native.ts'

/** The id that stands for no topic id. */
const ZERO = 'AAAAAAAAAAAAAAAAAAAAAA'

/**
 * What distinguishes a topic from one of the same name that was there before it (KIP-516), in base64; `undefined` when there is no such
 * topic, or the broker gives none (before Kafka 2.8).
 * @throws BrokerUnavailableError
 */
export async function readTopicId(connection: KafkaConnection, topic: string): Promise<string | undefined> {
  const admin = await nativeAdmin(connection)
  try {
    const [found] = await call<readonly NativeTopic[]>(done =>
      admin.describeTopics([topic], { includeAuthorizedOperations: false, timeout: 10_000 }, done),
    )
    const id = found?.topicId.base64
    return id === ZERO ? undefined : id
  } catch (error) {
    throw toStreamError(error, `asking for the id of topic ${topic}`, admin)
  } finally {
    admin.disconnect()
  }
}
