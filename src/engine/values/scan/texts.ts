import { hasFormat } from '../formats.ts'
import { isStorable } from '../text.ts'
import type { Memory } from './memory.ts'
import type { TextRules } from './places.ts'

/** What a scan asks about the bytes of a text, from `start` up to, not including, `end`; the record is UTF-8. */
export interface Texts {
  /** Its characters. */
  length(start: number, end: number): number
  /** The text itself. */
  decode(start: number, end: number): string
  /** The text of a cell. */
  text(cell: number): string
  /**
   * A text with escapes: notes it in the cells.
   * @param at the first backslash @param start the first byte @param fits what is demanded of the text
   * @returns the place after its closing quote; 0 when it is not to be scanned
   */
  escaped(at: number, start: number, cell: number, fits: (text: string) => boolean): number
  isLowerCase(start: number, end: number): boolean
  /** The rules that no length settles, for the bytes of a text without escapes. @returns `undefined` when there are none */
  check(rules: TextRules): ((start: number, end: number) => boolean) | undefined
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const SPACE = 0x20

export function createTexts({ input, tape, texts }: Memory): Texts {
  const byte = (at: number) => input[at] as number

  function length(start: number, end: number): number {
    let characters = 0
    // A byte within a character is 10xxxxxx.
    for (let at = start; at < end; at++) if ((byte(at) & 0xc0) !== 0x80) characters += 1
    return characters
  }

  function decode(start: number, end: number): string {
    for (let at = start; at < end; at++) if (byte(at) > 0x7f) return input.toString('utf8', start, end)
    return input.toString('latin1', start, end)
  }

  function text(cell: number): string {
    const end = tape[cell + 1] as number
    return end < 0 ? (texts[-end - 1] as string) : decode(tape[cell] as number, end)
  }

  function escaped(at: number, start: number, cell: number, fits: (text: string) => boolean): number {
    if (byte(at) !== BACKSLASH) return 0
    let end = start
    while (byte(end) !== QUOTE) {
      const isEscape = byte(end) === BACKSLASH
      if (isEscape) end += 1
      // The NUL behind the record is one of these.
      if (byte(end) < SPACE) return 0
      end += 1
    }
    let found: string
    try {
      found = JSON.parse(input.toString('utf8', start - 1, end + 1))
    } catch {
      return 0
    }
    if (!isStorable(found) || !fits(found)) return 0
    texts.push(found)
    tape[cell] = start
    tape[cell + 1] = -texts.length
    return end + 1
  }

  /** As the format `email` of ajv-formats: atoms with dots between them, `@`, then at least two labels of letters, digits and hyphens. */
  function isEmail(start: number, end: number): boolean {
    let at = start
    let last = at - 1
    for (; ATOM[byte(at)] === 1; at++) {
      if (byte(at) !== DOT) continue
      if (at === last + 1) return false
      last = at
    }
    if (at === last + 1 || byte(at) !== AT) return false
    let labels = 0
    for (at += 1; at <= end; at++) {
      const first = at
      while (LABEL[byte(at)] === 1) at++
      if (at === first || byte(first) === HYPHEN || byte(at - 1) === HYPHEN) return false
      labels += 1
      if (at < end && byte(at) !== DOT) return false
    }
    return labels > 1
  }

  function isUuid(start: number, end: number): boolean {
    if (end - start !== 36) return false
    for (let i = 0; i < 36; i++) {
      const isDash = i === 8 || i === 13 || i === 18 || i === 23
      if (isDash ? byte(start + i) !== HYPHEN : HEX[byte(start + i)] !== 1) return false
    }
    return true
  }

  function isLowerCase(start: number, end: number): boolean {
    for (let at = start; at < end; at++) if (byte(at) >= 0x41 && byte(at) <= 0x5a) return false
    return true
  }

  function isOneOf(values: readonly string[]): (start: number, end: number) => boolean {
    const encoded = values.map(value => Buffer.from(value))
    return (start, end) =>
      encoded.some(value => {
        if (value.length !== end - start) return false
        for (let i = 0; i < value.length; i++) if (value[i] !== input[start + i]) return false
        return true
      })
  }

  function check(rules: TextRules): ((start: number, end: number) => boolean) | undefined {
    const checks: ((start: number, end: number) => boolean)[] = []
    const { format, pattern, values, when } = rules
    if (format === 'email') checks.push(isEmail)
    else if (format === 'uuid') checks.push(isUuid)
    else if (format !== undefined) checks.push((start, end) => hasFormat(format, decode(start, end)))
    if (pattern !== undefined) {
      const expression = new RegExp(pattern, 'u')
      checks.push((start, end) => expression.test(decode(start, end)))
    }
    if (values !== undefined) checks.push(isOneOf(values))
    if (when !== undefined) {
      const [condition, then, otherwise] = [whole(when.if), whole(when.then), whole(when.else)]
      checks.push((start, end) => (condition(start, end) ? then(start, end) : otherwise(start, end)))
    }
    if (checks.length < 2) return checks[0]
    return (start, end) => checks.every(passes => passes(start, end))
  }

  /** All rules, those of the length as well. */
  function whole(rules: TextRules): (start: number, end: number) => boolean {
    const rest = check(rules)
    const { minimum, maximum } = rules
    return (start, end) => {
      // Bytes are never fewer than characters.
      if (end - start < minimum) return false
      if (minimum > 1 && length(start, end) < minimum) return false
      if (end - start > maximum && length(start, end) > maximum) return false
      return rest === undefined || rest(start, end)
    }
  }

  return { length, decode, text, escaped, isLowerCase, check }
}

/** The rules for a text that had escapes. A format that is also read as a number is left to the parser of JSON. */
export function textCheck(rules: TextRules): (text: string) => boolean {
  const { minimum, maximum, format, pattern, values, when } = rules
  const expression = pattern === undefined ? undefined : new RegExp(pattern, 'u')
  const branches = when && [textCheck(when.if), textCheck(when.then), textCheck(when.else)]
  return text => {
    let characters = 0
    for (const _ of text) characters += 1
    if (characters < minimum || characters > maximum) return false
    if (expression?.test(text) === false) return false
    if (format !== undefined && !hasFormat(format, text)) return false
    if (values !== undefined && !values.includes(text)) return false
    if (branches === undefined) return true
    const [condition, then, otherwise] = branches
    return (condition?.(text) ? then?.(text) : otherwise?.(text)) === true
  }
}

/** A pattern for which a table of bytes stands: one class of characters, and how many of them. */
export interface ClassPattern {
  /** 1 for each byte that may follow another; only ASCII, and neither quote, backslash nor control character. */
  readonly table: Uint8Array
  readonly minimum: number
  readonly maximum: number
}

const CLASS_PATTERN = /^\^(\[(?:[^[\]\\]|\\.)+\]|\\[dw])(?:([*+])|\{(\d+)(?:(,)(\d*))?\})?\$$/

/** @returns `undefined` for a pattern of another form */
export function classPattern(pattern: string): ClassPattern | undefined {
  const [, characters, sign, least, comma, most] = CLASS_PATTERN.exec(pattern) ?? []
  if (characters === undefined) return undefined
  const table = tableOf(code => new RegExp(`^${characters}$`, 'u').test(String.fromCharCode(code)))
  if (sign !== undefined) return { table, minimum: sign === '+' ? 1 : 0, maximum: Number.POSITIVE_INFINITY }
  const minimum = least === undefined ? 1 : Number(least)
  const maximum = comma === undefined ? minimum : most === '' ? Number.POSITIVE_INFINITY : Number(most)
  return { table, minimum, maximum }
}

/** 1 for each byte that stands in a text for itself; bytes above ASCII do, because the record is UTF-8. */
export const PLAIN = tableOf(() => true).fill(1, 0x80)

function tableOf(holds: (code: number) => boolean): Uint8Array {
  const table = new Uint8Array(256)
  for (let code = SPACE; code < 0x80; code++) {
    if (code !== QUOTE && code !== BACKSLASH && holds(code)) table[code] = 1
  }
  return table
}

const AT = 0x40
const DOT = 0x2e
const HYPHEN = 0x2d
const ATOM = tableOf(code => /[a-z0-9!#$%&'*+/=?^_`{|}~.-]/i.test(String.fromCharCode(code)))
const LABEL = tableOf(code => /[a-z0-9-]/i.test(String.fromCharCode(code)))
const HEX = tableOf(code => /[0-9a-f]/i.test(String.fromCharCode(code)))
