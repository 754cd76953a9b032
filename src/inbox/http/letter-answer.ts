import { isUtf8 } from 'node:buffer'
import type { Violation } from '../../engine/dead-letter.ts'
import { HEADER } from '../../engine/headers.ts'
import type { Header, SourceRecord } from '../../engine/record.ts'
import type { Stream } from '../../engine/stream.ts'
import { isSampled, TRACE_HEADER, traceIdOf } from '../../engine/trace-context.ts'
import { rowJson } from '../json.ts'
import type { DeadLetterEvent, DeadLetterRow } from '../ports.ts'

/** Bytes as JSON can hold them: text when they are UTF-8, else hexadecimal. */
export type Shown = { readonly text: string } | { readonly hex: string }

/** What was set aside, or what of it is shown. `masked`: some of it is hidden; without text and hex: all of it is. */
export type ShownBytes = Partial<{ readonly text: string; readonly hex: string }> & {
  readonly bytes: number
  readonly masked: boolean
}

/**
 * One letter, as the API and `--json` show it. `key` is the value's, `record_key` that of the record: bytes of any kind.
 * @param record `undefined`: its bytes are gone
 * @param traceUrl as TRACE_URL has it; `undefined`: no page shows traces
 */
export function letterJson(
  letter: DeadLetterDetail,
  record: ShownRecord | undefined,
  history: readonly DeadLetterEvent[],
  traceUrl: string | undefined,
): object {
  const { headers, key, value } = record ?? { headers: [], key: null, value: null }
  const gone = record === undefined ? { value_gone: true } : {}
  const trace = traceOf(record, traceUrl) ?? null
  return { ...rowJson(letter), headers, record_key: key, value, ...gone, trace, history }
}

/** The trace that a record belongs to. */
export interface LetterTrace {
  readonly id: string
  /** Otherwise no trace was recorded. */
  readonly sampled: boolean
  /** `null` when there is nothing to be seen. */
  readonly url: string | null
}

export function traceOf(record: ShownRecord | undefined, traceUrl: string | undefined): LetterTrace | undefined {
  const header = record?.headers.find(({ name }) => name === TRACE_HEADER.parent)
  const traceparent = header !== undefined && 'text' in header ? (header.text ?? '') : ''
  const id = traceIdOf(traceparent)
  if (id === undefined) return undefined
  const sampled = isSampled(traceparent)
  return { id, sampled, url: sampled && traceUrl !== undefined ? traceUrl.replaceAll('{trace_id}', id) : null }
}

export type DeadLetterDetail = DeadLetterRow & { readonly violations: readonly Violation[] }

export interface ShownRecord {
  readonly headers: readonly ({ readonly name: string } & (Shown | ShownBytes))[]
  readonly key: ShownBytes | null
  readonly value: ShownBytes | null
}

/** Every byte of it. */
export function wholeRecord({ key, value, headers }: SourceRecord): ShownRecord {
  return {
    headers: headers.map(([name, bytes]) => ({ name, ...shown(bytes) })),
    key: key === null ? null : { ...shown(key), bytes: key.length, masked: false },
    value: value === null ? null : { ...shown(value), bytes: value.length, masked: false },
  }
}

/**
 * Without what may be personal. A key is shown that can be the key of a value of the stream; headers, that are ours or
 * of the known programs that write dead letters.
 */
export function maskedRecord(
  { key, value, headers }: SourceRecord,
  { mask, isKey }: Pick<Stream, 'mask' | 'isKey'>,
): ShownRecord {
  const isOurs = headers.some(([name]) => name === HEADER.id)
  return {
    headers: headers.map(header => ({
      name: header[0],
      ...(isKnown(header, isOurs) ? shown(header[1]) : { bytes: header[1].length, masked: true }),
    })),
    key: key === null ? null : maskedKey(key, isKey),
    value: value === null ? null : maskedValue(value, mask),
  }
}

function maskedKey(key: Buffer, isKey: Stream['isKey']): ShownBytes {
  const text = key.toString('latin1')
  return key.length === 0 || isKey(text)
    ? { text, bytes: key.length, masked: false }
    : { bytes: key.length, masked: true }
}

function maskedValue(value: Buffer, mask: (value: Buffer) => Buffer | undefined): ShownBytes {
  if (value.length === 0) return { text: '', bytes: 0, masked: false }
  const masked = mask(value)
  return { ...(masked === undefined ? {} : { text: masked.toString('utf8') }), bytes: value.length, masked: true }
}

const KNOWN_HEADERS: ReadonlySet<string> = new Set([
  ...Object.values(HEADER),
  ...Object.values(TRACE_HEADER),
  'content-type',
])
/**
 * Headers of Spring, Kafka Connect, Kafka Streams and Kafka's own contract for dead letters: places, names of classes, counts.
 * Their messages and stack traces quote what could not be read, and so does the exception of Streams.
 */
const KNOWN_OF_OTHERS = new RegExp(
  [
    '^kafka_dlt-(?:original-(?:topic|partition|offset|timestamp|timestamp-type|consumer-group)|(?:key-)?exception-(?:cause-)?fqcn)$',
    '^__connect\\.errors\\.(?:topic|partition|offset|connector\\.name|task\\.id|stage|class\\.name|exception\\.class\\.name)$',
    '^__streams\\.errors\\.(?:topic|partition|offset)$',
    '^__dlq\\.errors\\.(?:topic|partition|offset|group|delivery\\.count)$',
  ].join('|'),
)

/** @param isOurs written by us: another program's message may quote the record */
function isKnown([name]: Header, isOurs: boolean): boolean {
  if (name === HEADER.message) return isOurs
  return KNOWN_HEADERS.has(name) || KNOWN_OF_OTHERS.test(name)
}

export function shown(bytes: Buffer): Shown {
  return isUtf8(bytes) ? { text: bytes.toString('utf8') } : { hex: bytes.toString('hex') }
}
