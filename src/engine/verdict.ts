import type { Rejection } from './dead-letter.ts'
import type { RecordRedrive } from './provenance.ts'
import type { Origin, SourceRecord } from './record.ts'

/** A valid record, ready to be written. `T` is the domain's type (an order). */
export interface ReadyRecord<T> {
  readonly record: SourceRecord
  readonly origin: Origin
  readonly key: string
  readonly value: T
  /** Set if the record was redriven. */
  readonly redrive?: RecordRedrive | undefined
  /** Its rows, where they are encoded already. */
  readonly rows?: EncodedRows | undefined
  /** Canonical JSON of the value; `undefined` where it cannot be had without the value. */
  json?(): Buffer | undefined
}

/**
 * The rows of a value in the bytes of a binary COPY, among those of other values. At `at` there are two big-endian int32 for each table in
 * the order of the plan: where its rows end, counted from `at`, and how many they are; then come the rows of all tables. A row is its number of
 * fields (int16), then each field as its length (int32, -1: NULL) and its bytes: the key, of an array's entry the position, and the columns.
 * The row of the root table ends before the columns of the source, which its number of fields counts.
 */
export interface EncodedRows {
  readonly bytes: Buffer
  readonly at: number
}

/** How an input is judged: bytes in, the domain's value or the reason why not. Pure; throws nothing that is foreseen. */
export type Verdict<T> =
  | ValidVerdict<T>
  | { readonly ok: false; readonly key: string | null; readonly rejection: Rejection }

export interface ValidVerdict<T> extends Pick<ReadyRecord<T>, 'key' | 'rows' | 'json'> {
  readonly ok: true
  /** Where the rows of the value are encoded already, it is made when it is asked for. */
  readonly value: T
  readonly unusual?: readonly UnusualKind[]
}

/** What the engine finds remarkable about a record of any stream; a definition adds its own (`unusualKinds`). */
export const UNUSUAL = ['key_mismatch', 'unknown_field', 'precision', 'foreign_provenance'] as const
/** One of {@link UNUSUAL}, or of the kinds that the stream's definition lists: a closed set, as the values of a metric label. */
export type UnusualKind = string
