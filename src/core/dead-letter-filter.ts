import type { Reason } from './dead-letter.ts'

/** What state a dead letter may be in, as a filter names it. `failed_again` is open with a redrive behind it. */
export const DEAD_LETTER_STATES = ['open', 'replaying', 'resolved', 'failed_again', 'parked', 'discarded'] as const
export type DeadLetterState = (typeof DEAD_LETTER_STATES)[number]

/** Compares with a `*` that stands for any characters; without one, the whole text. */
export type Pattern = string

export type Comparison = '>' | '>=' | '<' | '<=' | '='

/**
 * One condition. Several values of a term are alternatives; `not` takes the others. `error`, `pointer`, `uid`, `id`, `topic`
 * hold patterns; `text` is looked for in message, error, pointer and uid, never in payloads (which the database does not hold).
 */
export type FilterTerm =
  | { readonly field: 'reason'; readonly not: boolean; readonly values: readonly Reason[] }
  | { readonly field: 'state'; readonly not: boolean; readonly values: readonly DeadLetterState[] }
  | {
      readonly field: 'error' | 'pointer' | 'uid' | 'id' | 'topic'
      readonly not: boolean
      readonly values: readonly Pattern[]
    }
  | { readonly field: 'partition'; readonly not: boolean; readonly values: readonly number[] }
  /** Since the latest failure, in ms. */
  | { readonly field: 'age'; readonly not: boolean; readonly comparison: Comparison; readonly ms: number }
  | { readonly field: 'replays'; readonly not: boolean; readonly comparison: Comparison; readonly count: number }
  /** Members of the frozen set of a redrive. */
  | { readonly field: 'replay'; readonly not: boolean; readonly values: readonly string[] }
  | { readonly field: 'text'; readonly not: boolean; readonly text: string }

/** All terms must hold; none at all: every dead letter, whatever its state. */
export interface DeadLetterFilter {
  readonly terms: readonly FilterTerm[]
}

export type ParsedFilter =
  | { readonly ok: true; readonly filter: DeadLetterFilter }
  /** `column` counts characters from 1; `message` says what is wrong there and what would be right. */
  | { readonly ok: false; readonly column: number; readonly message: string }
