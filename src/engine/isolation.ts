import { bisect, type Range } from './bisection.ts'
import { RecordRefusedError, StoreContendedError, StoreRejectedError, StreamError } from './errors.ts'
import type { Culprit } from './settlement.ts'

/** The search for the records that make a batch fail. The store tries the parts; this module chooses them and evaluates the outcome. */
export interface Isolation {
  /** The part to try next, lower ones first; `undefined` when nothing is left to try. */
  next(): Range | undefined
  /**
   * The part failed. It is halved, or pinned on its only record.
   * @throws that error, when it does not blame a record at all, or blames too many
   */
  failed(part: Range, error: unknown): void
  /**
   * The records to blame, by index; none when every part passed after all.
   * @throws the batch's error, when it is unforeseen and every record of several is to blame: then none is
   */
  culprits(): readonly Culprit[]
  /** Writes so far, the first one of the whole batch included. */
  readonly attempts: number
}

/** A lock that was not to be had in time (55P03) is held by another session: no record causes that, however often it happens. */
const LOCK_NOT_AVAILABLE = '55P03'

/** After so many refusals without one record that passed, parts are no longer halved: most likely nothing passes. */
const HOPELESS_AFTER = 20

/**
 * A refusal always blames a record, and so may what the store rejects without naming the cause; timeouts, deadlocks
 * and unforeseen errors blame one only once the batch has met them again and again (`isolate`).
 */
export function mayBlame(error: unknown, isolate: boolean): boolean {
  if (error instanceof RecordRefusedError || error instanceof StoreRejectedError) return true
  if (error instanceof StoreContendedError) return isolate && error.sqlState !== LOCK_NOT_AVAILABLE
  return isolate && !(error instanceof StreamError)
}

/**
 * @param size records in the batch that failed as a whole, at least one
 * @param cause what it failed with; one that {@link mayBlame}
 * @param retryWhole whether the batch is to be tried once more as a whole, because it failed behind its records' writes
 */
export function createIsolation(size: number, cause: unknown, isolate: boolean, retryWhole = false): Isolation {
  const untried: Range[] = []
  const found: Culprit[] = []
  const contendedAlone = new Set<number>()
  // As many failures as it takes to find two culprits. Contention that more records share is the store's, not theirs;
  // and each attempt may cost a whole statement timeout.
  const contendedLimit = 2 * (Math.ceil(Math.log2(size)) + 1)
  let contended = 0
  let attempts = 1
  let trying: Range | undefined
  let passed = false
  const whole = { start: 0, end: size }
  if (retryWhole) untried.push(whole)
  else failed(whole, cause)
  return {
    next() {
      // The part before this one did not fail.
      if (trying !== undefined) passed = true
      trying = untried.pop()
      if (trying === undefined) return undefined
      attempts += 1
      if (!passed && found.length >= HOPELESS_AFTER && trying.end - trying.start > 1) {
        // Halves that fail as well only double the attempts.
        untried.push({ start: trying.start + 1, end: trying.end })
        trying = { start: trying.start, end: trying.start + 1 }
      }
      return trying
    },
    failed,
    culprits() {
      // Contention blames a record only where its neighbours got through: a store that is slow for one record alone in
      // its batch may be slow for any.
      if (found.length === size && contendedAlone.size === size) throw cause
      const all = found.length > 1 && found.length === size
      if (all && found.every(culprit => culprit.kind === 'unforeseen')) throw cause
      return found
    },
    get attempts() {
      return attempts
    },
  }

  function failed(part: Range, error: unknown): void {
    trying = undefined
    if (!mayBlame(error, isolate)) throw error
    if (error instanceof StoreContendedError && ++contended > contendedLimit) throw error
    const next = bisect(part)
    if (next.kind === 'culprit') {
      found.push(toCulprit(next.index, error))
      if (error instanceof StoreContendedError) contendedAlone.add(next.index)
    } else untried.push(next.upper, next.lower)
  }
}

function toCulprit(index: number, error: unknown): Culprit {
  if (error instanceof RecordRefusedError || error instanceof StoreRejectedError) {
    return { index, error: error.sqlState, message: error.message, kind: 'refused' }
  }
  if (error instanceof StoreContendedError) {
    return { index, error: error.sqlState, message: error.message, kind: 'unforeseen' }
  }
  // The text of an unforeseen error may quote the record, so only its name is given.
  const name = error instanceof Error ? error.name : typeof error
  return { index, error: name, message: `${name} while it was written`, kind: 'unforeseen' }
}
