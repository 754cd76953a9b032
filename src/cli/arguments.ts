import { InvalidArgumentError } from 'commander'

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
