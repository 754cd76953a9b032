import { MAX_DEPTH } from '../depth.ts'
import type { Memory } from './memory.ts'

/** What lies between the places of a value, or at none of them. */
export interface Skips {
  /** @returns the first place at or behind `at` that is no white space */
  space(at: number): number
  /**
   * The name of a field that the schema does not know.
   * @returns the place behind it; 0 when it has an escape, and so might be the name of one that it knows
   */
  name(at: number): number
  /** Any value, held against the grammar of JSON alone. @param depth objects and arrays around it @returns the place behind it, or 0 */
  value(at: number, depth: number): number
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const SPACE = 0x20

export function createSkips({ input }: Memory): Skips {
  const byte = (at: number) => input[at] as number

  function space(at: number): number {
    for (let c = byte(at); c === SPACE || c === 0x0a || c === 0x0d || c === 0x09; c = byte(at)) at += 1
    return at
  }

  function name(at: number): number {
    if (byte(at) !== QUOTE) return 0
    for (at += 1; byte(at) !== QUOTE; at++) if (byte(at) < SPACE || byte(at) === BACKSLASH) return 0
    return at + 1
  }

  function text(at: number): number {
    for (at += 1; byte(at) !== QUOTE; at++) {
      if (byte(at) < SPACE) return 0
      if (byte(at) !== BACKSLASH) continue
      at += 1
      if (byte(at) === 0x75) {
        for (let i = 0; i < 4; i++) if (!isHex(byte(++at))) return 0
      } else if (!ESCAPES.includes(byte(at))) return 0
    }
    return at + 1
  }

  function digits(at: number): number {
    const first = at
    while (isDigit(byte(at))) at += 1
    return at === first ? 0 : at
  }

  function number(at: number): number {
    if (byte(at) === 0x2d) at += 1
    at = byte(at) === 0x30 ? at + 1 : digits(at)
    if (at > 0 && byte(at) === 0x2e) at = digits(at + 1)
    if (at > 0 && (byte(at) | 0x20) === 0x65) {
      at += 1
      if (byte(at) === 0x2b || byte(at) === 0x2d) at += 1
      at = digits(at)
    }
    return at
  }

  function word(at: number, rest: string): number {
    return input.toString('latin1', at, at + rest.length) === rest ? at + rest.length : 0
  }

  function container(at: number, depth: number, end: number): number {
    if (depth >= MAX_DEPTH) return 0
    at = space(at + 1)
    if (byte(at) === end) return at + 1
    for (;;) {
      if (end === 0x7d) {
        if (byte(at) !== QUOTE) return 0
        at = text(at)
        if (at === 0) return 0
        at = space(at)
        if (byte(at) !== 0x3a) return 0
        at = space(at + 1)
      }
      at = value(at, depth + 1)
      if (at === 0) return 0
      at = space(at)
      if (byte(at) === end) return at + 1
      if (byte(at) !== 0x2c) return 0
      at = space(at + 1)
    }
  }

  function value(at: number, depth: number): number {
    switch (byte(at)) {
      case QUOTE:
        return text(at)
      case 0x7b:
        return container(at, depth, 0x7d)
      case 0x5b:
        return container(at, depth, 0x5d)
      case 0x74:
        return word(at, 'true')
      case 0x66:
        return word(at, 'false')
      case 0x6e:
        return word(at, 'null')
    }
    return number(at)
  }

  return { space, name, value }
}

/** Behind a backslash: `"\/bfnrt`. */
const ESCAPES = [0x22, 0x5c, 0x2f, 0x62, 0x66, 0x6e, 0x72, 0x74]

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

function isHex(code: number): boolean {
  return isDigit(code) || ((code | 0x20) >= 0x61 && (code | 0x20) <= 0x66)
}
