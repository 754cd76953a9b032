import type { DeadLetter } from '../dead-letter.ts'
import { grouped } from '../grouped.ts'
import type { SourceRecord } from '../record.ts'
import { type Pause, STORM_WINDOW, type StormTally } from '../settlement.ts'

export interface StormRules {
  /** DLQ_STORM_MAX_CONSECUTIVE: so many dead letters in a row; 0: off, and with it the rule about refusals. */
  readonly maxConsecutive: number
  /** DLQ_STORM_RATIO: this share of the last {@link STORM_WINDOW} records; 0: off. */
  readonly ratio: number
}

export interface StormCheck {
  /** How many of the records may be settled before the partition must stop; all of them, usually. */
  readonly keep: number
  /** What has been counted up to there. */
  readonly tally: StormTally
  /** Why it stops there. */
  readonly pause: Pause | undefined
}

/** After this many rejections in a row, without a single accepted record, the store is taken to be at fault. */
const REFUSALS = 20

/**
 * Counts what becomes a dead letter, for whatever reason, in the order of the offsets. When so many do, it is no longer about
 * single records (a producer that uses another schema, say), and the topic would be emptied into the dead letters: better to
 * stop exactly at the limit and let an operator look. A redriven record counts for nothing: that it fails again says nothing
 * about what producers send now.
 * @param records of one batch, offsets ascending
 * @param deadLetters those of them that are known to become dead letters; the others count as settled
 */
export function checkStorm(
  records: readonly SourceRecord[],
  deadLetters: readonly DeadLetter[],
  redriven: ReadonlySet<bigint>,
  before: StormTally,
  rules: StormRules,
): StormCheck {
  const dead = new Map(deadLetters.map(letter => [letter.record.offset, letter]))
  const outcomes = [...before.recent]
  let { deadLettersInARow, refusedInARow } = before
  let dying = outcomes.filter(outcome => outcome === '1').length

  let last: DeadLetter | undefined
  for (const [index, { offset }] of records.entries()) {
    const letter = dead.get(offset)
    if (letter === undefined ? redriven.has(offset) : letter.redriveId !== undefined) continue
    if (outcomes.length >= STORM_WINDOW && outcomes.at(-STORM_WINDOW) === '1') dying -= 1
    outcomes.push(letter === undefined ? '0' : '1')
    if (letter === undefined) {
      deadLettersInARow = 0
      refusedInARow = 0
    } else {
      dying += 1
      deadLettersInARow += 1
      if (letter.rejection.reason === 'store_rejected') refusedInARow += 1
      last = letter
    }
    const because = cause()
    if (because !== undefined) return { keep: index + 1, tally: tally(), pause: { reason: 'storm_guard', because } }
  }
  return { keep: records.length, tally: tally(), pause: undefined }

  function tally(): StormTally {
    return { deadLettersInARow, refusedInARow, recent: outcomes.slice(-STORM_WINDOW).join('') }
  }

  function example(): string {
    return last === undefined ? '' : `, the last one for ${reasonOf(last)}`
  }

  function cause(): string | undefined {
    if (rules.maxConsecutive > 0 && deadLettersInARow >= rules.maxConsecutive) {
      return `${grouped(deadLettersInARow)} dead letters in a row${example()}`
    }
    if (rules.ratio > 0 && outcomes.length >= STORM_WINDOW && dying >= rules.ratio * STORM_WINDOW) {
      return `${grouped(dying)} dead letters among its last ${grouped(STORM_WINDOW)} records${example()}`
    }
    return undefined
  }
}

/**
 * Where the store has refused every record that it was asked to write, the store is suspect and not the records: then none of
 * them becomes a dead letter, and the partition waits for an operator. A few that are refused may be at fault themselves; small
 * batches are counted together, as long as no record passes.
 * @param refused dead letters of a batch of which the store took no record
 */
export function checkRefusals(
  refused: readonly DeadLetter[],
  before: StormTally,
  rules: StormRules,
): Pause | undefined {
  const counting = refused.filter(({ redriveId, rejection }) => {
    return redriveId === undefined && rejection.reason === 'store_rejected'
  })
  const inARow = before.refusedInARow + counting.length
  const last = counting.at(-1)
  if (rules.maxConsecutive === 0 || last === undefined || inARow < REFUSALS) return undefined
  const because =
    `the store refused each of the last ${grouped(inARow)} records, so that it is suspect and not they; the last one for ` +
    `${reasonOf(last)}; none of this batch was dead-lettered`
  return { reason: 'storm_guard', because }
}

/** Without the texts of validation: those name places in the record. */
function reasonOf({ rejection: { reason, error, message } }: DeadLetter): string {
  const cause = `${reason} (${error})`
  return reason === 'store_rejected' ? `${cause}: ${message}` : cause
}
