import { InvalidArgumentError } from 'commander'
import type { Role } from '../app.ts'
import { LIFTS, type Lift } from '../engine/operator.ts'
import { isInstant, parseInstant } from '../engine/values/instant.ts'

/** Records a second of `produce` without --count and --rate: without a limit, a broker's disk would fill unnoticed. */
export const ENDLESS_RATE = 100

/** How flags are read. Each throws commander's InvalidArgumentError, which becomes exit code 2 and names the flag. */

export function parseCount(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number, as in 1000.')
  return Number(text)
}

/** `2%` or `2`: percent. @returns the share, 0 to 1 */
export function parsePercent(text: string): number {
  const percent = /^(\d{1,3}(?:\.\d+)?)%?$/.exec(text)?.[1]
  if (percent === undefined || Number(percent) > 100) {
    throw new InvalidArgumentError('It must be from 0% to 100%, as in 2%.')
  }
  return Number(percent) / 100
}

/** `500`, `500/s` or `90/m`. @returns records a second, above 0 */
export function parseRate(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(?:\/(s|m))?$/.exec(text)
  const perSecond = Number(match?.[1]) / (match?.[2] === 'm' ? 60 : 1)
  if (match === null || !(perSecond > 0)) {
    throw new InvalidArgumentError('It must be records a second (or a minute), as in 500/s or 90/m.')
  }
  return perSecond
}

const SECONDS = { ms: 0.001, s: 1, m: 60, h: 3600 } as const

/** `500ms`, `30s`, `5m` or `1h`. @returns ms, above 0 */
export function parseDurationMs(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? []
  const ms = Number(number) * SECONDS[unit as keyof typeof SECONDS] * 1000
  if (number === undefined || !(ms > 0)) throw new InvalidArgumentError('It must be a duration, as in 30s or 5m.')
  return ms
}

/** A count of at least 1. */
export function parseLimit(text: string): number {
  const limit = parseCount(text)
  if (limit === 0) throw new InvalidArgumentError('It must be 1 at least.')
  return limit
}

/** Where `seek` goes to: an offset, an end of the partition, or the first record that is not older than this instant. */
export type Place = bigint | 'earliest' | 'latest' | { readonly timestampMs: number; readonly text: string }

export function parsePlace(text: string): Place {
  if (text === 'earliest' || text === 'latest') return text
  if (/^\d{1,18}$/.test(text)) return BigInt(text)
  if (isInstant(text)) return { timestampMs: Math.ceil(Number(parseInstant(text)) / 1000), text }
  throw new InvalidArgumentError(
    'It must be an offset, earliest, latest, or a time with its zone as 2026-11-29T08:00:00Z.',
  )
}

/** Which pauses `resume` lifts. */
export function parseLifted(text: string): Lift {
  const known = LIFTS.find(lift => lift === text)
  if (known === undefined) throw new InvalidArgumentError(`It must be one of ${LIFTS.join(', ')}.`)
  return known
}

/** `consumer,api`: roles of a process. */
export function parseRoles(text: string): ReadonlySet<Role> {
  const names = parseNames(text)
  for (const name of names) {
    if (name !== 'consumer' && name !== 'api' && name !== 'jobs')
      throw new InvalidArgumentError('It must be a list of consumer, api and jobs.')
  }
  return new Set(names as Role[])
}

/** `a, b`: names, separated by commas. */
export function parseNames(text: string): readonly string[] {
  return text.split(',').map(name => name.trim())
}
