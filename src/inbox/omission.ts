import { HEADER, isOurs, type Position, readHeader, writeHeaders } from '../engine/headers.ts'
import type { Header, SourceRecord } from '../engine/record.ts'
import type { DeadLetterRecord } from './record.ts'

/**
 * Dead letters of records that are too large for the dead-letter topic: without the value, or without anything of the record,
 * they say where its bytes lie, and by which hash they are known. The bytes are read from there while retention keeps them.
 */
export interface Omission {
  /** Where the record stood as it was read when it failed. */
  readonly at: Position
  readonly what: Omitted
  /** Hash of the value; `undefined`: it was null. */
  readonly hash: string | undefined
}

/** What is left out: the value; or key, value and the producer's headers. */
export type Omitted = 'value' | 'record'

/** SHA-256 of a value, in hexadecimal. It is a parameter, because this file imports no library. */
export type Hash = (value: Buffer) => string

const NAMES: ReadonlySet<string> = new Set([HEADER.value, HEADER.valueAt, HEADER.valueHash, HEADER.record])

/**
 * @param letter as it would be whole
 * @param record that it was made from
 */
export function omit(letter: DeadLetterRecord, record: SourceRecord, what: Omitted, hash: Hash): DeadLetterRecord {
  const originals = new Set<Header>(record.headers)
  return {
    key: what === 'value' ? letter.key : null,
    value: null,
    headers: [
      ...letter.headers.filter(header => what === 'value' || !originals.has(header)),
      ...writeHeaders({
        value: record.value === null ? undefined : 'omitted',
        valueAt: record,
        valueHash: record.value === null ? undefined : hash(record.value),
        record: what === 'record' ? 'omitted' : undefined,
      }),
    ],
    timestampMs: letter.timestampMs,
  }
}

/** `undefined`: nothing was left out. */
export function omissionOf(letter: SourceRecord): Omission | undefined {
  const value = readHeader(letter, 'value') !== undefined
  const record = readHeader(letter, 'record') !== undefined
  const at = readHeader(letter, 'valueAt')
  if (at === undefined || !(value || record)) return undefined
  return { at, what: record ? 'record' : 'value', hash: value ? (readHeader(letter, 'valueHash') ?? '') : undefined }
}

/**
 * The letter as it would have been whole.
 * @param record what stands at {@link Omission.at} now
 * @returns `undefined` when that is another record
 */
export function whole(
  letter: SourceRecord,
  { what, hash: expected }: Omission,
  record: SourceRecord,
  hash: Hash,
): SourceRecord | undefined {
  const found = record.value === null ? undefined : hash(record.value)
  if (found !== expected) return undefined
  const headers = letter.headers.filter(([name]) => !NAMES.has(name))
  if (what === 'value') return { ...letter, value: record.value, headers }
  const theirs = record.headers.filter(([name]) => !isOurs(name))
  return { ...letter, key: record.key, value: record.value, headers: [...theirs, ...headers] }
}
