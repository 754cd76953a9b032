import type { DeadLetter, Rejection } from '../../core/dead-letter.ts'
import { type Dependency, dispositionOf, ProgressRemovedError, StoreContendedError } from '../../core/errors.ts'
import type { CommittedBatch, Observer, PauseReason } from '../../core/facts.ts'
import { type ProvenanceClaim, type ProvenanceOf, provenances } from '../../core/provenance.ts'
import type { SourceRecord } from '../../core/record.ts'
import { type BatchTrace, type BatchTracing, NO_BATCH_TRACE } from '../../core/tracing.ts'
import type { Clock, DeadLetterSink, Progress } from '../ports.ts'
import type { SettlementStore } from '../settlement.ts'
import type { ReadyRecord, Verdict } from '../verdict.ts'
import type { Breaker } from './breaker.ts'
import type { CrashGuard, Passage } from './crash-guard.ts'
import { divert } from './divert.ts'
import type { Batch, OwnedPartition, Wait } from './partition.ts'
import { type Attempts, type RetryContext, type RetryParts, retrying } from './retry.ts'
import type { Slots } from './slots.ts'
import { checkStorm, type StormRules } from './storm-guard.ts'
import { redrivenOf, type Validated, validate } from './validate.ts'
import { type OutagePolicy, type WriteParts, write } from './write.ts'

export interface BatchWorkParts<T> {
  readonly store: SettlementStore<T>
  readonly sink: DeadLetterSink
  readonly judge: (record: SourceRecord) => Verdict<T>
  readonly crashGuard: CrashGuard
  readonly storeBreaker: Breaker
  readonly dlqBreaker: Breaker
  /** Transactions side by side; one connection each. */
  readonly transactions: Slots
  readonly observer: Observer
  readonly tracing: BatchTracing
  readonly clock: Clock
  readonly groupId: string
  readonly retry: RetryParts
  readonly maxAttempts: number
  readonly stormRules: StormRules
  readonly outagePolicy: OutagePolicy
  readonly onSettled: (written: readonly ReadyRecord<T>[] | undefined, candidates: readonly ReadyRecord<T>[]) => void
  /** Progress that may be committed, and the batch that made it. */
  readonly onProgress: (progress: Progress, batch: CommittedBatch) => void
  /** The storm guard has stopped the partition before what is in hand of it. */
  readonly onStopped: (owner: OwnedPartition) => void
  /** Another consumer has moved the partition's progress, and it is still ours. */
  readonly onOwnershipLost: (owner: OwnedPartition) => void
  /** The stream must stop. */
  readonly onFailure: (error: unknown) => void
  /** A batch of the partition is through, given up, or no longer waits for another attempt. */
  readonly onChange: (owner: OwnedPartition) => void
}

/**
 * What becomes of a batch: validate and divert at once, so that it overlaps with the writing of the batch before; then
 * write, when it is its turn. Never throws: what goes wrong is told through the parts.
 */
