import { accessSync, constants } from 'node:fs'
import { hostNameOfAddress } from './hosts.ts'

/** Texts of single settings, read. Each returns `undefined` where the text is none. */

/** `host:9092,other:9092` */
export function readBrokers(text: string): readonly string[] | undefined {
  const brokers = text
    .split(',')
    .map(broker => broker.trim())
    .filter(broker => broker !== '')
  return brokers.length > 0 && brokers.every(isBroker) ? brokers : undefined
}

function isBroker(broker: string): boolean {
  const match = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(broker)
  if (match === null) return false
  const port = Number(match[1] ?? 9092)
  return port >= 1 && port <= 65_535
}

/** Names without ports; none of them: an empty list. */
export function readHosts(text: string): readonly string[] | undefined {
  if (text.trim() === '') return []
  const names = text.split(',').map(name => hostNameOfAddress(name.trim()))
  const given = text.split(',').every(name => !/^(?:\[.*\]|[^:]*):\d+$/.test(name.trim()))
  return given && names.every(name => name !== undefined) ? names : undefined
}

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** `24h` @returns ms */
export function readDuration(text: string): number | undefined {
  const [ms, ...others] = readDurations(text) ?? []
  return others.length === 0 ? ms : undefined
}

/** `10m,1h,6h` @returns ms */
export function readDurations(text: string): readonly number[] | undefined {
  const durations = text.split(',').map(part => {
    const [, number, unit] = /^\s*(\d{1,6})(s|m|h|d)\s*$/.exec(part) ?? []
    return Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS]
  })
  return durations.every(ms => ms > 0) ? durations : undefined
}

/** A user in it would go into no header: fetch refuses it. */
export function readWebhook(text: string): string | undefined {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) return undefined
  return url.username === '' && url.password === '' ? url.href : undefined
}

/** `sign --region "eu west"`: words separated by spaces, quotes of either kind keep one together. */
export function readWords(text: string): readonly string[] | undefined {
  const word = /\s*("[^"]*"|'[^']*'|[^\s"']+)(?=\s|$)/y
  const words: string[] = []
  const end = text.trimEnd().length
  while (word.lastIndex < end) {
    const [, found] = word.exec(text) ?? []
    if (found === undefined) return undefined
    words.push(found.replace(/^(["'])(.*)\1$/s, '$2'))
  }
  return words.length > 0 && words[0] !== '' ? words : undefined
}

export const PEM_FILE = 'the path of a PEM file that can be read'

/** The path of a file that can be read. The Kafka client would only report that it has not reached a broker. */
export function readable(path: string): string | undefined {
  try {
    accessSync(path, constants.R_OK)
    return path
  } catch {
    return undefined
  }
}
