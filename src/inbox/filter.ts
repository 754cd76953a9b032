import type { Reason } from '../engine/dead-letter.ts'
import { type FilterTime, printAge, printFilterTime } from './filter-time.ts'
import type { DeadLetterState } from './letter-states.ts'

/** Compares with a `*` that stands for any characters, or none; without one, the whole text. `''`: there is none. */
export type Pattern = string

export const COMPARISONS = ['>', '>=', '<', '<=', '='] as const
export type Comparison = (typeof COMPARISONS)[number]

export const PATTERN_FIELDS = ['error', 'pointer', 'key', 'id', 'topic'] as const
export type PatternField = (typeof PATTERN_FIELDS)[number]

/**
 * One condition. Several values of a term are alternatives; `not` takes the others. `text` is looked for in message, error,
 * pointer and key, whatever the case of its letters (beyond ASCII: as the database's locale has it), and never in payloads,
 * which the database does not hold.
 */
export type FilterTerm =
  | { readonly field: 'reason'; readonly not: boolean; readonly values: readonly Reason[] }
  | { readonly field: 'state'; readonly not: boolean; readonly values: readonly DeadLetterState[] }
  | { readonly field: PatternField; readonly not: boolean; readonly values: readonly Pattern[] }
  | { readonly field: 'partition'; readonly not: boolean; readonly values: readonly number[] }
  /** Since the latest failure, in ms. */
  | {
      readonly field: 'age'
      readonly not: boolean
      readonly comparison: Exclude<Comparison, '='>
      readonly ms: number
    }
  /** The latest failure, from this time on, or before it. */
  | { readonly field: 'after' | 'before'; readonly not: boolean; readonly time: FilterTime }
  | { readonly field: 'replays'; readonly not: boolean; readonly comparison: Comparison; readonly count: number }
  /** Members of the frozen set of a redrive. */
  | { readonly field: 'replay'; readonly not: boolean; readonly values: readonly string[] }
  | { readonly field: 'text'; readonly not: boolean; readonly text: string }
  | FoundTerm

/** The letters whose values were searched and found to meet a condition. */
export interface FoundTerm {
  readonly field: 'found'
  readonly not: false
  readonly ids: readonly string[]
  /** The condition as it may be noted: without the values that it asks for. */
  readonly shown: string
}

/**
 * A condition on the value of the record, whose bytes only the dead-letter topic holds: `=` some place that the pointer names
 * holds one of the scalars, `!=` something else, `undefined` anything at all.
 */
export interface ValueTerm {
  readonly field: 'value'
  readonly not: boolean
  readonly pointer: string
  readonly comparison: '=' | '!=' | undefined
  readonly values: readonly Pattern[]
}

/** A word without a field. What it is, only the index knows: an id, a key, or else text. */
export interface WordTerm {
  readonly field: 'word'
  readonly not: boolean
  readonly text: string
}

export type WrittenTerm = Exclude<FilterTerm, FoundTerm> | WordTerm | ValueTerm

/** All terms must hold; none at all: every dead letter, whatever its state. This is what the database can answer. */
export interface DeadLetterFilter {
  readonly terms: readonly FilterTerm[]
}

/** A filter as an operator writes it: `createLetterSearch` makes one that the database can answer of it. */
export interface WrittenFilter {
  readonly terms: readonly WrittenTerm[]
}

/** In the order in which help and errors list them. */
export const FILTER_FIELDS = [
  'reason',
  'state',
  ...PATTERN_FIELDS,
  'partition',
  'age',
  'after',
  'before',
  'replays',
  'replay',
  'text',
  'value',
] as const
export type FilterField = (typeof FILTER_FIELDS)[number]

/** What ends a value that is not quoted. Those that mean nothing yet may come to mean something. */
export const BARE = /[^\s",:\\()<>=|&!]+/y

export function printFilter({ terms }: { readonly terms: readonly (FilterTerm | WrittenTerm)[] }): string {
  return terms.map(printTerm).join(' ')
}

function printTerm(term: FilterTerm | WrittenTerm): string {
  if (term.field === 'found') return term.shown
  const sign = term.not ? '-' : ''
  if (term.field === 'word') return `${sign}${term.text.startsWith('-') ? inQuotes(term.text) : printValue(term.text)}`
  return `${sign}${term.field}:${operandOf(term)}`
}

/** Stands for the values of a condition where what operators do is noted: they may be personal. */
export const WITHHELD = '•••'

/** The term without the values that it asks for. */
export function printWithheld(term: ValueTerm): string {
  return printTerm(term.values.length === 0 ? term : { ...term, values: [WITHHELD] })
}

/** Whether the filter asks for this state by its name. What is merely not excluded is not named. */
export function namesState(filter: DeadLetterFilter, state: DeadLetterState): boolean {
  return filter.terms.some(term => term.field === 'state' && !term.not && term.values.includes(state))
}

function operandOf(term: Exclude<FilterTerm | WrittenTerm, FoundTerm | WordTerm>): string {
  switch (term.field) {
    case 'age':
      return `${term.comparison}${printAge(term.ms)}`
    case 'after':
    case 'before':
      return printFilterTime(term.time)
    case 'replays':
      return `${term.comparison === '=' ? '' : term.comparison}${term.count}`
    case 'text':
      return printValue(term.text)
    case 'value':
      return `${printValue(term.pointer)}${term.comparison ?? ''}${term.values.map(printValue).join(',')}`
    default:
      return term.values.map(value => printValue(String(value))).join(',')
  }
}

function printValue(value: string): string {
  BARE.lastIndex = 0
  return BARE.exec(value)?.[0] === value && value !== '' ? value : inQuotes(value)
}

export function inQuotes(value: string): string {
  return `"${value.replace(/["\\]/g, '\\$&')}"`
}
