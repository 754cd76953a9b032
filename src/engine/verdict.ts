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
}

/** How an input is judged: bytes in, the domain's value or the reason why not. Pure; throws nothing that is foreseen. */
export type Verdict<T> =
  | { readonly ok: true; readonly key: string; readonly value: T; readonly unusual?: readonly UnusualKind[] }
  | { readonly ok: false; readonly key: string | null; readonly rejection: Rejection }

/** What the engine finds remarkable about a record of any stream; a definition adds its own (`unusualKinds`). */
export const UNUSUAL = ['key_mismatch', 'unknown_field', 'precision', 'foreign_provenance'] as const
/** One of {@link UNUSUAL}, or of the kinds that the stream's definition lists: a closed set, as the values of a metric label. */
export type UnusualKind = string
