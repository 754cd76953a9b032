import { formatNumber } from '../format.js'
import { actionWords, duration, named, PAUSES, plural, reasonGiven } from './words.js'

/** The past of a stream, as `GET /admin/timeline` returns it, in words and numbers: nothing here knows the page. */

/**
 * @typedef {{ fromMs: number, toMs: number }} Span
 * @typedef {{ kind: 'stop' | 'start' | 'action', fromMs: number, toMs: number | undefined, words: string, more: string, stop?: any, deployed?: boolean }} Happening
 *   `toMs` is undefined while it goes on, and the same as `fromMs` for what has no duration
 */

/** @returns {Span} */
export const spanOf = past => ({ fromMs: Date.parse(past.from), toMs: Date.parse(past.to) })

const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' })
/** Steps between the lines of an axis, in minutes. */
const TICKS_MINUTES = [1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720, 1_440, 2_880]

/**
 * @param {Span} span
 * @param {number} most how many fit
 * @returns {{ ms: number, words: string }[]} round moments in UTC; midnights by their date
 */
export function ticksOf({ fromMs, toMs }, most) {
  const stepMs = 60_000 * (TICKS_MINUTES.find(minutes => (toMs - fromMs) / (minutes * 60_000) <= most) ?? 2_880)
  const ticks = []
  for (let ms = Math.ceil(fromMs / stepMs) * stepMs; ms <= toMs; ms += stepMs) {
    const time = new Date(ms).toISOString().slice(11, 16)
    ticks.push({ ms, words: time === '00:00' ? DAY.format(ms) : time })
  }
  return ticks
}

/** @param {number} ms @returns `10:02:30`, or `29 Nov, 10:02` where it may be of another day */
function timeWords(ms, withDay = false) {
  const date = new Date(ms)
  const time = date.toISOString().slice(11, withDay ? 16 : 19)
  return withDay ? `${DAY.format(date)}, ${time}` : time
}

/** A moment of that past. @param {number} ms */
export const whenWords = (past, ms) => timeWords(ms, isLong(past))

/** Whether it may be of several days. */
export const isLong = past => past.step_seconds > 60

/**
 * The steps that it touches, one at least.
 * @param {any} past
 * @param {{ fromMs: number, toMs: number | undefined }} part
 * @returns {Span}
 */
export function stepsAround(past, { fromMs, toMs }) {
  const whole = spanOf(past)
  const stepMs = past.step_seconds * 1_000
  const edge = (ms, round) =>
    Math.min(Math.max(whole.fromMs + round((ms - whole.fromMs) / stepMs) * stepMs, whole.fromMs), whole.toMs)
  const from = Math.min(edge(fromMs, Math.floor), whole.toMs - stepMs)
  return { fromMs: from, toMs: Math.max(edge(toMs ?? whole.toMs, Math.ceil), from + stepMs) }
}

/** What is left of a part on an axis that has moved on; `undefined` when all of it has left. @param {Span} part */
export function stillOn(past, part) {
  return part.toMs > spanOf(past).fromMs ? stepsAround(past, part) : undefined
}

/** The filter that takes the dead letters which failed in that time. @param {Span} span */
export function filterOfSpan({ fromMs, toMs }) {
  const instant = ms => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
  return `after:${instant(fromMs)} before:${instant(toMs)}`
}

/**
 * Figures of a part of the past, over the steps that begin in it.
 * @param {any} past
 * @param {Span} span
 * @returns {{ settled: number, rate: number | undefined, lagSeconds: number | undefined, lagRecords: number | undefined, letters: number, isKnown: boolean }}
 */
export function sumUp(past, { fromMs, toMs }) {
  const stepMs = past.step_seconds * 1_000
  const first = Math.max(0, Math.ceil((fromMs - Date.parse(past.from)) / stepMs))
  const last = Math.max(first, Math.ceil((toMs - Date.parse(past.from)) / stepMs))
  const known = values => values.slice(first, last).filter(value => value !== null)
  const rates = known(past.rate)
  const sum = values => values.reduce((total, value) => total + value, 0)
  const most = values => (values.length === 0 ? undefined : Math.max(...values))
  return {
    settled: Math.round(sum(rates) * past.step_seconds),
    rate: rates.length === 0 ? undefined : sum(rates) / rates.length,
    lagSeconds: most(known(past.lag_seconds)),
    lagRecords: most(known(past.lag_records)),
    letters: sum(known(past.dead_letters)),
    isKnown: rates.length > 0,
  }
}

/** The same as a sentence. */
export function sumWords({ isKnown, rate, settled, lagSeconds, letters }) {
  if (!isKnown) return 'nothing is known: no process wrote what it did'
  const lag = lagSeconds === undefined ? 'lag not known' : `at most ${duration(lagSeconds)} behind`
  return `${plural(settled, 'record', 'records')} settled (${rateWords(rate)} a second), ${lag}, ${plural(letters, 'dead letter', 'dead letters')}`
}

/** @param {number} rate */
export const rateWords = rate => formatNumber(rate < 10 ? Math.round(rate * 10) / 10 : Math.round(rate))

/** @returns {Happening[]} everything that has a moment, the latest first */
export function happeningsOf(past) {
  const stops = past.stops.map(stop => ({
    kind: 'stop',
    fromMs: Date.parse(stop.from),
    toMs: stop.to === null ? undefined : Date.parse(stop.to),
    words: stopWords(stop),
    more: partitionWords(stop.partitions),
    stop,
  }))
  const starts = past.starts.map(({ at, version, count, deployed }) => ({
    ...moment('start', at),
    words: `${version} ${deployed ? 'deployed' : 'restarted'}`,
    more: count === 1 ? '' : `${formatNumber(count)} processes`,
    deployed,
  }))
  const actions = past.actions.map(({ at, who, what, filter, because }) => ({
    ...moment('action', at),
    words: `${actionWords(what)} by ${who}`,
    more: [filter, reasonGiven(because)].filter(part => part !== undefined && part !== '').join(': '),
  }))
  return [...stops, ...starts, ...actions].sort((a, b) => b.fromMs - a.fromMs)
}

function moment(kind, at) {
  return { kind, fromMs: Date.parse(at), toMs: Date.parse(at) }
}

const DEPENDENCIES = { postgres: 'Postgres', kafka: 'Kafka', dlq: 'the dead-letter topic' }

/** @param {{ kind: string, name: string }} stop @returns `waits for Postgres`, `Kafka unreachable` */
function stopWords({ kind, name }) {
  if (kind === 'breaker') return `${named(DEPENDENCIES, name)} unreachable`
  if (kind === 'stream') return `the stream was ${name}`
  return named(PAUSES, name)
}

const PARTITIONS_SHOWN = 12

function partitionWords(partitions) {
  if (partitions.length === 0) return ''
  const shown = partitions.slice(0, PARTITIONS_SHOWN).join(', ')
  const rest = partitions.length - PARTITIONS_SHOWN
  return `${partitions.length === 1 ? 'partition' : 'partitions'} ${shown}${rest > 0 ? ` and ${rest} more` : ''}`
}

/** @param {Happening} happening @returns when and what, in one line */
export function happeningWords({ fromMs, toMs, words, more }, withDay) {
  const lasted = toMs === undefined ? ', goes on' : toMs > fromMs ? `, for ${duration((toMs - fromMs) / 1_000)}` : ''
  return `${timeWords(fromMs, withDay)} UTC: ${words}${more === '' ? '' : ` (${more})`}${lasted}`
}
