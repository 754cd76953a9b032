import { backoffMs } from '../core/backoff.ts'
import { collapse } from '../core/collapse.ts'
import { type DeadLetter, provenanceOf, type Rejection } from '../core/dead-letter.ts'
import { StoreContendedError, StreamError } from '../core/errors.ts'
import type { OutcomeCounts } from '../core/outcome.ts'
import type { Culprit, DeadLetterSink, ReadyRecord, Settlement, SettlementStore } from '../core/ports.ts'
import { originId } from '../core/record.ts'
import type { Breaker } from './breaker.ts'
import { divert } from './divert.ts'
import type { Batch } from './partition.ts'
import { type RetryContext, type RetryParts, retrying } from './retry.ts'
import type { Validated } from './validate.ts'

export interface WriteParts<T> {
  readonly store: SettlementStore<T>
  readonly sink: DeadLetterSink
  readonly dlqBreaker: Breaker
  readonly groupId: string
  /** Bounds failures that blame one record. */
  readonly maxAttempts: number
  readonly retry: RetryParts
}

export interface Written<T> {
  readonly counts: OutcomeCounts
  /** The orders that this batch wrote; `undefined` when an earlier attempt had, whose reply was lost. */
  readonly written: readonly ReadyRecord<T>[] | undefined
  /** Every dead letter of the batch: the invalid ones, and those that the store refused. */
  readonly deadLetters: readonly DeadLetter[]
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
): Promise<Written<T>> {
  let candidates = validated.ready
  let deadLetters = validated.deadLetters
  let isolate = false
  let contended = 0
  const strikes = new Map<string, number>()

  for (;;) {
    const collapsed = collapse(candidates)
    const settlement: Settlement<T> = await retrying(
      async () => {
        try {
          return await settle()
        } catch (error) {
          if (error instanceof StoreContendedError) {
            contended += 1
            isolate ||= contended >= CONTENDED_LIMIT
          } else if (!(error instanceof StreamError) && !isolate) {
            // Unforeseen. Once more with bisection: it either names the record, or is not about one.
            isolate = true
            return await settle()
          }
          throw error
        }
      },
      parts.retry,
      context,
    )
    if (settlement.kind === 'settled') {
      return { counts: settlement.counts, written: settlement.written, deadLetters }
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
    const added = condemned.map(({ order, culprit, attempts }) => toDeadLetter(order, culprit, attempts))
    await divert(added, parts.sink, parts.retry, { ...context, dependency: 'dlq', breaker: parts.dlqBreaker })
    const gone = new Set(condemned.map(({ order }) => order))
    candidates = candidates.filter(candidate => !gone.has(candidate))
    deadLetters = [...deadLetters, ...added]

    function settle() {
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
      })
    }
  }

  function strike(order: ReadyRecord<T>): number {
    const id = originId(order.record)
    const count = (strikes.get(id) ?? 0) + 1
    strikes.set(id, count)
    return count
  }

  function toDeadLetter(order: ReadyRecord<T>, culprit: Culprit, attempts: number): DeadLetter {
    const rejection: Rejection = {
      reason: culprit.kind === 'refused' ? 'store_rejected' : 'unexpected_error',
      error: culprit.error,
      pointer: '',
      message: culprit.message,
      violations: [],
    }
    return {
      record: order.record,
      origin: order.origin,
      rejection,
      failedAtMs: parts.retry.clock.now(),
      attempts,
      replayCount: provenanceOf(order.record).replayCount,
      orderUid: order.uid,
      groupId: parts.groupId,
    }
  }
}
