import type { Header, SourceRecord } from '../record.ts'
import { NO_TIMESTAMP } from '../timestamp.ts'
import type { NativeRecord } from './native.ts'

/**
 * Headers as the client delivers them (objects of one key) to name and value, in order, repeats kept. A header called
 * `__proto__` arrives as the object's prototype, with no key of its own.
 */
function fromNativeHeaders(headers: readonly object[] | undefined): readonly Header[] {
  if (headers === undefined || headers.length === 0) return NO_HEADERS
  return headers.map((header): Header => {
    const [entry] = Object.entries(header) as [string, Buffer | string][]
    if (entry !== undefined) return [entry[0], toBuffer(entry[1])]
    const prototype: unknown = Object.getPrototypeOf(header)
    return ['__proto__', Buffer.isBuffer(prototype) ? prototype : EMPTY]
  })
}

/** A record in the form that the other modules use. Its timestamp is a double already: the rule is that of `engine/timestamp.ts`. */
export function fromNative(record: NativeRecord): SourceRecord {
  return {
    topic: record.topic,
    partition: record.partition,
    offset: BigInt(record.offset),
    timestampMs: record.timestamp ?? NO_TIMESTAMP,
    key: record.key ?? null,
    value: record.value,
    headers: fromNativeHeaders(record.headers),
    leaderEpoch: record.leaderEpoch,
  }
}

/**
 * The other way. Values are Buffers, because strings are cut at NUL and anything else throws *and still sends*; but for an
 * empty one, of which the client would make null: an empty string is sent as an empty value. The client delivers null and
 * empty alike, as an empty Buffer, so a null of the producer's is sent on as an empty value.
 */
export function toNativeHeaders(headers: readonly Header[]): object[] {
  // A computed key makes `__proto__` an own property, where a literal one would set the prototype.
  return headers.map(([name, value]) => ({ [name]: value.length === 0 ? EMPTY_TEXT : value }))
}

const NO_HEADERS: readonly Header[] = Object.freeze([])
const EMPTY = Buffer.alloc(0)
const EMPTY_TEXT = ''

function toBuffer(value: Buffer | string): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(value)
}
