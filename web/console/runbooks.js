import { h } from '../tree.js'
import { BEHIND_SECONDS, silenceOf } from './health.js'

/** What to do about a trouble: the runbooks, which the service has as pages, and the dashboard, where GRAFANA_URL names it. */

const DAY_SECONDS = 86_400

/** Runbook of each stop of the time line, by its name; what is not listed has none. */
const OF_STOPS = {
  storm_guard: 'HoldfastStormGuard',
  halted: 'HoldfastPartitionHalted',
  store_away: 'HoldfastBreakerOpen',
  dlq_away: 'HoldfastBreakerOpen',
  store_contended: 'HoldfastNoProgress',
  position_unknown: 'HoldfastNoProgress',
  operator: 'HoldfastNoProgress',
}

/** @param {{ kind: string, name: string }} stop */
export function runbookOfStop({ kind, name }) {
  if (kind === 'breaker') return 'HoldfastBreakerOpen'
  if (kind === 'stream') return 'HoldfastStreamHalted'
  return Object.hasOwn(OF_STOPS, name) ? OF_STOPS[name] : undefined
}

/**
 * @param {any} stream as `GET /admin/stream` returns it
 * @returns {string[]} runbooks of what is wrong with it now, the worst first
 */
export function runbooksOf(stream) {
  const { state, breakers = [], partitions = [], checks = [], lag_seconds: lag, dead_letters: letters } = stream
  const some = is => partitions.some(is)
  const found = [
    [state === 'halted' || state === 'failed', 'HoldfastStreamHalted'],
    [some(({ halted }) => halted != null), 'HoldfastPartitionHalted'],
    [some(({ paused = [] }) => paused.includes('storm_guard')), 'HoldfastStormGuard'],
    [breakers.some(({ open }) => open) || silenceOf(stream) > 0, 'HoldfastBreakerOpen'],
    [some(makesNoProgress), 'HoldfastNoProgress'],
    [(lag ?? 0) > BEHIND_SECONDS, 'HoldfastLagHigh'],
  ].flatMap(([isSo, name]) => (isSo ? [name] : []))
  if (found.length === 0 && checks.some(({ ok }) => !ok)) found.push('HoldfastNotReady')
  // Old letters of causes that are known are no trouble.
  if (Object.keys(letters?.attention ?? {}).length === 0) return found
  const isOld = (letters.oldest_age_seconds ?? 0) > DAY_SECONDS
  return [...found, isOld ? 'HoldfastDeadLettersUntouched' : 'HoldfastDeadLettersArriving']
}

/** Every partition that has work at hand stands still for a moment between two batches. */
function makesNoProgress({ unreadable, contended, stalled_seconds: seconds = 0 }) {
  return (unreadable ?? contended) != null || seconds > BEHIND_SECONDS
}

/** @param {string} name as `HoldfastLagHigh` */
export function runbookLink(name, words = wordsOf(name)) {
  return h('a', { href: `/admin/runbooks/${name}` }, words)
}

/** `Lag high`. */
function wordsOf(name) {
  const words = name.replace(/^Holdfast/, '').replace(/(?<=[a-z])[A-Z]/g, letter => ` ${letter.toLowerCase()}`)
  return words
}

/** @type {string | undefined} */
let dashboard

/** @param {string | undefined} url of the stream's dashboard; undefined: there is none */
export function useDashboard(url) {
  dashboard = url
}

/**
 * @param {{ fromMs: number, toMs: number }} [span] default: what the dashboard shows by itself
 * @returns a link, or nothing where no Grafana is known
 */
export function dashboardLink(span) {
  if (dashboard === undefined) return undefined
  const times = span === undefined ? '' : `&from=${Math.round(span.fromMs)}&to=${Math.round(span.toMs)}`
  return h('a', { href: dashboard + times, rel: 'noreferrer' }, 'Grafana')
}
