import { canonicalInstant, formatInstant, isInstant } from '../engine/values/instant.ts'

/** A point of time as a filter names it. What is relative counts from now, each time that the filter is used. */
export type FilterTime =
  /** RFC 3339 in UTC, in the one form that `canonicalInstant` writes. */
  | { readonly at: string }
  | { readonly agoMs: number }
  /** The midnight, in UTC, with which the day began. */
  | { readonly day: FilterDay }

export const FILTER_DAYS = ['today', 'yesterday'] as const
export type FilterDay = (typeof FILTER_DAYS)[number]

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const
/** A hundred years: what is subtracted from now must still be a date. */
export const MAX_AGE_MS = 36_525 * UNIT_MS.d

/** A date, with a time of day that may lack its seconds, and a zone that may be missing. */
const DATE_OR_TIME = /^(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(:\d\d(?:\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?)?$/

/** `90s`, `2h`, `3d`. @returns ms; `undefined` when it is no age, and more than {@link MAX_AGE_MS} when it is too long */
export function parseAge(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,15})(ms|s|m|h|d|w)$/.exec(text) ?? []
  return number === undefined ? undefined : Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS]
}

export function printAge(ms: number): string {
  const [unit = 'ms', size = 1] = Object.entries(UNIT_MS).findLast(([, size]) => ms % size === 0 && ms > 0) ?? ['s', 1]
  return `${ms / size}${unit}`
}

/**
 * RFC 3339, also without seconds or zone (then in UTC); a date, which is its midnight in UTC; an age, with or without a `-`
 * before it; `today` or `yesterday`.
 */
export function parseFilterTime(text: string): FilterTime | undefined {
  const day = FILTER_DAYS.find(known => known === text)
  if (day !== undefined) return { day }
  const agoMs = parseAge(text.replace(/^-/, ''))
  if (agoMs !== undefined) return agoMs <= MAX_AGE_MS ? { agoMs } : undefined
  const [, date, minute = '00:00', second = ':00', zone = 'Z'] = DATE_OR_TIME.exec(text) ?? []
  const instant = `${date}T${minute}${second}${zone}`
  return date !== undefined && isInstant(instant) ? { at: canonicalInstant(instant) } : undefined
}

const DAY_MS = UNIT_MS.d

/** @returns RFC 3339 in UTC, 1970 at the earliest */
export function instantOf(time: FilterTime, nowMs: number): string {
  if ('at' in time) return time.at
  const today = Math.floor(nowMs / DAY_MS) * DAY_MS
  const ms = 'agoMs' in time ? nowMs - time.agoMs : today - (time.day === 'today' ? 0 : DAY_MS)
  return formatInstant(BigInt(Math.max(0, Math.floor(ms))) * 1000n)
}

export function printFilterTime(time: FilterTime): string {
  if ('day' in time) return time.day
  if ('agoMs' in time) return printAge(time.agoMs)
  return time.at.replace('T00:00:00Z', '')
}
