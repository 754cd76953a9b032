import { call, type KafkaConnection, type NativeTopic, nativeAdmin } from './client.ts'
import { toStreamError } from './errors.ts'

/** What this user finds on a topic. */
export interface TopicRights {
  readonly topic: string
  /** 0: there is no such topic, or this user may not see it. */
  readonly partitions: number
  readonly mayRead: boolean
  readonly mayWrite: boolean
}

/** Kafka's codes of ACL operations (AclOperation in its protocol). */
const ALL = 2
const READ = 3
const WRITE = 4

/**
 * Asks the broker itself what this user may do: nothing is written to find out. A cluster without an authorizer allows all.
 * @throws BrokerUnavailableError
 */
export async function topicRights(connection: KafkaConnection, topics: readonly string[]): Promise<TopicRights[]> {
  const admin = nativeAdmin(connection)
  try {
    const found = await call<readonly NativeTopic[]>(done =>
      admin.describeTopics(topics, { includeAuthorizedOperations: true, timeout: 10_000 }, done),
    )
    return topics.map(topic => {
      const description = found.find(({ name }) => name === topic)
      const operations = description?.authorizedOperations ?? []
      const may = (operation: number) => operations.includes(operation) || operations.includes(ALL)
      return { topic, partitions: description?.partitions.length ?? 0, mayRead: may(READ), mayWrite: may(WRITE) }
    })
  } catch (error) {
    throw toStreamError(error, `asking for the rights on ${topics.join(' and ')}`, admin)
  } finally {
    admin.disconnect()
  }
}
