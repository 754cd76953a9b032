import type { Progress, Watermarks } from '../ports.ts'
import { partitionKey, type TopicPartition } from '../record.ts'
import { CODE, describe, toPartitionError, toStreamError } from './errors.ts'
import {
  call,
  type NativeClient,
  type NativeConsumer,
  type NativeMetadata,
  type NativeTopicPartition,
} from './native.ts'

/** Questions to the broker that every reader of a topic has, put through the client that it owns. */

/**
 * Waits for the answer to one question.
 * @param doing what the question is about, as an error names it: `asking for topic orders`
 * @throws BrokerUnavailableError BrokerFatalError, or what `toError` makes of the client's error
 */
export async function ask<R>(
  client: NativeClient,
  doing: string,
  start: Parameters<typeof call<R>>[0],
  toError = toStreamError,
): Promise<R> {
  try {
    return await call<R>(start)
  } catch (error) {
    throw toError(error, doing, client)
  }
}

/** @returns ids of the topic's partitions, ascending; none when there is no such topic */
export async function askPartitions(client: NativeClient, topic: string, timeoutMs: number): Promise<number[]> {
  const { topics } = await ask<NativeMetadata>(client, `asking for topic ${topic}`, done =>
    client.getMetadata({ topic, timeout: timeoutMs }, done),
  )
  const found = topics.find(({ name }) => name === topic)?.partitions ?? []
  return found.map(({ id }) => id).sort((a, b) => a - b)
}

/** @throws PartitionUnavailableError where no broker leads the partition, or it is not there */
export async function askWatermarks(client: NativeClient, at: TopicPartition, timeoutMs: number): Promise<Watermarks> {
  const question = () =>
    ask<{ lowOffset: number; highOffset: number }>(
      client,
      `asking for the ends of ${partitionKey(at)}`,
      done => client.queryWatermarkOffsets(at.topic, at.partition, timeoutMs, done),
      toPartitionError,
    )
  const marks = await question().catch(async (error: Error) => {
    // A member may be given a partition that was just added before its client has looked at the topic again.
    if (describe(error.cause).code !== CODE.unknownPartition) throw error
    await askPartitions(client, at.topic, timeoutMs)
    return await question()
  })
  return { low: BigInt(marks.lowOffset), high: BigInt(marks.highOffset) }
}

/** @returns the first offset whose record is not older than `timestampMs`; `undefined` where there is none */
export async function askOffsetAt(
  client: NativeConsumer,
  at: TopicPartition & { readonly timestampMs: number },
  timeoutMs: number,
): Promise<bigint | undefined> {
  const { topic, partition, timestampMs } = at
  const [found] = await ask<(NativeTopicPartition & { offset?: number })[]>(
    client,
    `asking ${partitionKey(at)} for a time`,
    done => client.offsetsForTimes([{ topic, partition, offset: timestampMs }], timeoutMs, done),
    toPartitionError,
  )
  return found?.offset === undefined || found.offset < 0 ? undefined : BigInt(found.offset)
}

/**
 * @param partitions at least one
 * @returns what the broker holds as committed for the client's group; partitions without a commit are left out
 */
export async function askCommitted(
  client: NativeConsumer,
  partitions: readonly TopicPartition[],
  timeoutMs: number,
): Promise<Progress[]> {
  const positions = await ask<(NativeTopicPartition & { offset?: number })[]>(
    client,
    'reading committed offsets',
    done => client.committed(partitions, timeoutMs, done),
  )
  return positions.flatMap(({ topic, partition, offset }) =>
    offset === undefined || offset < 0 ? [] : [{ topic, partition, nextOffset: BigInt(offset) }],
  )
}
