import { type KafkaConnection, nativeAdmin } from './client.ts'
import { CODE, toStreamError } from './errors.ts'
import { call, type NativeTopic } from './native.ts'

/** What this user finds on a topic. */
export interface TopicRights {
  readonly topic: string
  /** 0: there is no such topic, or this user may not see it. */
  readonly partitions: number
  /** False: this user may not even see whether it is there. */
  readonly mayDescribe: boolean
  /** Ids of partitions that no broker leads just now: they can neither be read nor written. */
  readonly leaderless: readonly number[]
  /** Brokers that hold each of its records: the fewest of any partition. */
  readonly replicas: number
  /** Ids of partitions that some of these brokers do not hold completely just now. */
  readonly behind: readonly number[]
  readonly mayRead: boolean
  readonly mayWrite: boolean
}

/** Kafka's codes of ACL operations (AclOperation in its protocol). */
export const ALLOWED = { all: 2, read: 3, write: 4 } as const

/**
 * Asks the broker itself what this user may do: nothing is written to find out. A cluster without an authorizer allows all.
 * @throws BrokerUnavailableError
 */
export async function topicRights(connection: KafkaConnection, topics: readonly string[]): Promise<TopicRights[]> {
  const admin = await nativeAdmin(connection)
  try {
    const found = await call<readonly NativeTopic[]>(done =>
      admin.describeTopics(topics, { includeAuthorizedOperations: true, timeout: 10_000 }, done),
    )
    return topics.map(topic => {
      const description = found.find(({ name }) => name === topic)
      const operations = description?.authorizedOperations ?? []
      const may = (operation: number) => operations.includes(operation) || operations.includes(ALLOWED.all)
      const partitions = description?.partitions ?? []
      return {
        topic,
        partitions: partitions.length,
        leaderless: partitions.filter(({ leader }) => leader === null).map(({ partition }) => partition),
        replicas: Math.min(...partitions.map(({ replicas }) => replicas.length)),
        behind: partitions
          .filter(({ isr, replicas }) => isr.length < replicas.length)
          .map(({ partition }) => partition),
        mayDescribe: description?.error?.code !== CODE.topicAuthorization,
        mayRead: may(ALLOWED.read),
        mayWrite: may(ALLOWED.write),
      }
    })
  } catch (error) {
    throw toStreamError(error, `asking for the rights on ${topics.join(' and ')}`, admin)
  } finally {
    admin.disconnect()
  }
}
