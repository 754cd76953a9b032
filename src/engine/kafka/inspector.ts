import type { Progress, Watermarks } from '../ports.ts'
import type { SourceRecord, TopicPartition } from '../record.ts'
import { type KafkaConnection, nativeConsumer } from './client.ts'
import { connect } from './connect.ts'
import { describe, toConnectError, toStreamError } from './errors.ts'
import { type GroupFacts, groupFacts } from './group-rights.ts'
import { call, type NativeRecord } from './native.ts'
import { openPartitionReader } from './partition-reader.ts'
import { askCommitted, askOffsetAt, askPartitions, askWatermarks } from './questions.ts'
import { readTopicId } from './topic-id.ts'

/** Reads topics and a group's offsets without becoming a member of the group, so that inspection changes nothing. */
export interface KafkaInspector extends AsyncDisposable {
  /** The topic's partitions; empty when there is no such topic. */
  partitions(topic: string): Promise<TopicPartition[]>
  /** What distinguishes the topic from an earlier one of the same name; `undefined` when that cannot be known. */
  topicId(topic: string): Promise<string | undefined>
  watermarks(partition: TopicPartition): Promise<Watermarks>
  /** The first offset whose record's timestamp is not before `timestampMs`; `undefined` where the partition holds none. */
  offsetAt(partition: TopicPartition, timestampMs: number): Promise<bigint | undefined>
  /** What the broker holds as committed for the group; absent when nothing. */
  committed(partitions: readonly TopicPartition[]): Promise<Progress[]>
  /** The group as it is just now. The topic is one that this user may describe; it need not exist. */
  group(topic: string): Promise<GroupFacts>
  /** Sets the group's offsets. Only while it has no members: the broker refuses it otherwise. */
  commit(positions: readonly Progress[]): Promise<void>
  /**
   * Every record that the topic holds now, partition by partition, offsets ascending.
   * @param from by partition: what lies below is left out
   */
  read(topic: string, from?: ReadonlyMap<number, bigint>): AsyncIterable<SourceRecord>
}

const TIMEOUT_MS = 10_000
/** Coordinator loading, not available, not the coordinator. */
const COORDINATOR_IS_MOVING: ReadonlySet<number> = new Set([14, 15, 16])

/** @throws BrokerUnavailableError, as every method does */
export async function startInspector(options: {
  readonly connection: KafkaConnection
  readonly groupId: string
}): Promise<KafkaInspector> {
  let commitWaiting: PromiseWithResolvers<void> | undefined
  const client = nativeConsumer(
    options.connection,
    {
      'group.id': options.groupId,
      'enable.auto.commit': false,
    },
    {
      rebalance: () => {},
      committed(error) {
        const waiting = commitWaiting
        commitWaiting = undefined
        if (error) waiting?.reject(toStreamError(error, 'committing offsets'))
        else waiting?.resolve()
      },
    },
  )
  client.on('event.error', () => {})
  try {
    await connect(client, TIMEOUT_MS)
  } catch (error) {
    client.disconnect(() => {})
    throw toConnectError(error, options.connection.brokers, client)
  }
  client.setDefaultConsumeTimeout(200)

  async function committed(wanted: readonly TopicPartition[]): Promise<Progress[]> {
    if (wanted.length === 0) return []
    for (let tries = 1; ; tries++) {
      try {
        return await askCommitted(client, wanted, TIMEOUT_MS)
      } catch (error) {
        // After a start of the broker, or while the coordinator moves, the question is answered a moment later.
        const { code = 0 } = describe(error instanceof Error ? error.cause : undefined)
        if (!COORDINATOR_IS_MOVING.has(code) || tries >= 10) throw error
        await new Promise<void>(resolve => setTimeout(resolve, 300))
      }
    }
  }

  return {
    async partitions(topic) {
      const ids = await askPartitions(client, topic, TIMEOUT_MS)
      return ids.map(partition => ({ topic, partition }))
    },
    topicId: topic => readTopicId(options.connection, topic),
    watermarks: partition => askWatermarks(client, partition, TIMEOUT_MS),
    offsetAt: (partition, timestampMs) => askOffsetAt(client, { ...partition, timestampMs }, TIMEOUT_MS),
    committed,
    group: topic =>
      groupFacts(options.connection, options.groupId, timeoutMs =>
        call(done => client.committed([{ topic, partition: 0 }], timeoutMs, done)),
      ),
    async commit(positions) {
      const answer = Promise.withResolvers<void>()
      commitWaiting = answer
      client.commit(
        positions.map(({ topic, partition, nextOffset }) => ({ topic, partition, offset: Number(nextOffset) })),
      )
      // The answer is only served while the client is asked for records; there are none, as nothing is assigned.
      while (commitWaiting !== undefined) await call<NativeRecord[]>(done => client.consume(1, done)).catch(() => {})
      await answer.promise
    },
    async *read(topic, from) {
      await using reader = await openPartitionReader({ ...options, topic })
      for (const partition of await reader.partitions()) {
        const { low, high } = await reader.watermarks(partition)
        let start = from?.get(partition) ?? low
        // Retention has passed it.
        if (start < low) start = low
        if (start < high) yield* reader.read(partition, start, high)
      }
    },
    [Symbol.asyncDispose]: () => new Promise(resolve => client.disconnect(() => resolve())),
  }
}
