import { type DeadLetter, provenanceOf, type Rejection } from '../core/dead-letter.ts'
import { type Dependency, dispositionOf } from '../core/errors.ts'
import type { CommittedBatch, Observer } from '../core/facts.ts'
import type { Clock, DeadLetterSink, Progress, ReadyRecord, SettlementStore, Verdict } from '../core/ports.ts'
import type { SourceRecord } from '../core/record.ts'
import { type BatchTrace, type BatchTracing, NO_BATCH_TRACE } from '../core/tracing.ts'
import type { Breaker } from './breaker.ts'
import type { CrashGuard, Passage } from './crash-guard.ts'
import { divert } from './divert.ts'
import type { Lane } from './lane.ts'
import type { Batch, OwnedPartition } from './partition.ts'
import { type RetryContext, type RetryParts, retrying } from './retry.ts'
import { checkStorm } from './storm-guard.ts'
import { type Validated, validate } from './validate.ts'
import { type Aftermath, type OutagePolicy, write } from './write.ts'

export interface BatchWorkParts<T> {
  readonly store: SettlementStore<T>
  readonly sink: DeadLetterSink
  readonly judge: (record: SourceRecord) => Verdict<T>
  readonly crashGuard: CrashGuard
  readonly storeBreaker: Breaker
  readonly dlqBreaker: Breaker
  readonly observer: Observer
  readonly tracing: BatchTracing
  readonly clock: Clock
  readonly groupId: string
  readonly retry: RetryParts
  readonly maxAttempts: number
  readonly stormLimit: number
  readonly outagePolicy: OutagePolicy
  readonly onSettled: (written: readonly ReadyRecord<T>[] | undefined, candidates: readonly ReadyRecord<T>[]) => void
  /** Progress that may be committed, and the batch that made it. */
  readonly onProgress: (progress: Progress, batch: CommittedBatch) => void
  /** Somebody else moved the partition's progress, and it is still ours. */
  readonly onOwnershipLost: (owner: OwnedPartition) => void
  /** The stream must stop. */
  readonly onFailure: (error: unknown) => void
  /** A batch has left the lane, whatever became of it. */
  readonly onDone: () => void
}

/**
 * What a lane does with a batch: validate and divert at once, so that it overlaps with the writing of the batch before; then
 * write, when it is its turn. Never throws: what goes wrong is told through the parts.
 */
