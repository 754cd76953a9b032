import { REASONS } from '../engine/dead-letter.ts'
import { nearest } from '../engine/nearest.ts'
import {
  BARE,
  COMPARISONS,
  FILTER_FIELDS,
  type FilterField,
  inQuotes,
  type ValueTerm,
  WITHHELD,
  type WrittenFilter,
  type WrittenTerm,
} from './filter.ts'
import { type FilterTime, MAX_AGE_MS, parseAge, parseFilterTime } from './filter-time.ts'
import { DEAD_LETTER_STATES } from './letter-states.ts'

export type ParsedFilter =
  | { readonly ok: true; readonly filter: WrittenFilter }
  /** `column` counts characters from 1; `message` says what is wrong there and what would be right. */
  | { readonly ok: false; readonly column: number; readonly message: string }

/** Names that a field had before; they are read and never printed. */
const ALIASES: Readonly<Partial<Record<string, FilterField>>> = { uid: 'key' }

const MAX_CHARACTERS = 100_000
const MAX_PARTITION = 2 ** 31 - 1
const MAX_REDRIVES = 1_000_000
/** Nothing follows a time, or what a value is compared with: special characters need no quotes there. */
const BARE_OPERAND = /[^\s",\\]+/y
const BLANK = /\s*/y
const NUL = 'a value cannot hold the character NUL'
/** JSON Pointer (RFC 6901) to something inside the value. */
const POINTER = /^(?:\/(?:[^/~\0]|~[01])*)+$/

/**
 * Text to filter. The grammar: terms with blanks between them, each `field:value`, `field:value,value` (alternatives) or
 * `-field:value` (the others); a value with blanks or special characters stands in `"…"`, with `\"` and `\\` inside.
 * A word without a field is an id, a key or text.
 * What `printFilter` prints is read back as the same filter.
 */
export function parseFilter(text: string): ParsedFilter {
  try {
    return { ok: true, filter: { terms: readTerms(text) } }
  } catch (error) {
    if (!(error instanceof Misread)) throw error
    return { ok: false, column: [...text.slice(0, error.at)].length + 1, message: error.message }
  }
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

function readTerms(text: string): WrittenTerm[] {
  if (text.length > MAX_CHARACTERS) {
    throw new Misread(MAX_CHARACTERS, `a filter has at most ${MAX_CHARACTERS} characters`)
  }
  const terms: WrittenTerm[] = []
  let at = 0

  function take(pattern: RegExp): string {
    pattern.lastIndex = at
    const taken = pattern.exec(text)?.[0] ?? ''
    at += taken.length
    return taken
  }

  function readTerm(): WrittenTerm {
    const start = at
    const not = text[at] === '-'
    if (not) at += 1
    const nameAt = at
    if (text[at] === '"') return readWord(not, readQuoted(), nameAt)
    const name = take(BARE)
    const field = FILTER_FIELDS.find(known => known === (ALIASES[name] ?? name))
    if (text[at] !== ':') {
      if (name === '' && not) {
        throw new Misread(start, 'a "-" stands right before what it negates, as in -state:open')
      }
      if (field !== undefined && text[at] === '=') throw new Misread(at, `a condition is written ${field}:value`)
      return readWord(not, name, nameAt)
    }
    if (field === undefined) throw noSuchField(name, nameAt, text)
    at += 1
    if (field === 'value') return { field, not, ...readValueCondition() }
    if (field === 'age') return { field, not, ...readAge() }
    if (field === 'after' || field === 'before') return { field, not, time: readTime(field) }
    if (field === 'replays') return { field, not, ...readRedriveCount() }
    return toTerm(field, not, readValues(field))
  }

  function readWord(not: boolean, word: string, wordAt: number): WrittenTerm {
    if (text[at] === ':') throw new Misread(at, 'the field before ":" stands without quotes')
    endOfTerm()
    if (word === '') throw new Misread(wordAt, 'between the quotes stands nothing to look for')
    if (word.includes('\0')) throw new Misread(wordAt + word.indexOf('\0'), NUL)
    return { field: 'word', not, text: word }
  }

  function readValueCondition(): Pick<ValueTerm, 'pointer' | 'comparison' | 'values'> {
    const pointerAt = at
    const pointer = text[at] === '"' ? readQuoted() : take(BARE)
    if (!POINTER.test(pointer)) throw new Misread(pointerAt, `value takes a place in the value${examples('value')}`)
    const comparisonAt = at
    const taken = take(/[<>=!]*/y)
    if (taken === '') {
      endOfTerm()
      return { pointer, comparison: undefined, values: [] }
    }
    if (taken !== '=' && taken !== '!=') throw new Misread(comparisonAt, 'a value is compared with = or !=')
    const values = readValues('value')
    const withheld = values.find(value => value.text === WITHHELD)
    if (withheld !== undefined) {
      throw new Misread(withheld.at, `${WITHHELD} stands for a value that was not noted: write the value itself`)
    }
    return { pointer, comparison: taken, values: values.map(value => value.text) }
  }

  function readValues(field: FilterField): Value[] {
    const values = [readValue(field)]
    while (text[at] === ',') {
      at += 1
      values.push(readValue(field))
    }
    endOfTerm()
    return values
  }

  function readValue(field: FilterField): Value {
    const start = at
    if (text[at] === '"') return { text: readQuoted(), at: start }
    const bare = take(field === 'value' ? BARE_OPERAND : BARE)
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
    const time = parseFilterTime(text[at] === '"' ? readQuoted() : take(BARE_OPERAND))
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
  field: Exclude<FilterField, 'age' | 'after' | 'before' | 'replays' | 'value'>,
  not: boolean,
  values: readonly Value[],
): WrittenTerm {
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

/** @param at of the name in the text */
function noSuchField(name: string, at: number, text: string): Misread {
  const fields = `the fields are ${FILTER_FIELDS.join(', ')}`
  if (name === '') return new Misread(at, `the field before ":" is missing; ${fields}`)
  const meant = nearest(name.slice(0, 20).toLowerCase(), FILTER_FIELDS)
  const word = /^\S*/.exec(text.slice(at))?.[0] ?? ''
  return new Misread(
    at,
    `there is no field ${quote(name)}${meant === undefined ? '' : ` (do you mean ${meant}?)`}; ${fields}; ` +
      `to look for it as text, quote it${word.includes('"') || word.length > 40 ? '' : `: ${inQuotes(word)}`}`,
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
    case 'value':
      return ', as in value:/payment/bank=alpha, value:/payment/bank!=alpha or value:/items/*/brand'
    default:
      return ''
  }
}

/** For an error: what stands there, short and visible. */
function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)
}

function escaped(character: string): string {
  return character === '\\' ? '\\\\' : character
}
