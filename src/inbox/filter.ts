import { REASONS, type Reason } from '../engine/dead-letter.ts'
import { type FilterTime, MAX_AGE_MS, parseAge, parseFilterTime, printAge, printFilterTime } from './filter-time.ts'
import { DEAD_LETTER_STATES, type DeadLetterState } from './letter-states.ts'

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

/** All terms must hold; none at all: every dead letter, whatever its state. */
export interface DeadLetterFilter {
  readonly terms: readonly FilterTerm[]
}

export type ParsedFilter =
  | { readonly ok: true; readonly filter: DeadLetterFilter }
  /** `column` counts characters from 1; `message` says what is wrong there and what would be right. */
  | { readonly ok: false; readonly column: number; readonly message: string }

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
] as const
export type FilterField = (typeof FILTER_FIELDS)[number]

/** Names that a field had before; they are read and never printed. */
const ALIASES: Readonly<Partial<Record<string, FilterField>>> = { uid: 'key' }

const MAX_CHARACTERS = 100_000
const MAX_PARTITION = 2 ** 31 - 1
const MAX_REDRIVES = 1_000_000

/** What ends a value that is not quoted. Those that mean nothing yet may come to mean something. */
const BARE = /[^\s",:\\()<>=|&!]+/y
/** A time needs no quotes. */
const BARE_TIME = /[^\s",]+/y
const BLANK = /\s*/y
const NUL = 'a value cannot hold the character NUL'

/**
 * Text to filter. The grammar: terms with blanks between them, each `field:value`, `field:value,value` (alternatives) or
 * `-field:value` (the others); a value with blanks or special characters stands in `"…"`, with `\"` and `\\` inside.
 * What {@link printFilter} prints is read back as the same filter.
 */
export function parseFilter(text: string): ParsedFilter {
  try {
    return { ok: true, filter: { terms: readTerms(text) } }
  } catch (error) {
    if (!(error instanceof Misread)) throw error
    return { ok: false, column: [...text.slice(0, error.at)].length + 1, message: error.message }
  }
}

export function printFilter(filter: DeadLetterFilter): string {
  return filter.terms.map(term => `${term.not ? '-' : ''}${term.field}:${operandOf(term)}`).join(' ')
}

/** Whether the filter asks for this state by its name. What is merely not excluded is not named. */
export function namesState(filter: DeadLetterFilter, state: DeadLetterState): boolean {
  return filter.terms.some(term => term.field === 'state' && !term.not && term.values.includes(state))
}

/** Something that is no filter, at an index of the text. */
class Misread extends Error {
  readonly at: number
  constructor(at: number, message: string) {
    super(message)
    this.at = at
  }
}

interface Value {
  readonly text: string
  readonly at: number
}

function readTerms(text: string): FilterTerm[] {
  if (text.length > MAX_CHARACTERS) {
    throw new Misread(MAX_CHARACTERS, `a filter has at most ${MAX_CHARACTERS} characters`)
  }
  const terms: FilterTerm[] = []
  let at = 0

  function take(pattern: RegExp): string {
    pattern.lastIndex = at
    const taken = pattern.exec(text)?.[0] ?? ''
    at += taken.length
    return taken
  }

  function readTerm(): FilterTerm {
    const start = at
    const not = text[at] === '-'
    if (not) at += 1
    const nameAt = at
    const name = take(BARE)
    if (text[at] !== ':') throw bareWord(text, start, not ? nameAt : start)
    const field = FILTER_FIELDS.find(known => known === (ALIASES[name] ?? name))
    if (field === undefined) {
      if (name === '')
        throw new Misread(nameAt, `the field before ":" is missing; there are ${FILTER_FIELDS.join(', ')}`)
      throw new Misread(nameAt, `there is no field ${quote(name)}; the fields are ${FILTER_FIELDS.join(', ')}`)
    }
    at += 1
    if (field === 'age') return { field, not, ...readAge() }
    if (field === 'after' || field === 'before') return { field, not, time: readTime(field) }
    if (field === 'replays') return { field, not, ...readRedriveCount() }
    const values = [readValue(field)]
    while (text[at] === ',') {
      at += 1
      values.push(readValue(field))
    }
    endOfTerm()
    return toTerm(field, not, values)
  }

  function readValue(field: FilterField): Value {
    const start = at
    if (text[at] === '"') return { text: readQuoted(), at: start }
    const bare = take(BARE)
    if (bare === '') {
      const next = text[at]
      if (next === undefined || /[\s,]/.test(next)) throw new Misread(at, `${field} needs a value${examples(field)}`)
      throw new Misread(at, `a value with ${quote(next)} in it must be quoted, as in ${field}:"a ${escaped(next)} b"`)
    }
    if (bare.includes('\0')) throw new Misread(start + bare.indexOf('\0'), NUL)
    return { text: bare, at: start }
  }

  function readQuoted(): string {
    const start = at
    let value = ''
    for (at += 1; at < text.length; at++) {
      const character = text[at] ?? ''
      if (character === '"') {
        at += 1
        return value
      }
      if (character === '\0') throw new Misread(at, NUL)
      if (character === '\\') {
        at += 1
        const next = text[at]
        if (next !== '"' && next !== '\\') throw new Misread(at - 1, 'inside quotes a backslash is written \\\\')
        value += next
      } else value += character
    }
    throw new Misread(start, 'this quote is not closed')
  }

  function readComparison(): string {
    return take(/[<>=]*/y)
  }

  function readAge() {
    const start = at
    const comparison = readComparison()
    const numberAt = at
    const ms = parseAge(take(BARE))
    if (comparison !== '>' && comparison !== '>=' && comparison !== '<' && comparison !== '<=') {
      throw new Misread(start, 'age is compared with > >= < or <=, as in age:>1h')
    }
    if (ms === undefined) {
      throw new Misread(numberAt, 'an age is a whole number and a unit (s, m, h, d, w), as in age:>1h')
    }
    if (ms > MAX_AGE_MS) throw new Misread(numberAt, 'an age is at most a hundred years')
    endOfTerm()
    return { comparison, ms } as const
  }

  function readTime(field: 'after' | 'before'): FilterTime {
    const start = at
    const time = parseFilterTime(text[at] === '"' ? readQuoted() : take(BARE_TIME))
    if (time === undefined) throw new Misread(start, `${field} takes a time${examples(field)}`)
    endOfTerm()
    return time
  }

  function readRedriveCount() {
    const start = at
    const taken = readComparison()
    const comparison = taken === '' ? '=' : COMPARISONS.find(known => known === taken)
    if (comparison === undefined) throw new Misread(start, `${quote(taken)} compares nothing; use > >= < <= or =`)
    const numberAt = at
    const count = toCount(take(BARE), MAX_REDRIVES)
    if (count === undefined) throw new Misread(numberAt, 'replays is a whole number, as in replays:0 or replays:>=2')
    endOfTerm()
    return { comparison, count }
  }

  function endOfTerm(): void {
    const next = text[at]
    if (next !== undefined && !/\s/.test(next)) {
      throw new Misread(at, `${quote(next)} cannot stand here: a value that holds it must be quoted as a whole`)
    }
  }

  take(BLANK)
  while (at < text.length) {
    terms.push(readTerm())
    take(BLANK)
  }
  return terms
}

function toTerm(
  field: Exclude<FilterField, 'age' | 'after' | 'before' | 'replays'>,
  not: boolean,
  values: readonly Value[],
): FilterTerm {
  switch (field) {
    case 'reason':
      return { field, not, values: values.map(value => oneOf(field, REASONS, value)) }
    case 'state':
      return { field, not, values: values.map(value => oneOf(field, DEAD_LETTER_STATES, value)) }
    case 'partition':
      return { field, not, values: values.map(toPartition) }
    case 'text': {
      const [value, second] = values
      if (second !== undefined) throw new Misread(second.at - 1, 'text takes one value; a comma in it must be quoted')
      if (value === undefined || value.text === '')
        throw new Misread(value?.at ?? 0, 'text needs something to look for')
      return { field, not, text: value.text }
    }
    default:
      return { field, not, values: values.map(value => value.text) }
  }
}

function oneOf<V extends string>(field: string, known: readonly V[], { text, at }: Value): V {
  const found = known.find(value => value === text)
  if (found === undefined) throw new Misread(at, `there is no ${field} ${quote(text)}; there are ${known.join(', ')}`)
  return found
}

function toPartition({ text, at }: Value): number {
  const partition = toCount(text, MAX_PARTITION)
  if (partition === undefined) throw new Misread(at, `a partition is a whole number, not ${quote(text)}`)
  return partition
}

function toCount(text: string, max: number): number | undefined {
  return /^\d{1,10}$/.test(text) && Number(text) <= max ? Number(text) : undefined
}

/** A term without a field is a word to look for. */
function bareWord(text: string, start: number, wordAt: number): Misread {
  const word = /^\S*/.exec(text.slice(wordAt))?.[0] ?? ''
  if (word === '') return new Misread(start, 'a "-" stands right before the field that it negates, as in -state:open')
  const wanted = word.startsWith('"') ? word.replace(/^"|"$/g, '') : word
  return new Misread(
    wordAt,
    `a condition is written field:value; to look for a word, write text:${inQuotes(wanted)}; ` +
      `the fields are ${FILTER_FIELDS.join(', ')}`,
  )
}

function examples(field: FilterField): string {
  switch (field) {
    case 'reason':
      return `: ${REASONS.join(', ')}`
    case 'state':
      return `: ${DEAD_LETTER_STATES.join(', ')}`
    case 'partition':
      return ', as in partition:3'
    case 'pointer':
      return ', as in pointer:/payment/*; without a place: pointer:""'
    case 'key':
      return ', as in key:abc*; without a key that can be read: key:""'
    case 'after':
    case 'before':
      return `: a date, as in ${field}:2026-11-29; a time, as in ${field}:2026-11-29T14:05:00Z; an age, as in ${field}:2h (s, m, h, d, w); today or yesterday`
    case 'text':
      return ', as in text:"must be"'
    default:
      return ''
  }
}

function operandOf(term: FilterTerm): string {
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
    default:
      return term.values.map(value => printValue(String(value))).join(',')
  }
}

function printValue(value: string): string {
  BARE.lastIndex = 0
  return BARE.exec(value)?.[0] === value && value !== '' ? value : inQuotes(value)
}

function inQuotes(value: string): string {
  return `"${value.replace(/["\\]/g, '\\$&')}"`
}

/** For an error: what stands there, short and visible. */
function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)
}

function escaped(character: string): string {
  return character === '\\' ? '\\\\' : character
}
