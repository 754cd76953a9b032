import { type Memory, NULL } from './memory.ts'

/** Reads of what is no text. Each takes the place where a value begins and the cell that it fills, and returns the place behind it, or 0. */
export interface Scalars {
  /** A whole number as JSON writes it: no fraction, no exponent, no `-0`, at most 15 digits. */
  integer(at: number, cell: number): number
  /** The same, or with a fraction: at most 15 digits in all, so that the double is the number exactly as it was sent. */
  decimal(at: number, cell: number): number
  /** Whether a number that was read has no more digits than a column holds before and behind the point. */
  fits(cell: number, whole: number, scale: number): boolean
  boolean(at: number, cell: number): number
  null(at: number, cell: number): number
  /** An instant between 1970 and 2254 in the usual form: `2024-01-31T12:00:00.123456+03:00`. Fills the numbers of its cells. */
  instant(start: number, end: number, cell: number): boolean
  /** A date of the years 0001 to 9999. Fills the number of its cell. */
  date(start: number, end: number, cell: number): boolean
}

const MAX_DIGITS = 15
const ZERO = 0x30
const MINUS = 0x2d
const PLUS = 0x2b
const DOT = 0x2e
const COLON = 0x3a
const T = 0x54
const Z = 0x5a

/** Bytes in the order of the memory's views: little-endian. */
const TRUE = 0x65_75_72_74
const ALSE = 0x65_73_6c_61
const NULL_WORD = 0x6c_6c_75_6e
const F = 0x66

/** From 0000-03-01 to 1970-01-01, and to 2000-01-01. */
const DAYS_TO_1970 = 719_468
const DAYS_TO_2000 = 730_425
const DAY_SECONDS = 86_400
/** 2255-01-01: below it microseconds since 2000 are exact in a double. */
const END_SECONDS = 8_993_721_600

