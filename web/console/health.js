import { formatNumber } from '../format.js'
import { duration, plural } from './words.js'

/** Behind by more than this, the stream is worth a word. */
const BEHIND_SECONDS = 60

/**
 * The stream in one sentence: the worst that is true, what it means, and what to do where somebody has to.
 * @param {object | undefined} stream as `GET /admin/stream` tells it
 * @returns {{ level: 'good' | 'fair' | 'bad' | 'unknown', words: string }}
 */
export function healthOf(stream, nowMs = Date.now()) {
  if (stream === undefined) return { level: 'unknown', words: 'Looking at the stream …' }
  const { state, error, breakers = [], partitions = [], dead_letters: letters, checks = [] } = stream
  if (state === 'failed') {
    return { level: 'bad', words: `The stream has stopped: ${error ?? reasonOf(checks) ?? 'its log says why'}.` }
  }
  const waiting = partitions.filter(needsOperator)
  if (waiting.length > 0) {
    const which = `${waiting.length === 1 ? 'Partition' : 'Partitions'} ${waiting.map(({ partition }) => partition).join(', ')}`
    return {
      level: 'bad',
      words: `${which} stand${waiting.length === 1 ? 's' : ''} still and ${waiting.length === 1 ? 'waits' : 'wait'} for you to decide.`,
    }
  }
  const away = breakers.filter(({ open }) => open)
  if (away.length > 0) {
    const [{ since }] = away
    const howLong = since == null ? '' : ` for ${duration((nowMs - Date.parse(since)) / 1000)}`
    const names = away.map(({ dependency }) => NAMES[dependency] ?? dependency).join(' and ')
    return {
      level: 'bad',
      words: `${names} cannot be reached${howLong}. The stream waits, and goes on by itself: nothing is lost.`,
    }
  }
  const failing = checks.filter(({ ok }) => !ok)
  if (failing.length > 0) return { level: 'fair', words: `Not ready yet: ${reasonOf(failing)}.` }
  const behind = stream.lag_seconds ?? 0
  const running = behind > BEHIND_SECONDS ? `Running, ${duration(behind)} behind.` : 'Running and up to date.'
  const level = behind > BEHIND_SECONDS ? 'fair' : 'good'
  const open = letters?.open ?? 0
  if (open === 0) return { level, words: `${running} No dead letter is open.` }
  const oldest = letters.oldest_age_seconds == null ? '' : `, the oldest for ${duration(letters.oldest_age_seconds)}`
  return {
    level: 'fair',
    words: `${running} ${plural(open, 'dead letter is', 'dead letters are', formatNumber)} open${oldest}.`,
  }
}

/** What only a person can lift. */
export function needsOperator({ paused = [], halted }) {
  return halted != null || paused.includes('storm_guard') || paused.includes('halted')
}

const NAMES = { postgres: 'Postgres', kafka: 'Kafka', dlq: 'The dead-letter topic' }

function reasonOf(checks) {
  const reasons = checks.filter(({ ok }) => !ok).map(({ reason, name }) => reason ?? name)
  return reasons.length === 0 ? undefined : reasons.join('; ')
}