export function createBatchWork<T>(
  parts: BatchWorkParts<T>,
): (batch: Batch, release: () => void) => Promise<(() => Promise<void>) | undefined> {
  const { clock, observer, groupId } = parts

  return (taken, release) => {
    const { owner, records, fillingSinceMs } = taken
    const where = { topic: owner.topic, partition: owner.partition }
    const trace =
      records.length === 0 ? NO_BATCH_TRACE : parts.tracing.batch({ ...where, groupId, records, fillingSinceMs })
    return trace.run(() => prepare(taken, release, trace))
  }

  async function prepare(
    taken: Batch,
    release: () => void,
    trace: BatchTrace,
  ): Promise<(() => Promise<void>) | undefined> {
    const { owner } = taken
    let batch = taken
    let passage: Passage | undefined
    try {
      const { crashGuard, retry } = parts
      const entered = await retrying(() => crashGuard.enter(taken), retry, contextOf(owner, 'postgres', release))
      passage = entered
      batch = entered.batch
      const context = (dependency: Dependency) =>
        contextOf(owner, dependency, release, work => entered.attempt('settle', work))
      const started = clock.monotonic()
      const judging = contextOf(owner, 'postgres', release, work => entered.attempt('judge', work))
      const judged = await retrying(() => judge(entered), retry, judging)
      const validated = untilStorm(batch, judged)
      batch = batch.owner.giveBack(batch, validated.ready.length + validated.deadLetters.length)
      tellUnusual(batch, validated)
      const validatedAt = clock.monotonic()
      const deadLetters = await divert(validated.deadLetters, sinkOf(trace), retry, context('dlq'))
      const prepared = {
        validated: { ...validated, deadLetters },
        validateSeconds: (validatedAt - started) / 1000,
        divertSeconds: (clock.monotonic() - validatedAt) / 1000,
      }
      return () =>
        trace.run(async () => {
          let settled = false
          try {
            settled = await settle(batch, prepared, context('postgres'), trace)
          } catch (error) {
            giveUp(batch, trace, error)
          } finally {
            await entered.leave({ settled })
            parts.onChange(owner)
          }
        })
    } catch (error) {
      giveUp(batch, trace, error)
      await passage?.leave({ settled: false })
      parts.onChange(owner)
      return undefined
    }
  }

  /** @returns whether it was settled; `false`: its partition waits for an operator, and tries it again afterwards */
  async function settle(
    batch: Batch,
    prepared: Prepared<T>,
    context: RetryContext,
    trace: BatchTrace,
  ): Promise<boolean> {
    const { owner } = batch
    const { topic, partition } = owner
    const { validated } = prepared
    const writingFrom = clock.monotonic()
    const store: WriteParts<T>['store'] = {
      settle: work => inTurn(() => parts.store.settle(work)),
      hold: (group, at, pause) => inTurn(() => parts.store.hold(group, at, pause)),
    }
    const writeParts = { ...parts, sink: sinkOf(trace), store }
    const done = await write(batch, validated, writeParts, context)
    if (done.kind === 'held') {
      trace.end({ deadLetters: [] })
      owner.finish(batch, false, clock.now())
      stopHere(owner)
      return false
    }
    const { records, to } = done.batch
    owner.storm = done.storm
    owner.finish(batch, to === batch.to, clock.now())
    parts.onSettled(done.written, validated.ready)
    // A partition that is no longer ours is never committed: the broker would take it, even backwards.
    if (!owner.abandoned.aborted) {
      const timestamps = records.map(({ timestampMs }) => timestampMs).filter(timestampMs => timestampMs >= 0)
      const oldestTimestampMs = timestamps.length === 0 ? undefined : Math.min(...timestamps)
      parts.onProgress({ topic, partition, nextOffset: to }, { oldestTimestampMs, trace })
      if (done.pause !== undefined && to === batch.to && owner.inFlightRecords === 0)
        owner.waitsForOperator = done.pause
      else if (done.pause !== undefined) stopHere(owner)
    }
    observer.observe({
      kind: 'batch_settled',
      partition: { topic, partition },
      to,
      records: records.length,
      counts: done.counts,
      closings: done.closings,
      stageSeconds: {
        validate: prepared.validateSeconds,
        divert: prepared.divertSeconds,
        write: (clock.monotonic() - writingFrom) / 1000,
      },
    })
    for (const deadLetter of done.deadLetters) {
      trace.runFor(deadLetter.record, () => observer.observe({ kind: 'dead_lettered', deadLetter }))
    }
    trace.end({ deadLetters: done.deadLetters })
    return true
  }

  /** Later batches are in hand, or the rest of this one: they are read again when the operator lets the partition go on. */
  function stopHere(owner: OwnedPartition): void {
    owner.abandon()
    parts.onStopped(owner)
  }

  /** Up to where validation alone makes the storm guard stop. It is not known yet what the store will refuse. */
  function untilStorm(batch: Batch, judged: Validated<T>): Validated<T> {
    const { owner, records } = batch
    const before = owner.inFlightRecords === records.length ? owner.storm : owner.stormAhead
    const check = checkStorm(records, judged.deadLetters, redrivenOf(judged), before, parts.stormRules)
    owner.stormAhead = check.tally
    // From here on, so that not one batch more is taken; in the store with the batch's own transaction.
    if (check.pause !== undefined) owner.waitsForOperator = check.pause
    return check.keep < records.length ? only(check.keep, judged, batch) : judged
  }

  /** What is sent to it belongs to the record that it was. */
  function sinkOf(trace: BatchTrace): DeadLetterSink {
    return {
      send: deadLetter => trace.runFor(deadLetter.record, () => parts.sink.send(deadLetter)),
      probe: () => parts.sink.probe(),
    }
  }

  async function judge({ batch, deaths }: Passage): Promise<Validated<T>> {
    const ask = (claims: readonly ProvenanceClaim[]) => parts.store.redrives(groupId, batch.owner.topic, claims)
    const provenanceOf = await provenances(batch.records, ask)
    if (deaths > 0) return condemned(batch, deaths, provenanceOf)
    return validate(batch.records, {
      judge: parts.judge,
      provenanceOf,
      groupId,
      maxAttempts: parts.maxAttempts,
      now: () => clock.now(),
    })
  }

  /** Its first record has killed processes: set aside without a look at it. */
  function condemned(batch: Batch, deaths: number, provenanceOf: ProvenanceOf): Validated<T> {
    const rejection: Rejection = {
      reason: 'crash_loop',
      error: 'crash_loop',
      pointer: '',
      message: `the process ended ${deaths} times while it had only this record in hand`,
      violations: [],
    }
    const deadLetters = batch.records.map((record): DeadLetter => {
      const { origin, redrive } = provenanceOf(record)
      return {
        record,
        origin,
        rejection,
        failedAtMs: clock.now(),
        attempts: deaths,
        replayCount: redrive?.replayCount ?? 0,
        replayId: redrive?.replayId,
        key: null,
        groupId,
      }
    })
    return { ready: [], deadLetters, unusual: [] }
  }

  function tellUnusual({ owner: { topic, partition } }: Batch, { unusual }: Validated<T>): void {
    for (const { offset, what } of unusual) {
      observer.observe({ kind: 'unusual_record', partition: { topic, partition }, offset, what })
    }
  }

  /** One of so many transactions at a time: a connection would have to be waited for otherwise, and not for ever. */
  async function inTurn<R>(work: () => Promise<R>): Promise<R> {
    const release = await parts.transactions.take()
    try {
      return await work()
    } finally {
      release()
    }
  }

  /** What waits holds up its own partition, and none of the places that other partitions need. */
  function contextOf(
    owner: OwnedPartition,
    dependency: Dependency,
    release: () => void,
    attempt: Attempts['attempt'] = work => work(),
  ): RetryContext {
    let wait: Wait | undefined
    function waits(next: Wait | undefined): void {
      if (wait !== undefined) owner.waits.delete(wait)
      wait = next
      if (next !== undefined) owner.waits.add(next)
    }
    return {
      dependency,
      breaker: dependency === 'dlq' ? parts.dlqBreaker : parts.storeBreaker,
      partition: { topic: owner.topic, partition: owner.partition },
      signal: owner.abandoned,
      attempts: {
        attempt(work) {
          if (wait !== undefined) waits({ ...wait, resting: false })
          return attempt(work)
        },
        failed(error) {
          owner.noteAttempt()
          release()
          const sinceMs = wait?.sinceMs ?? clock.monotonic()
          waits({ reason: reasonOf(dependency, error), error, sinceMs, resting: true })
        },
        ended() {
          if (wait === undefined) return
          waits(undefined)
          parts.onChange(owner)
        },
      },
    }
  }

  function giveUp(batch: Batch, trace: BatchTrace, error: unknown): void {
    const { owner } = batch
    trace.end({ error })
    if (dispositionOf(error) !== 'abandon') parts.onFailure(error)
    else if (!owner.abandoned.aborted) {
      const { topic, partition } = owner
      const kind = error instanceof ProgressRemovedError ? 'progress_removed' : 'ownership_lost'
      observer.observe({ kind, partition: { topic, partition }, from: batch.from })
      parts.onOwnershipLost(owner)
    }
    owner.abandon()
    owner.finish(batch, false, clock.now())
  }
}

function reasonOf(dependency: Dependency, error: unknown): PauseReason {
  if (dependency === 'dlq') return 'dlq_away'
  return error instanceof StoreContendedError ? 'store_contended' : 'store_away'
}

interface Prepared<T> {
  readonly validated: Validated<T>
  readonly validateSeconds: number
  readonly divertSeconds: number
}

/** The verdicts on the first records of a batch. */
function only<T>(keep: number, { ready, deadLetters, unusual }: Validated<T>, batch: Batch): Validated<T> {
  const end = batch.records[keep]?.offset ?? batch.to
  return {
    ready: ready.filter(({ record }) => record.offset < end),
    deadLetters: deadLetters.filter(({ record }) => record.offset < end),
    unusual: unusual.filter(({ offset }) => offset < end),
  }
}
