/**
 * A record's timestamp is whatever 64-bit integer its producer wrote: milliseconds by convention, microseconds or
 * nanoseconds from producers that mistake the unit, -1 where there is none.
 *
 * The native client delivers it as a double, so beyond 2^53 the last digits are lost before we see them (256 units at the
 * size of today's nanoseconds). So inside it is a `number` by one rule: the double nearest to the integer. Whatever reads
 * one (Kafka, a header, a column, JSON) comes to the same double, and the order of two timestamps is never reversed.
 */

/** What Kafka holds where the producer gave none. */
export const NO_TIMESTAMP = -1

const INT64_MAX = 2n ** 63n - 1n
const INT64_MIN = -(2n ** 63n)
const INTEGER = /^(?:0|-?[1-9]\d{0,18})$/

/** The first and the last instant that RFC 3339 can write, in ms since the epoch. */
const MIN_INSTANT_MS = -62_167_219_200_000
export const MAX_INSTANT_MS = 253_402_300_799_999

/** @returns the 64-bit integer that a column or a header holds for it; a `bigint` only where a number prints other digits */
export function timestampToInt64(timestampMs: number): number | bigint {
  if (Number.isSafeInteger(timestampMs)) return timestampMs
  // A double counts in steps of 1,024 there: what was read from 2^63 - 1 is 2^63.
  if (timestampMs >= 2 ** 63) return INT64_MAX
  if (timestampMs <= -(2 ** 63)) return INT64_MIN
  return BigInt(timestampMs)
}

/** Decimal text of a 64-bit integer, as a header or a column holds it. @returns `undefined` for anything else */
export function parseTimestamp(text: string): number | undefined {
  return isInt64(text) ? Number(text) : undefined
}

/** RFC 3339. What lies beyond the years 0000 to 9999 is shown as their first or last millisecond. */
export function timestampToInstant(timestampMs: number): string {
  return new Date(Math.min(Math.max(timestampMs, MIN_INSTANT_MS), MAX_INSTANT_MS)).toISOString()
}

/** Decimal text as Kafka's clients write a 64-bit integer: no leading zeros, no plus sign, no `-0`. */
export function isInt64(text: string): boolean {
  if (!INTEGER.test(text)) return false
  const value = BigInt(text)
  return value >= INT64_MIN && value <= INT64_MAX
}
