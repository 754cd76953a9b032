import { type Header, type Origin, originId, type SourceRecord, type TopicPartition } from './record.ts'

/** Why a record was set aside. A closed set: also the values of the metric label `reason`. */
export const REASONS = [
  'empty_value',
  'too_large',
  'malformed_json',
  'schema_violation',
  'store_rejected',
  'retries_exhausted',
  'crash_loop',
  'unexpected_error',
] as const
export type Reason = (typeof REASONS)[number]

/** One rule that the record breaks. `message` and `keyword` never quote the record's data. */
export interface Violation {
  /** RFC 6901 JSON Pointer of the place, `''` for the whole. */
  readonly pointer: string
  /** The schema's keyword (`required`, `type`, …) or our own rule's name. */
  readonly keyword: string
  readonly message: string
}

/** The verdict on a record that will not be written. */
export interface Rejection {
  readonly reason: Reason
  /** Stable code: SQLSTATE, schema keyword, or our own. */
  readonly error: string
  /** JSON Pointer of the first violation, `''` when there is none. */
  readonly pointer: string
  /** At most 1 KiB, without payload data. */
  readonly message: string
  readonly violations: readonly Violation[]
}

/** A record set aside, with its reason: what goes to the DLQ topic and into the index. */
export interface DeadLetter {
  /** The record as it was read, from the source topic. */
  readonly record: SourceRecord
  /** Where it first stood: differs from `record` for a redriven one. */
  readonly origin: Origin
  readonly rejection: Rejection
  /** When it failed, in milliseconds since the epoch. */
  readonly failedAtMs: number
  /** Deliveries so far of this reading, counting from 1. */
  readonly attempts: number
  /** How often it has been redriven. */
  readonly replayCount: number
  /** The redrive that this reading comes from. */
  readonly replayId?: string | undefined
  /** The order's uid when it could be read. */
  readonly orderUid: string | null
  readonly groupId: string
  /** Where it stands in the DLQ topic; `undefined` as long as the topic has not acknowledged it. */
  readonly dlq?: DlqPosition | undefined
}

export interface DlqPosition {
  readonly partition: number
  readonly offset: bigint
}

/** A dead letter as it is produced. */
export interface DeadLetterRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly Header[]
  readonly timestampMs: number
}

/** Header names that we add: Kafka's own contract for dead letters (KIP-1191), and ours. All values are UTF-8 text. */
export const HEADER = {
  topic: '__dlq.errors.topic',
  partition: '__dlq.errors.partition',
  offset: '__dlq.errors.offset',
  group: '__dlq.errors.group',
  deliveryCount: '__dlq.errors.delivery.count',
  message: '__dlq.errors.message',
  id: 'holdfast.id',
  reason: 'holdfast.reason',
  error: 'holdfast.error',
  pointer: 'holdfast.pointer',
  failedAt: 'holdfast.failed-at',
  timestamp: 'holdfast.timestamp',
  replayCount: 'holdfast.replay-count',
  replayId: 'holdfast.replay-id',
} as const

const OURS: ReadonlySet<string> = new Set(Object.values(HEADER))
const MESSAGE_BYTES = 1024
const POINTER_BYTES = 1024
/** Of a topic as Kafka allows it: whoever writes a header must not be able to bring anything else into the tables. */
const ORIGIN_ID = /^([A-Za-z0-9._-]{1,249})-(\d{1,9})-(\d{1,18})$/

/**
 * Key, value and original headers byte for byte, and our headers once each: those of an earlier failure (the record was
 * redriven) give way, while the origin that they named lives on in `deadLetter.origin`.
 */
export function toDeadLetterRecord(deadLetter: DeadLetter): DeadLetterRecord {
  const { record, origin, rejection } = deadLetter
  const added: [string, string][] = [
    [HEADER.topic, origin.topic],
    [HEADER.partition, String(origin.partition)],
    [HEADER.offset, String(origin.offset)],
    [HEADER.group, deadLetter.groupId],
    [HEADER.deliveryCount, String(deadLetter.attempts)],
    [HEADER.message, cutUtf8(rejection.message, MESSAGE_BYTES)],
    [HEADER.id, originId(origin)],
    [HEADER.reason, rejection.reason],
    [HEADER.error, rejection.error],
    [HEADER.pointer, cutUtf8(rejection.pointer, POINTER_BYTES)],
    [HEADER.failedAt, new Date(deadLetter.failedAtMs).toISOString()],
    [HEADER.timestamp, String(origin.timestampMs)],
    [HEADER.replayCount, String(deadLetter.replayCount)],
  ]
  // Tells two failures from the same one twice, when the index is made anew from the topic.
  if (deadLetter.replayId !== undefined) added.push([HEADER.replayId, deadLetter.replayId])
  return {
    key: record.key,
    value: record.value,
    headers: [
      ...record.headers.filter(([name]) => !OURS.has(name)),
      ...added.map(([name, text]): Header => [name, Buffer.from(text)]),
    ],
    timestampMs: deadLetter.failedAtMs,
  }
}

/** Where a record comes from. */
export interface Provenance {
  /** Where it first stood. */
  readonly origin: Origin
  /** How often it has been redriven. */
  readonly replayCount: number
  /** The redrive that brought it here. */
  readonly replayId: string | undefined
}

/**
 * A redriven record says in its headers where it first stood (`holdfast.id` and `holdfast.timestamp`), and counts
 * with that position: an old version that is redriven must not overwrite a newer one. Headers that cannot be read are
 * ignored: then the record stands for itself.
 */
export function provenanceOf(record: SourceRecord): Provenance {
  // The plain case, in the hot path: no headers at all.
  if (record.headers.length === 0) return { origin: record, replayCount: 0, replayId: undefined }
  const origin = parseOriginId(headerText(record, HEADER.id) ?? '')
  // -1 is what Kafka holds where a producer gave none.
  const timestamp = /^(?:-1|\d{1,15})$/.exec(headerText(record, HEADER.timestamp) ?? '')
  if (origin === undefined || timestamp === null) {
    return { origin: record, replayCount: 0, replayId: undefined }
  }
  const count = /^\d{1,6}$/.exec(headerText(record, HEADER.replayCount) ?? '')
  return {
    origin: { ...origin, timestampMs: Number(timestamp[0]) },
    replayCount: count === null ? 0 : Number(count[0]),
    replayId: /^[A-Za-z0-9_-]{1,64}$/.exec(headerText(record, HEADER.replayId) ?? '')?.[0],
  }
}

/** `topic`, `partition` and `offset` of an id, or `undefined` when it is none. */
export function parseOriginId(id: string): (TopicPartition & { readonly offset: bigint }) | undefined {
  const [, topic, partition, offset] = ORIGIN_ID.exec(id) ?? []
  if (topic === undefined || partition === undefined || offset === undefined) return undefined
  return { topic, partition: Number(partition), offset: BigInt(offset) }
}

/** The last header of that name, as text (Kafka's readers take the last one, too). */
export function headerText(record: { readonly headers: readonly Header[] }, name: string): string | undefined {
  return record.headers.findLast(([candidate]) => candidate === name)?.[1].toString('utf8')
}

/** At most `maxBytes` of UTF-8, never half a character. */
export function cutUtf8(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= maxBytes) return text
  let end = maxBytes
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return bytes.subarray(0, end).toString('utf8')
}
