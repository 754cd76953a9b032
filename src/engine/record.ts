/** A partition of a topic, the unit that a consumer owns and that keeps order. */
export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** Where a record stands, and when it was produced. Offsets are `bigint` inside, decimal text in JSON. The topic may be a {@link formerTopic}. */
export interface Origin extends TopicPartition {
  readonly offset: bigint
  /** The record's timestamp: ms since the epoch by convention, any 64-bit integer in fact (`timestamp.ts`). */
  readonly timestampMs: number
}

/** Name and value as Kafka holds them. Order and repeats matter: they are kept. */
export type Header = readonly [name: string, value: Buffer]

/** What Kafka holds. `null` (absent) and a zero-length buffer are different things. */
export interface SourceRecord extends Origin {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly Header[]
  /** Leader epoch of the log's batch that holds it; absent if it is not known. */
  readonly leaderEpoch?: number | undefined
}

/** `topic-partition`, for maps and log lines. Unambiguous, because the partition is the part after the last dash. */
export function partitionKey({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`
}

/** Stands between the name of a topic that was deleted and created again, and the id of the one that was deleted. No name of Kafka's holds it. */
const FORMER = '@'

/**
 * What stands for a topic in origins that count in a former one of its name: to {@link compareOrigins}, and to the settling statement,
 * that is another topic, as it is in fact.
 */
export function formerTopic(topic: string, topicId: string): string {
  return `${topic}${FORMER}${topicId}`
}

/** The name that Kafka knows, and the id of the former topic where it is one. */
export function topicParts(topic: string): { readonly name: string; readonly formerId: string | undefined } {
  const at = topic.indexOf(FORMER)
  return at === -1 ? { name: topic, formerId: undefined } : { name: topic.slice(0, at), formerId: topic.slice(at + 1) }
}

/** `topic-partition-offset`: the identity of a record, and of the dead letter made from it (`holdfast.id`). */
export function originId({ topic, partition, offset }: TopicPartition & { readonly offset: bigint }): string {
  return `${topicParts(topic).name}-${partition}-${offset}`
}

/** How an arriving record stands to the one that is stored: see {@link compareOrigins}. */
export type Standing = 'newer' | 'same' | 'older'

/**
 * The stale guard. On one partition of one topic the offset decides, because Kafka orders there; elsewhere (an order
 * whose key moved to another partition) the record's timestamp does, and of two equal ones the arriving record takes precedence.
 * The settling statement in `engine/postgres/tables.ts` implements the same order in SQL; a contract test verifies that they agree.
 */
export function compareOrigins(arriving: Origin, stored: Origin): Standing {
  if (arriving.topic === stored.topic && arriving.partition === stored.partition) {
    if (arriving.offset === stored.offset) return 'same'
    return arriving.offset > stored.offset ? 'newer' : 'older'
  }
  return arriving.timestampMs >= stored.timestampMs ? 'newer' : 'older'
}
