import { REASONS, type Reason } from './dead-letter.ts'
import { type Header, originId, type TopicPartition, topicParts } from './record.ts'
import { isInt64, MAX_INSTANT_MS, parseTimestamp, timestampToInt64 } from './timestamp.ts'

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
  redriveCount: 'holdfast.replay-count',
  redriveId: 'holdfast.replay-id',
  // A dead letter that is too large for its topic has these: see omission.ts.
  value: 'holdfast.value',
  valueAt: 'holdfast.value-at',
  valueHash: 'holdfast.value-sha256',
  record: 'holdfast.record',
} as const
type Field = keyof typeof HEADER

const OURS: ReadonlySet<string> = new Set(Object.values(HEADER))

/** Whether we write a header of that name. */
export function isOurs(name: string): boolean {
  return OURS.has(name)
}

/** A record's place, without its timestamp. */
export interface Position extends TopicPartition {
  readonly offset: bigint
}

/** What each header says. Its place in the map is its one rule: what may be written is what is read back. */
interface Values {
  topic: string
  partition: number
  offset: bigint
  group: string
  deliveryCount: number
  message: string
  id: Position
  reason: Reason
  error: string
  pointer: string
  failedAt: number
  timestamp: number
  redriveCount: number
  redriveId: string
  value: 'omitted'
  valueAt: Position
  valueHash: string
  record: 'omitted'
}

interface Codec<V> {
  readonly write: (value: V) => string
  /** `undefined`: the text is not one that `write` makes. */
  readonly read: (text: string) => V | undefined
}

const TEXT_BYTES = 1024
/** The longest text that is part of a key of a table: a row of an index has 2,704 bytes at most. */
const NAME_BYTES = 255
const INT32_MAX = 2_147_483_647
/** A topic's name as Kafka allows it: a header must not be able to bring anything else into the tables. */
const TOPIC = /^[A-Za-z0-9._-]{1,249}$/
const ORIGIN_ID = /^(.*)-(\d+)-(\d+)$/
const SHA256 = /^[0-9a-f]{64}$/
const REDRIVE_ID = /^[A-Za-z0-9_-]{1,64}$/

const text = textOf(TEXT_BYTES)
const name = textOf(NAME_BYTES)
const topic: Codec<string> = {
  write: value => topicParts(value).name,
  read: value => (TOPIC.test(value) ? value : undefined),
}
const omitted: Codec<'omitted'> = {
  write: value => value,
  read: value => (value === 'omitted' ? value : undefined),
}
const int32: Codec<number> = { write: String, read: readCount }
const offset: Codec<bigint> = { write: String, read: readOffset }

const CODECS: { readonly [F in Field]: Codec<Values[F]> } = {
  topic,
  partition: int32,
  offset,
  group: name,
  deliveryCount: int32,
  message: text,
  id: { write: originId, read: parseOriginId },
  reason: { write: value => value, read: value => REASONS.find(known => known === value) },
  error: name,
  pointer: text,
  failedAt: { write: value => new Date(value).toISOString(), read: readInstant },
  timestamp: { write: value => String(timestampToInt64(value)), read: parseTimestamp },
  redriveCount: int32,
  redriveId: { write: value => value, read: value => (REDRIVE_ID.test(value) ? value : undefined) },
  value: omitted,
  valueAt: { write: originId, read: parseOriginId },
  valueHash: { write: value => value, read: value => (SHA256.test(value) ? value : undefined) },
  record: omitted,
}

/** What others write into our headers may be longer than what we write. */
function textOf(maxBytes: number): Codec<string> {
  const cut = (value: string) => cutUtf8(value, maxBytes)
  return { write: cut, read: cut }
}

/** Headers for these values, in their order; those that are `undefined` are left out. */
export function writeHeaders(values: { readonly [F in Field]?: Values[F] | undefined }): Header[] {
  const fields = Object.keys(values) as Field[]
  return fields.flatMap((field): Header[] => {
    const written = write(field, values[field])
    return written === undefined ? [] : [[HEADER[field], Buffer.from(written)]]
  })
}

function write<F extends Field>(field: F, value: Values[F] | undefined): string | undefined {
  return value === undefined ? undefined : CODECS[field].write(value)
}

/** `undefined` when there is no such header, or its value is none that {@link writeHeaders} makes. */
export function readHeader<F extends Field>(
  record: { readonly headers: readonly Header[] },
  field: F,
): Values[F] | undefined {
  const value = headerText(record, HEADER[field])
  return value === undefined ? undefined : CODECS[field].read(value)
}

/** Topic, partition and offset of an {@link originId}, or `undefined` when it is none. */
export function parseOriginId(id: string): Position | undefined {
  const parts = ORIGIN_ID.exec(id)
  const partition = readCount(parts?.[2] ?? '')
  const at = readOffset(parts?.[3] ?? '')
  const name = parts?.[1] ?? ''
  return partition === undefined || at === undefined || !TOPIC.test(name)
    ? undefined
    : { topic: name, partition, offset: at }
}

/** The last header of that name, as text (Kafka's readers take the last one, too). */
export function headerText(record: { readonly headers: readonly Header[] }, name: string): string | undefined {
  return record.headers.findLast(([candidate]) => candidate === name)?.[1].toString('utf8')
}

/** At most `maxBytes` of UTF-8, never half a character. */
export function cutUtf8(value: string, maxBytes: number): string {
  const bytes = Buffer.from(value)
  if (bytes.length <= maxBytes) return value
  let end = maxBytes
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return bytes.subarray(0, end).toString('utf8')
}

/** Not negative, and no more than the column `integer` holds. */
function readCount(value: string): number | undefined {
  const count = isInt64(value) ? Number(value) : -1
  return count >= 0 && count <= INT32_MAX ? count : undefined
}

function readOffset(value: string): bigint | undefined {
  const at = isInt64(value) ? BigInt(value) : -1n
  return at >= 0n ? at : undefined
}

function readInstant(value: string): number | undefined {
  const at = Date.parse(value)
  return at >= 0 ? Math.min(at, MAX_INSTANT_MS) : undefined
}

/** What dead-letter writers add: ours, Kafka's own (KIP-1191), and those of Connect, Streams (KIP-1034) and Spring. */
const OF_DEAD_LETTERS = /^(?:__(?:dlq|connect|streams)\.errors\.|kafka_dlt-)/

/** Whether a header was added by a writer of dead letters, or by a redrive. */
export function isOfDeadLetter(name: string): boolean {
  return isOurs(name) || OF_DEAD_LETTERS.test(name)
}
