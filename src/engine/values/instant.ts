/**
 * Instants at microsecond precision, as Postgres keeps them. Further decimals are cut off here, before anything is
 * stored: Postgres would round them, and then what is served from memory and from the table could differ.
 */

/** RFC 3339 date-time with a zone. `t`, `z` and a space for the `T` are allowed there (section 5.6), and here. */
const DATE_TIME = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,64}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/

/** What {@link formatInstant} writes for a whole second; most dates arrive like this. */
const CANONICAL_SECOND = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/

/** 1970-01-01T00:00:00Z up to, not including, 10000-01-01T00:00:00Z, in milliseconds. */
const MIN_MS = 0
const END_MS = Date.UTC(10000, 0, 1)

interface Parts {
  /** The whole second, in ms since the epoch. */
  readonly secondMs: number
  /** Within the second. */
  readonly micros: number
}

function read(text: string): Parts | undefined {
  const match = DATE_TIME.exec(text)
  if (match === null) return undefined
  const year = Number(match[1])
  const month = Number(match[2])
  const day = Number(match[3])
  const hour = Number(match[4])
  const minute = Number(match[5])
  const second = Number(match[6])
  // A leap second (60) has no place on the time line of Postgres or of JavaScript: both would store another instant.
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined
  if (hour > 23 || minute > 59 || second > 59) return undefined
  let secondMs = Date.UTC(year, month - 1, day, hour, minute, second)
  if (match[8] !== undefined) {
    const zoneHour = Number(match[9])
    const zoneMinute = Number(match[10])
    if (zoneHour > 23 || zoneMinute > 59) return undefined
    const zoneMs = (zoneHour * 60 + zoneMinute) * 60_000
    secondMs += match[8] === '+' ? -zoneMs : zoneMs
  }
  // Date.UTC reads the years 0 to 99 as 1900 to 1999.
  if (year < 100 || secondMs < MIN_MS || secondMs >= END_MS) return undefined
  const decimals = match[7]
  return { secondMs, micros: decimals === undefined ? 0 : Number(decimals.slice(0, 6).padEnd(6, '0')) }
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

/** Whether {@link parseInstant} would take it. */
export function isInstant(text: string): boolean {
  return read(text) !== undefined
}

const BEYOND_MICROSECONDS = /\.\d{6}\d*[1-9]/

/** Whether the instant has decimals that are cut off, as nanoseconds are. @param text one that {@link isInstant} takes */
export function losesPrecision(text: string): boolean {
  return BEYOND_MICROSECONDS.test(text)
}

/**
 * @param text RFC 3339 with a zone, in UTC between 1970 and 9999
 * @returns microseconds since the Unix epoch, further decimals cut off
 * @throws RangeError on anything else; the text itself is not quoted
 */
export function parseInstant(text: string): bigint {
  const parts = read(text)
  if (parts === undefined) throw new RangeError('not an RFC 3339 date-time between 1970 and 9999')
  return BigInt(parts.secondMs) * 1000n + BigInt(parts.micros)
}

/**
 * `YYYY-MM-DDTHH:MM:SS[.ffffff]Z`, without trailing zeros in the decimals.
 * @param micros microseconds since the Unix epoch, between 1970 and 9999
 */
export function formatInstant(micros: bigint): string {
  return format(Number(micros / 1_000_000n) * 1000, Number(micros % 1_000_000n))
}

function format(secondMs: number, micros: number): string {
  const seconds = new Date(secondMs).toISOString().slice(0, 19)
  if (micros === 0) return `${seconds}Z`
  return `${seconds}.${String(micros).padStart(6, '0').replace(/0+$/, '')}Z`
}

/** The same instant as {@link formatInstant} writes it. @throws RangeError as {@link parseInstant} */
export function canonicalInstant(text: string): string {
  const parts = read(text)
  if (parts === undefined) throw new RangeError('not an RFC 3339 date-time between 1970 and 9999')
  if (parts.micros === 0 && CANONICAL_SECOND.test(text)) return text
  return format(parts.secondMs, parts.micros)
}
