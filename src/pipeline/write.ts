import { backoffMs } from '../core/backoff.ts'
import { type Collapsed, collapse } from '../core/collapse.ts'
import type { DeadLetter, Rejection } from '../core/dead-letter.ts'
import { dispositionOf, StoreContendedError, StreamError } from '../core/errors.ts'
import type { OutcomeCounts } from '../core/outcome.ts'
import type {
  Culprit,
  DeadLetterSink,
  OperatorPause,
  ReadyRecord,
  RedriveClosings,
  Settlement,
  SettlementStore,
} from '../core/ports.ts'
import { originId } from '../core/record.ts'
import type { Breaker } from './breaker.ts'
import { divert } from './divert.ts'
import type { Batch } from './partition.ts'
import { type RetryContext, type RetryParts, retrying } from './retry.ts'
import type { Validated } from './validate.ts'

export interface WriteParts<T> {
  readonly store: Pick<SettlementStore<T>, 'settle'>
  readonly sink: DeadLetterSink
  readonly dlqBreaker: Breaker
  readonly groupId: string
  /** Bounds failures that blame one record. */
  readonly maxAttempts: number
  readonly retry: RetryParts
  /** What is done about a batch that the store does not take for so long: wait, or set its records aside. */
  readonly outagePolicy: OutagePolicy
}

export type OutagePolicy = 'pause' | 'dead-letter'

/** What the batch leaves behind on its partition. */
export interface Aftermath {
  readonly deadLettersInARow: number
  readonly pauseFor: OperatorPause | undefined
}

export interface Written<T> {
  readonly counts: OutcomeCounts
  /** The orders that this batch wrote; `undefined` when an earlier attempt had, whose reply was lost. */
  readonly written: readonly ReadyRecord<T>[] | undefined
  /** Every dead letter of the batch: the invalid ones, and those that the store refused. */
  readonly deadLetters: readonly DeadLetter[]
  /** As in `Settlement`. */
  readonly closings: RedriveClosings | undefined
}

/** After so many timeouts or deadlocks of one batch, look for one record that causes them. */
const CONTENDED_LIMIT = 3

/**
 * Settles a batch in one transaction. Records that the store refuses are found by bisection, diverted, and left out of
 * the transaction that writes the others: it never holds a transaction open while it waits for Kafka, and a record that
 * a refused one had superseded gets its turn.
 * @throws OwnershipLostError (drop the batch), or an error that stops the stream; an outage only makes it wait
 */
export async function write<T>(
  batch: Batch,
  validated: Validated<T>,
  parts: WriteParts<T>,
  context: RetryContext,
  aftermath: Aftermath,
): Promise<Written<T>> {
  let candidates = validated.ready
  let deadLetters = validated.deadLetters
  let isolate = false
  let contended = 0
  const strikes = new Map<string, number>()

  // With the policy `dead-letter` an outage ends a batch after so many attempts; its dead letters then wait for the store
  // like anything else, because without their entry in the ledger nothing is proven.
  let patience = parts.outagePolicy === 'dead-letter' ? parts.maxAttempts : Number.POSITIVE_INFINITY

  for (;;) {
    const collapsed = collapse(candidates)
    const settlement = await settleHoweverLong(collapsed).catch((error: unknown) => {
      if (patience === Number.POSITIVE_INFINITY || dispositionOf(error) !== 'retry') throw error
      return undefined
    })
    if (settlement === undefined) {
      const exhausted = candidates.map(order => setAside(order, exhaustedRetries(patience), patience))
      patience = Number.POSITIVE_INFINITY
      await divertMore(exhausted)
      candidates = []
      continue
    }
    if (settlement.kind === 'settled') {
      const { counts, written, closings } = settlement
      return { counts, written, deadLetters, closings }
    }

    const condemned = settlement.culprits.flatMap(culprit => {
      const order = collapsed.orders[culprit.index]
      if (order === undefined)
        throw new RangeError(`the store blames order ${culprit.index}, which is not in the batch`)
      const attempts = strike(order)
      return culprit.kind === 'refused' || attempts >= parts.maxAttempts ? [{ order, culprit, attempts }] : []
    })
    if (condemned.length === 0) {
      // Nobody foresaw the error, so it may pass; these are the retries that RETRY_MAX_ATTEMPTS bounds.
      const attempt = Math.max(...strikes.values())
      await parts.retry.clock.sleep(backoffMs(parts.retry.policy, attempt, parts.retry.random()), context.signal)
      continue
    }
    await divertMore(condemned.map(({ order, culprit, attempts }) => setAside(order, rejectionOf(culprit), attempts)))
    const gone = new Set(condemned.map(({ order }) => order))
    candidates = candidates.filter(candidate => !gone.has(candidate))
  }

  function settleHoweverLong(collapsed: Collapsed<T>): Promise<Settlement<T>> {
    return retrying(
      async () => {
        try {
          return await settle(collapsed)
        } catch (error) {
          if (error instanceof StoreContendedError) {
            contended += 1
            isolate ||= contended >= CONTENDED_LIMIT
          } else if (!(error instanceof StreamError) && !isolate) {
            // Unforeseen. Once more with bisection: it either names the record, or is not about one.
            isolate = true
            return await settle(collapsed)
          }
          throw error
        }
      },
      parts.retry,
      { ...context, maxAttempts: patience },
    )
  }

  function settle(collapsed: Collapsed<T>): Promise<Settlement<T>> {
    const { deadLettersInARow, pauseFor } = aftermath
    return parts.store.settle({
      topic: batch.owner.topic,
      partition: batch.owner.partition,
      groupId: parts.groupId,
      from: batch.from,
      to: batch.to,
      records: batch.records.length,
      orders: collapsed.orders,
      collapsed,
      deadLetters,
      isolate,
      deadLettersInARow,
      ...(pauseFor === undefined ? {} : { pauseFor }),
      ...(batch.from < batch.owner.readAgainTo ? { readAgain: true } : {}),
    })
  }

  async function divertMore(added: readonly DeadLetter[]): Promise<void> {
    const toDlq: RetryContext = { ...context, dependency: 'dlq', breaker: parts.dlqBreaker }
    deadLetters = [...deadLetters, ...(await divert(added, parts.sink, parts.retry, toDlq))]
  }

  function strike(order: ReadyRecord<T>): number {
    const id = originId(order.record)
    const count = (strikes.get(id) ?? 0) + 1
    strikes.set(id, count)
    return count
  }

  function setAside(order: ReadyRecord<T>, rejection: Rejection, attempts: number): DeadLetter {
    return {
      record: order.record,
      origin: order.origin,
      rejection,
      failedAtMs: parts.retry.clock.now(),
      attempts,
      replayCount: order.redrive?.replayCount ?? 0,
      replayId: order.redrive?.replayId,
      orderUid: order.uid,
      groupId: parts.groupId,
    }
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

function exhaustedRetries(attempts: number): Rejection {
  return {
    reason: 'retries_exhausted',
    error: 'store_unavailable',
    pointer: '',
    message: `the store did not take this record's batch in ${attempts} attempts (OUTAGE_POLICY=dead-letter)`,
    violations: [],
  }
}