export function createBatchWork<T>(
  parts: BatchWorkParts<T>,
): (batch: Batch, lane: Lane) => Promise<(() => Promise<void>) | undefined> {
  const { clock, observer, groupId } = parts

  return (taken, lane) => {
    const { owner, records, fillingSinceMs } = taken
    const where = { topic: owner.topic, partition: owner.partition }
    const trace =
      records.length === 0 ? NO_BATCH_TRACE : parts.tracing.batch({ ...where, groupId, records, fillingSinceMs })
    return trace.run(() => prepare(taken, lane, trace))
  }

  async function prepare(taken: Batch, lane: Lane, trace: BatchTrace): Promise<(() => Promise<void>) | undefined> {
    let batch = taken
    let passage: Passage | undefined
    try {
      passage = await retrying(() => parts.crashGuard.enter(taken), parts.retry, contextOf(taken, lane, 'postgres'))
      batch = passage.batch
      const started = clock.monotonic()
      const judged = passage.deaths > 0 ? condemned(batch, passage.deaths) : judge(batch)
      const storm = checkStorm(batch, judged, batch.owner.deadLettersInARow, parts.stormLimit)
      batch.owner.deadLettersInARow = storm.inARow
      // From here on, so that not one batch more is taken; in the store with the batch's own transaction.
      if (storm.storm) batch.owner.waitsForOperator = 'storm_guard'
      const validated = storm.keep < batch.records.length ? only(storm.keep, judged, batch) : judged
      batch = batch.owner.giveBack(batch, storm.keep)
      tellUnusual(batch, validated)
      const validatedAt = clock.monotonic()
      const deadLetters = await divert(validated.deadLetters, sinkOf(trace), parts.retry, contextOf(batch, lane, 'dlq'))
      const prepared = {
        validated: { ...validated, deadLetters },
        aftermath: { deadLettersInARow: storm.inARow, pauseFor: storm.storm ? ('storm_guard' as const) : undefined },
        validateSeconds: (validatedAt - started) / 1000,
        divertSeconds: (clock.monotonic() - validatedAt) / 1000,
      }
      return () =>
        trace.run(async () => {
          let settled = false
          try {
            await settle(batch, prepared, lane, trace)
            settled = true
          } catch (error) {
            giveUp(batch, trace, error)
          } finally {
            passage?.leave({ settled })
            parts.onDone()
          }
        })
    } catch (error) {
      giveUp(batch, trace, error)
      passage?.leave({ settled: false })
      parts.onDone()
      return undefined
    }
  }

  async function settle(batch: Batch, prepared: Prepared<T>, lane: Lane, trace: BatchTrace): Promise<void> {
    const { owner, to } = batch
    const { topic, partition } = owner
    const { validated, aftermath } = prepared
    const writingFrom = clock.monotonic()
    const writeParts = { ...parts, sink: sinkOf(trace) }
    const done = await write(batch, validated, writeParts, contextOf(batch, lane, 'postgres'), aftermath)
    owner.finish(batch, true, clock.now())
    parts.onSettled(done.written, validated.ready)
    // A partition that is no longer ours is never committed: the broker would take it, even backwards.
    if (!owner.abandoned.aborted) {
      const timestamps = batch.records.map(({ timestampMs }) => timestampMs).filter(timestampMs => timestampMs >= 0)
      const oldestTimestampMs = timestamps.length === 0 ? undefined : Math.min(...timestamps)
      parts.onProgress({ topic, partition, nextOffset: to }, { oldestTimestampMs, trace })
    }
    observer.observe({
      kind: 'batch_settled',
      partition: { topic, partition },
      to,
      records: batch.records.length,
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
  }

  /** What is sent to it belongs to the record that it was. */
  function sinkOf(trace: BatchTrace): DeadLetterSink {
    return {
      send: deadLetter => trace.runFor(deadLetter.record, () => parts.sink.send(deadLetter)),
      probe: () => parts.sink.probe(),
    }
  }

  function judge(batch: Batch): Validated<T> {
    return validate(batch.records, {
      judge: parts.judge,
      groupId,
      maxAttempts: parts.maxAttempts,
      now: () => clock.now(),
    })
  }

  /** Its first record has killed processes: set aside without a look at it. */
  function condemned(batch: Batch, deaths: number): Validated<T> {
    const rejection: Rejection = {
      reason: 'crash_loop',
      error: 'crash_loop',
      pointer: '',
      message: `the process ended ${deaths} times while it had only this record in hand`,
      violations: [],
    }
    const deadLetters = batch.records.map((record): DeadLetter => {
      const { origin, replayCount, replayId } = provenanceOf(record)
      return {
        record,
        origin,
        rejection,
        failedAtMs: clock.now(),
        attempts: deaths,
        replayCount,
        replayId,
        orderUid: null,
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

  function contextOf({ owner }: Batch, lane: Lane, dependency: Dependency): RetryContext {
    return {
      dependency,
      breaker: dependency === 'dlq' ? parts.dlqBreaker : parts.storeBreaker,
      partition: { topic: owner.topic, partition: owner.partition },
      signal: owner.abandoned,
      onWaiting(waiting, what) {
        const reason = what === 'dlq' ? 'dlq_away' : 'store_away'
        for (const partition of lane.partitions) partition.noteAttempt()
        if (waiting) lane.waitingFor.add(reason)
        else lane.waitingFor.delete(reason)
      },
    }
  }

  function giveUp(batch: Batch, trace: BatchTrace, error: unknown): void {
    const { owner } = batch
    trace.end({ error })
    if (dispositionOf(error) !== 'abandon') parts.onFailure(error)
    else if (!owner.abandoned.aborted) {
      const { topic, partition } = owner
      observer.observe({ kind: 'ownership_lost', partition: { topic, partition }, from: batch.from })
      parts.onOwnershipLost(owner)
    }
    owner.abandon()
    owner.finish(batch, false, clock.now())
  }
}

interface Prepared<T> {
  readonly validated: Validated<T>
  readonly aftermath: Aftermath
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
