import { formatNumber } from '../format.js'
import { ATTENTION } from './states.js'
import { duration, named, plural } from './words.js'

/** A lag above this is mentioned. */
export const BEHIND_SECONDS = 60
/** The database is asked every two seconds: without an answer for longer, it is silent. */
const SILENT_SECONDS = 4
/** The broker is asked every two seconds where each partition ends, all of them in turn. */
const UNTOLD_SECONDS = 10
/** The service sends its state every two seconds: after this long, two in a row are missing. */
const UNHEARD_SECONDS = 5

/**
 * The state of the stream in sentences: every problem, the worst first, or one sentence when there is none. Unknown figures are
 * reported as unknown, and outdated ones with their age.
 * @param {any} stream as `GET /admin/stream` returns it
 * @param {number} nowMs
 * @param {number} heardSeconds how long ago that was received
 * @returns {{ level: 'good' | 'fair' | 'bad' | 'unknown', words: string[], also: string[] }} `also`: what matters beside it
 */
export function healthOf(stream, nowMs = Date.now(), heardSeconds = 0) {
  if (stream === undefined) return { level: 'unknown', words: ['Looking at the stream …'], also: [] }
  if (heardSeconds > UNHEARD_SECONDS) {
    const words = `The service has sent nothing for ${duration(heardSeconds)}: it is stopped, or the connection is down.`
    return { level: 'bad', words: [words], also: [] }
  }
  const away = awayOf(stream, nowMs)
  const decided = [...stopped(stream), ...standing(stream)]
  const paused = pausesOf(stream).map(one => ({ level: 'fair', words: pauseSentence(one, nowMs) }))
  const troubles = [...decided, ...away, ...waiting(stream), ...paused, ...unready(stream)]
  const letters = lettersOf(stream)
  if (troubles.length > 0) {
    return {
      level: troubles.some(trouble => trouble.level === 'bad') ? 'bad' : 'fair',
      words: troubles.map(({ words }) => words),
      also: [
        ...(away.length === 0 ? [] : [decided.length === 0 ? WAITS : 'Nothing is lost.']),
        ...(letters.open === 0 ? [] : [letters.words]),
      ],
    }
  }
  const runs = runningOf(stream)
  const level = runs.level === 'good' && letters.calm ? 'good' : 'fair'
  return { level, words: [`${runs.words} ${letters.words}`], also: [] }
}

/** For how long the database has answered nothing, in seconds; 0 when it does. */
export function silenceOf(stream) {
  const seconds = stream?.store_silent_seconds ?? 0
  return seconds > SILENT_SECONDS ? seconds : 0
}

/**
 * Those that are in force: that of the stream once, else each partition's own.
 * @param {any} stream as `GET /admin/stream` returns it
 * @returns {{ partition: number | undefined, pause: { by: string, because: string, since: string } }[]}
 */
export function pausesOf({ partitions = [] }) {
  const held = partitions.filter(({ operator_pause: pause }) => pause != null)
  const whole = held.find(({ operator_pause: pause }) => pause.whole_stream)
  const own = held.filter(({ operator_pause: pause }) => !pause.whole_stream)
  return [
    ...(whole === undefined ? [] : [{ partition: undefined, pause: whole.operator_pause }]),
    ...own.map(({ partition, operator_pause: pause }) => ({ partition, pause })),
  ]
}

/** A sentence for the state of the stream, as `The stream is paused by ada for 3 min: maintenance.` */
function pauseSentence({ partition, pause }, nowMs) {
  const what = partition === undefined ? 'The stream' : `Partition ${partition}`
  const reason = pause.because.replace(/[.\s]+$/, '')
  return `${what} is paused by ${pause.by} for ${duration((nowMs - Date.parse(pause.since)) / 1000)}: ${reason}.`
}

/** Conditions that only an operator can clear. */
export function needsOperator({ paused = [], halted }) {
  return halted != null || paused.includes('storm_guard') || paused.includes('halted')
}

/** The sentence for outages of dependencies: the stream waits and loses no records. */
const WAITS = 'The stream waits, and goes on by itself: nothing is lost.'

const bad = words => ({ level: 'bad', words })

function stopped({ state, error, checks = [] }) {
  if (state === 'halted')
    return [bad(`The stream is halted, and tried again by itself: ${error ?? 'its log says why'}.`)]
  if (state !== 'failed') return []
  return [bad(`The stream has stopped: ${error ?? reasonOf(checks) ?? 'its log says why'}.`)]
}

function standing({ partitions = [] }) {
  const waiting = partitions.filter(needsOperator).map(({ partition }) => partition)
  if (waiting.length === 0) return []
  const [which, stand, wait] = waiting.length === 1 ? ['Partition', 'stands', 'waits'] : ['Partitions', 'stand', 'wait']
  return [bad(`${which} ${waiting.join(', ')} ${stand} still and ${wait} for you to decide.`)]
}

