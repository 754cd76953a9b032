import { BrokerUnavailableError } from '../engine/errors.ts'
import type { KafkaInspector } from '../engine/kafka/inspector.ts'
import { type TopicSight, topicSight } from '../engine/kafka/topic-sight.ts'
import type { createPool } from '../engine/postgres/pool.ts'
import { type Finding, type IndexedLetter, indexedLetters } from '../engine/postgres/proof.ts'
import type { Checkpoint, DlqMark } from '../engine/postgres/proof-checkpoint.ts'
import type { Stream } from '../engine/stream.ts'
import type { Config } from '../settings/config.ts'
import { missingDeadLetters } from './proof-broker.ts'
import { plural } from './words.ts'

export interface LettersProven {
  readonly findings: readonly Finding[]
  /** Up to where the topic was read; `undefined` where that cannot be said. */
  readonly mark: DlqMark | undefined
}

type Letters = ReadonlyMap<string, IndexedLetter>

/**
 * Each of our dead letters of the index is in the dead-letter topic. Without any, the topic is not read. Goes on where a checkpoint ends, if that
 * was the same topic and is still as long; should a letter not be there then, all of the topic is read.
 * @throws BrokerUnavailableError, StoreUnavailableError
 */
export async function compareDeadLetters(
  inspector: KafkaInspector,
  kafka: Config['kafka'],
  pool: ReturnType<typeof createPool>,
  { topic, dlqTopic }: Pick<Stream, 'topic' | 'dlqTopic'>,
  checkpoint: Checkpoint | undefined,
): Promise<LettersProven> {
  const dlq = checkpoint?.dlq
  if (checkpoint !== undefined && dlq !== undefined) {
    const { mark, ends } = await markOf(inspector, dlqTopic)
    if (isContinued(dlq, mark, ends)) {
      const letters = await all(indexedLetters(pool, topic, { dlq, since: checkpoint.since }))
      const from = new Map(Object.entries(dlq.ends).map(([partition, end]) => [Number(partition), BigInt(end)]))
      const missing = letters.size === 0 ? [] : await missingDeadLetters(inspector, dlqTopic, letters, from)
      if (missing.length === 0) return { findings: [], mark }
    }
  }
  const letters = await all(indexedLetters(pool, topic))
  if (letters.size === 0) return { findings: [], mark: undefined }
  const { mark, ends } = await markOf(inspector, dlqTopic)
  if (ends.size > 0) return { findings: await missingDeadLetters(inspector, dlqTopic, letters), mark }
  const sight = await topicSight(kafka, dlqTopic)
  if (sight !== 'missing') throw notShown(kafka, dlqTopic, sight)
  const what = `the dead-letter topic ${dlqTopic} does not exist; the index holds ${plural(letters.size, 'dead letter')} of it`
  return { findings: [{ partition: undefined, offset: undefined, what }], mark: undefined }
}

/** The ends are those from before the reading. */
async function markOf(
  inspector: KafkaInspector,
  dlqTopic: string,
): Promise<{ readonly mark: DlqMark | undefined; readonly ends: ReadonlyMap<number, bigint> }> {
  const ends = new Map<number, bigint>()
  for (const partition of await inspector.partitions(dlqTopic)) {
    ends.set(partition.partition, (await inspector.watermarks(partition)).high)
  }
  const topicId = ends.size === 0 ? undefined : await inspector.topicId(dlqTopic)
  return { mark: topicId === undefined ? undefined : { topicId, ends: asText(ends) }, ends }
}

function isContinued(dlq: DlqMark, now: DlqMark | undefined, ends: ReadonlyMap<number, bigint>): boolean {
  const isAsLong = Object.entries(dlq.ends).every(([at, end]) => (ends.get(Number(at)) ?? 0n) >= BigInt(end))
  return dlq.topicId === now?.topicId && isAsLong
}

function asText(ends: ReadonlyMap<number, bigint>): DlqMark['ends'] {
  return Object.fromEntries([...ends].map(([partition, end]) => [partition, String(end)]))
}

async function all(letters: AsyncIterable<IndexedLetter>): Promise<Letters> {
  const found = new Map<string, IndexedLetter>()
  for await (const letter of letters) found.set(letter.id, letter)
  return found
}

export function notShown({ brokers }: Config['kafka'], topic: string, sight: TopicSight): BrokerUnavailableError {
  return new BrokerUnavailableError(
    sight === 'missing'
      ? `the cluster at ${brokers.join(',')} has no topic ${topic}: check KAFKA_BROKERS, and the topic of the stream ("holdfast stream ls" shows it)`
      : `the cluster at ${brokers.join(',')} does not show the topic ${topic} to this user: grant DESCRIBE and READ on it`,
  )
}
