import type { Origin, SourceRecord } from './record.ts'

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
  readonly redriveCount: number
  /** The redrive that this reading comes from. */
  readonly redriveId?: string | undefined
  /** The order's key when it could be read. */
  readonly key: string | null
  readonly groupId: string
  /** Where it stands in the DLQ topic; `undefined` as long as the topic has not acknowledged it. */
  readonly dlq?: DlqPosition | undefined
}

export interface DlqPosition {
  readonly partition: number
  readonly offset: bigint
}
