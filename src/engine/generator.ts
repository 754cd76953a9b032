import type { Reason } from './dead-letter.ts'

export interface GeneratorOptions {
  /** Whole number. The same seed and ratios give the same bytes. */
  readonly seed: number
  /** Share of records that no consumer can take, 0 to 1. */
  readonly invalidRatio: number
  /** Share of the valid ones that are a new version of an earlier value, 0 to 1. */
  readonly updatesRatio: number
}

export interface GeneratedRecord {
  readonly key: Buffer
  readonly value: Buffer | null
  readonly kind: 'new' | 'update' | 'invalid'
  /** How it must be judged; `null` for a valid one. */
  readonly expect: Reason | null
}

/** Records without end. */
export interface RecordGenerator {
  next(): GeneratedRecord
}
