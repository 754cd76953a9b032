import type { Rejection } from '../dead-letter.ts'
import { StoreContendedError, StreamError } from '../errors.ts'
import { originId } from '../record.ts'
import type { Culprit } from '../settlement.ts'
import type { ReadyRecord } from '../verdict.ts'

/** A record that is set aside, and why. */
export interface Condemned<T> {
  readonly record: ReadyRecord<T>
  readonly rejection: Rejection
  /** How often it was blamed. */
  readonly attempts: number
}

/** Finds out, over the attempts at one batch, which of its records fail it. */
export interface Blame<T> {
  /**
   * One attempt. It bisects as well (`isolate`) once the batch has met contention again and again, or an unforeseen error: that one
   * is tried again at once, because bisection either names the record, or shows that it is not about one.
   */
  attempt<R>(settle: (isolate: boolean) => Promise<R>): Promise<R>
  /**
   * @param ready what the store was given; culprits are indexes into it
   * @returns those to be set aside now: what the store refuses, and what failed for an unforeseen reason `maxAttempts` times. None: the
   *   errors may pass
   */
  condemn(culprits: readonly Culprit[], ready: readonly ReadyRecord<T>[]): Condemned<T>[]
  /** How often the record was blamed that was blamed most. */
  readonly strikes: number
}

/** After so many timeouts or deadlocks of one batch, look for one record that causes them. */
const CONTENDED_LIMIT = 3

export function createBlame<T>(maxAttempts: number): Blame<T> {
  const strikes = new Map<string, number>()
  let isolate = false
  let contended = 0

  return {
    async attempt(settle) {
      try {
        return await settle(isolate)
      } catch (error) {
        if (error instanceof StoreContendedError) {
          contended += 1
          isolate ||= contended >= CONTENDED_LIMIT
        } else if (!(error instanceof StreamError) && !isolate) {
          isolate = true
          return await settle(isolate)
        }
        throw error
      }
    },
    condemn(culprits, ready) {
      return culprits.flatMap(culprit => {
        const record = ready[culprit.index]
        if (record === undefined)
          throw new RangeError(`the store blames record ${culprit.index}, which is not in the batch`)
        const attempts = strike(record)
        if (culprit.kind !== 'refused' && attempts < maxAttempts) return []
        return [{ record, rejection: rejectionOf(culprit), attempts }]
      })
    },
    get strikes() {
      return Math.max(...strikes.values())
    },
  }

  function strike({ record }: ReadyRecord<T>): number {
    const id = originId(record)
    const count = (strikes.get(id) ?? 0) + 1
    strikes.set(id, count)
    return count
  }
}

function rejectionOf({ kind, error, message }: Culprit): Rejection {
  return {
    reason: kind === 'refused' ? 'store_rejected' : 'unexpected_error',
    error,
    pointer: '',
    message,
    violations: [],
  }
}