/** Partitions that resume by themselves, each with what it waits for. */
function waiting({ partitions = [], breakers = [] }) {
  // The outage of Kafka is then the cause for all partitions, and `awayOf` reports it once.
  const isAway = breakers.some(({ dependency, open }) => open && dependency === 'kafka')
  return partitions.flatMap(({ partition, unreadable, contended }) => [
    ...(unreadable == null || isAway ? [] : [bad(`Partition ${partition} cannot be read: ${unreadable}.`)]),
    ...(contended == null
      ? []
      : [{ level: 'fair', words: `The batch of partition ${partition} is tried again and again: ${contended}.` }]),
  ])
}

/** Dependencies of the stream that are unavailable. */
function awayOf(stream, nowMs) {
  const open = (stream.breakers ?? []).filter(breaker => breaker.open)
  const words = open.map(({ dependency, since }) => {
    const name = named(NAMES, dependency)
    if (since == null) return `${name} is unreachable.`
    return `${name} has been unreachable for ${duration((nowMs - Date.parse(since)) / 1000)}.`
  })
  const isOpen = name => open.some(({ dependency }) => dependency === name)
  const silent = silenceOf(stream)
  if (silent > 0 && !isOpen('postgres')) words.push(`Postgres has not answered for ${duration(silent)}.`)
  if (!isOpen('kafka')) words.push(...untold(stream))
  return words.map(bad)
}

/** Partitions of this process whose high-water mark the broker has not reported for a while. */
function untold({ partitions = [] }) {
  const here = partitions.filter(one => one.here && one.unreadable == null)
  const old = here.filter(({ high_age_seconds: age = 0 }) => age > UNTOLD_SECONDS)
  if (old.length === 0) return []
  const howLong = duration(Math.max(...old.map(({ high_age_seconds: age }) => age)))
  if (old.length === here.length) return [`Kafka has not answered for ${howLong}.`]
  const which = old.map(({ partition }) => partition).join(', ')
  return [`Kafka has sent nothing of ${old.length === 1 ? 'partition' : 'partitions'} ${which} for ${howLong}.`]
}

/** Readiness checks that report a problem which the sentences above do not cover. */
function unready(stream) {
  const { state, checks = [], breakers = [] } = stream
  const said = {
    stream: state === 'failed' || state === 'halted',
    partitions: standing(stream).length + waiting(stream).length > 0,
    breakers: breakers.some(({ open }) => open),
    postgres: silenceOf(stream) > 0 || breakers.some(({ dependency, open }) => open && dependency === 'postgres'),
  }
  const failing = checks.filter(({ name, ok }) => !ok && said[name] !== true)
  return failing.length === 0 ? [] : [{ level: 'fair', words: `Not ready yet: ${reasonOf(failing)}.` }]
}

function runningOf({ state, lag_seconds: behind, lag_records: records }) {
  if (state === 'elsewhere') return { level: 'good', words: 'Other processes consume this stream.' }
  // Without an age there may be no record that has one.
  if (behind == null && records !== 0) return { level: 'fair', words: 'Running; how far behind is not known.' }
  if ((behind ?? 0) > BEHIND_SECONDS) return { level: 'fair', words: `Running, ${duration(behind)} behind.` }
  return { level: 'good', words: 'Running and up to date.' }
}

const ASKING = {
  new: count => `${plural(count, 'cause is', 'causes are')} new`,
  regressed: count => `${plural(count, 'cause', 'causes')} came back`,
  due: count => `${plural(count, 'snooze is', 'snoozes are')} over`,
}

/**
 * `open`: `undefined` when it is not known. `calm`: no cause asks for attention; old letters of causes that are known do not.
 */
function lettersOf(stream) {
  const { dead_letters: letters } = stream
  if (letters == null) return { open: undefined, calm: false, words: 'How many dead letters are open is not known.' }
  const { open, attention = {} } = letters
  const asking = ATTENTION.filter(state => attention[state] > 0).map(state => ASKING[state](attention[state]))
  const known = asking.length === 0 && open > 0 ? ' Nothing of it is new.' : ''
  const causes = asking.length === 0 ? '' : `${asking.join('; ')}. `
  return { open, calm: asking.length === 0, words: `${causes}${openWords(stream)}${known}` }
}

/** @returns one sentence */
function openWords({ dead_letters: letters, age_seconds: ages }) {
  const { open, oldest_age_seconds: oldest } = letters
  const ago = agoOf(ages?.dead_letters)
  const age = oldest == null ? '' : `, the oldest for ${duration(oldest)}`
  if (ago !== undefined) {
    const many = open === 0 ? 'No dead letter was' : plural(open, 'dead letter was', 'dead letters were', formatNumber)
    return `${many} open ${ago}.`
  }
  if (open === 0) return 'No dead letter is open.'
  return `${plural(open, 'dead letter is', 'dead letters are', formatNumber)} open${age}.`
}

/** @returns how old a figure is, as `40 s ago`; `undefined` where it is current */
export function agoOf(seconds) {
  return seconds == null || seconds <= SILENT_SECONDS ? undefined : `${duration(seconds)} ago`
}

const NAMES = { postgres: 'Postgres', kafka: 'Kafka', dlq: 'The dead-letter topic' }

function reasonOf(checks) {
  const reasons = checks.filter(({ ok }) => !ok).map(({ reason, name }) => reason ?? name)
  return reasons.length === 0 ? undefined : reasons.join('; ')
}
