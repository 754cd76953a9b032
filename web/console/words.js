import { formatNumber } from '../format.js'
import { FINAL, REDRIVE_STATES, UNDER_WAY } from './states.js'

export { CAUSE_STATES, LEFT_OUT, REDRIVE_STATES, STATES } from './states.js'

/** The console's wording in one module, so that a thing has the same name in every view. */

/** @param {number} seconds @returns `45 s`, `3 min`, `2 h 5 min`, `4 d 3 h` */
export function duration(seconds) {
  const s = Math.max(0, seconds)
  if (s < 1) return s < 0.05 ? '0 s' : `${s.toFixed(1)} s`
  if (s < 59.5) return `${Math.round(s)} s`
  if (s < 3_570) return `${Math.round(s / 60)} min`
  if (s < 86_400) return pair(Math.round(s / 60), 60, 'h', 'min')
  return pair(Math.round(s / 3_600), 24, 'd', 'h')
}

function pair(small, many, big, unit) {
  const rest = small % many
  return rest === 0 ? `${small / many} ${big}` : `${(small - rest) / many} ${big} ${rest} ${unit}`
}

/** @param {number} count @param {string} one as in `dead letter is` */
export function plural(count, one, many, format = formatNumber) {
  return `${format(count)} ${count === 1 ? one : many}`
}

export const letters = count => plural(count, 'dead letter', 'dead letters')

/** Explains each reason to a first-time reader. */
export const REASONS = {
  empty_value: 'The record had no value.',
  too_large: 'The record is larger than what is taken.',
  malformed_json: 'The value is not valid JSON or UTF-8.',
  schema_violation: 'The value breaks a rule of the schema.',
  store_rejected: 'The database refused it.',
  retries_exhausted: 'It was tried as often as allowed.',
  crash_loop: 'It ended the process again and again.',
  unexpected_error: 'An unforeseen error.',
}

/** A redrive in this state is under way; the stream has no second one. */
export const isActive = state => UNDER_WAY.includes(state)
export const isFinal = state => FINAL.includes(state)

/** `20 of 176 settled`: into the store; to the topic a record is published, and settled later. */
export function doneWords({ to, published, total }) {
  return `${formatNumber(published)} of ${formatNumber(total)} ${to === 'topic' ? 'published' : 'settled'}`
}

/** A redrive's state in words: those of one that is done say how many were resolved. */
export function redriveWords({
  state,
  verdict,
  total,
  published,
  resolved,
  failed_again,
  parked,
  paused_because,
  waiting_for,
}) {
  const failed = failed_again + parked
  const of = count => `${formatNumber(count)} of ${formatNumber(total)}`
  if (state === 'done' && verdict === null)
    return `published, ${formatNumber(published - resolved - failed)} not settled yet`
  if (state === 'done' && verdict === 'partly') return `done, ${of(resolved)} resolved`
  if (state === 'done' && verdict === 'none')
    return failed === 0 ? 'done, none resolved' : `done, ${of(failed)} failed again`
  if (state === 'paused' && paused_because !== null) return 'paused itself'
  if (state === 'running' && waiting_for !== null) return 'running, waits'
  return named(REDRIVE_STATES, state)
}

export const PAUSES = {
  store_away: 'waits for Postgres',
  store_contended: 'waits for a lock in Postgres',
  dlq_away: 'waits for the dead-letter topic',
  backpressure: 'slowed down: the writer cannot keep up',
  halted: 'halted',
  position_unknown: 'where it goes on is not known yet: Kafka or Postgres does not answer',
  storm_guard: 'stopped by the storm guard',
  operator: 'paused by an operator',
}

/** @param {{ paused_because?: string }} partition one that the storm guard has stopped */
export const causeOf = ({ paused_because: because }) => because || 'too many dead letters in a row'

export const EVENTS = {
  sent: 'sent',
  failed: 'failed',
  failed_again: 'failed again',
  replayed: 'redriven',
  edited: 'edited',
  resolved: 'resolved',
  parked: 'parked',
  discarded: 'discarded',
  restored: 'reopened',
  revealed: 'looked at in full',
}

/** The text that the server stores when no reason was given. */
const NOT_SAID = 'not said'

/** @returns the reason that was given, or nothing */
export const reasonGiven = because => (because === NOT_SAID || because === '' ? undefined : because)

/** An action of the audit log, whose stored names are older than the word *redrive*. */
export const actionWords = what => what.replaceAll('_', ' ').replace(/\breplay\b/, 'redrive')

export const RESULTS = {
  resolved: 'Resolved',
  failed_again: 'Failed again',
  parked: 'Parked',
  skipped: 'Skipped',
  under_way: 'In flight',
  pending: 'Not redriven yet',
  released: 'Released',
}

/** A closed set of names from the server may grow: a name that is not listed here is shown unchanged. */
export function named(words, name) {
  return Object.hasOwn(words, name) ? words[name] : String(name).replaceAll('_', ' ')
}