export function createScalars({ input, inputView, tape, numbers }: Memory): Scalars {
  const byte = (at: number) => input[at] as number

  function integer(start: number, cell: number): number {
    const isNegative = byte(start) === MINUS
    const first = isNegative ? start + 1 : start
    let at = first
    let digit = byte(at) - ZERO
    if (digit < 0 || digit > 9) return 0
    let value = digit
    at += 1
    // A digit behind a leading zero is left: no value may be followed by it.
    if (digit === 0) {
      if (isNegative) return 0
    } else {
      for (digit = byte(at) - ZERO; digit >= 0 && digit <= 9; digit = byte(at) - ZERO) {
        value = value * 10 + digit
        at += 1
      }
      if (at - first > MAX_DIGITS) return 0
    }
    tape[cell] = start
    tape[cell + 1] = at
    numbers[cell] = isNegative ? -value : value
    return at
  }

  function decimal(start: number, cell: number): number {
    const isNegative = byte(start) === MINUS
    const first = isNegative ? start + 1 : start
    let at = first
    let digit = byte(at) - ZERO
    if (digit < 0 || digit > 9) return 0
    let value = digit
    at += 1
    if (digit > 0) {
      for (digit = byte(at) - ZERO; digit >= 0 && digit <= 9; digit = byte(at) - ZERO) {
        value = value * 10 + digit
        at += 1
      }
    }
    let digits = at - first
    let power = 0
    if (byte(at) === DOT) {
      at += 1
      const fraction = at
      for (digit = byte(at) - ZERO; digit >= 0 && digit <= 9; digit = byte(at) - ZERO) {
        value = value * 10 + digit
        at += 1
      }
      power = at - fraction
      if (power === 0) return 0
      digits += power
    }
    if (digits > MAX_DIGITS || (isNegative && value === 0)) return 0
    tape[cell] = start
    tape[cell + 1] = at
    // Both are exact, so their quotient is the double that is nearest to the number.
    const number = power === 0 ? value : value / (POWERS[power] as number)
    numbers[cell] = isNegative ? -number : number
    return at
  }

  function fits(cell: number, whole: number, scale: number): boolean {
    let end = tape[cell + 1] as number
    let point = tape[cell] as number
    const first = byte(point) === MINUS ? point + 1 : point
    for (point = first; point < end && byte(point) !== DOT; point++);
    if (point < end) while (byte(end - 1) === ZERO) end -= 1
    return end - point - 1 <= scale && (byte(first) === ZERO || point - first <= whole)
  }

  function boolean(at: number, cell: number): number {
    const word = inputView.getInt32(at, true)
    const isTrue = word === TRUE
    if (!isTrue && !(byte(at) === F && inputView.getInt32(at + 1, true) === ALSE)) return 0
    const end = isTrue ? at + 4 : at + 5
    tape[cell] = at
    tape[cell + 1] = end
    numbers[cell] = isTrue ? 1 : 0
    return end
  }

  function nothing(at: number, cell: number): number {
    if (inputView.getInt32(at, true) !== NULL_WORD) return 0
    tape[cell] = NULL
    return at + 4
  }

  /** Two digits as a number; -1 when they are none. */
  function two(at: number): number {
    const tens = byte(at) - ZERO
    const ones = byte(at + 1) - ZERO
    return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1
  }

  /** Days from 0000-03-01 to the date there; -1 when it is none. */
  function days(at: number): number {
    const century = two(at)
    const rest = two(at + 2)
    const month = two(at + 5)
    const day = two(at + 8)
    if (century < 0 || rest < 0 || byte(at + 4) !== MINUS || byte(at + 7) !== MINUS) return -1
    const year = century * 100 + rest
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return -1
    // The year begins in March, so that the day of a leap year is its last.
    const ofMarch = month > 2 ? year : year - 1
    const since = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5
    const leap = Math.floor(ofMarch / 4) - Math.floor(ofMarch / 100) + Math.floor(ofMarch / 400)
    return ofMarch * 365 + leap + Math.floor(since) + day - 1
  }

  function instant(start: number, end: number, cell: number): boolean {
    const day = days(start)
    const hour = two(start + 11)
    const minute = two(start + 14)
    const second = two(start + 17)
    if (day < 0 || byte(start + 10) !== T || byte(start + 13) !== COLON || byte(start + 16) !== COLON) return false
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return false
    let at = start + 19
    let micros = 0
    if (byte(at) === DOT) {
      at += 1
      let unit = 1_000_000
      for (let digit = byte(at) - ZERO; digit >= 0 && digit <= 9; digit = byte(at) - ZERO) {
        // More digits would be cut off, which is a fact worth a metric.
        if (unit === 1) return false
        unit /= 10
        micros += digit * unit
        at += 1
      }
      if (unit === 1_000_000) return false
    }
    let seconds = (day - DAYS_TO_1970) * DAY_SECONDS + hour * 3600 + minute * 60 + second
    if (byte(at) === Z) {
      if (at + 1 !== end) return false
    } else {
      const sign = byte(at)
      const zoneHour = two(at + 1)
      const zoneMinute = two(at + 4)
      if ((sign !== PLUS && sign !== MINUS) || byte(at + 3) !== COLON || at + 6 !== end) return false
      if (zoneHour < 0 || zoneHour > 23 || zoneMinute < 0 || zoneMinute > 59) return false
      const zone = zoneHour * 3600 + zoneMinute * 60
      seconds += sign === PLUS ? -zone : zone
    }
    if (seconds < 0 || seconds >= END_SECONDS) return false
    numbers[cell] = seconds
    numbers[cell + 1] = micros
    return true
  }

  function date(start: number, end: number, cell: number): boolean {
    if (end - start !== 10) return false
    const day = days(start)
    if (day < 0) return false
    numbers[cell] = day - DAYS_TO_2000
    return true
  }

  return { integer, decimal, fits, boolean, null: nothing, instant, date }
}

const POWERS = Float64Array.from({ length: MAX_DIGITS + 1 }, (_, power) => Number(`1e${power}`))

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}
