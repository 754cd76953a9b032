import type { BatchLimits } from '../../core/batch.ts'
import { dispositionOf, ProgressRemovedError } from '../../core/errors.ts'
import type { Observer } from '../../core/facts.ts'
import { type BatchTrace, type BatchTracing, NO_BATCH_TRACE } from '../../core/tracing.ts'
import type { Clock } from '../ports.ts'
import type { ReadyRecord } from '../verdict.ts'
import type { Breaker } from './breaker.ts'
import type { Committer } from './commit.ts'
import { UNGUARDED } from './crash-guard.ts'
import type { Batch, OwnedPartition } from './partition.ts'
import { createSignal, type Signal } from './signal.ts'
import type { Slots } from './slots.ts'
import type { Steps } from './steps.ts'
import { checkStorm, type StormRules } from './storm-guard.ts'
import { below, redrivenOf, type Validated } from './validate.ts'
import { waitingOf } from './waiting.ts'
import type { Settled } from './write.ts'

export interface RunParts<T> {
  readonly steps: Steps<T>
  readonly committer: Pick<Committer, 'offer'>
  /** After a batch is settled: what it wrote, or `undefined` with the records of which it may have written any. */
  readonly onSettled: (written: readonly ReadyRecord<T>[] | undefined, candidates: readonly ReadyRecord<T>[]) => void
  readonly limits: BatchLimits
  readonly stormRules: StormRules
  /** Bounds the batches in hand over all partitions; a batch that waits between two attempts does not count. */
  readonly inHand: Slots
  readonly breakers: { readonly postgres: Breaker; readonly dlq: Breaker }
  /** Notified when a batch has ended: buffers may have become smaller. */
  readonly progressed: Signal
  readonly groupId: string
  readonly observer: Observer
  readonly tracing: BatchTracing
  readonly clock: Clock
}

/** Why the run of a partition ended. */
export type RunEnd =
  /** The partition was taken away, or the stream stops. */
  | { readonly kind: 'over' }
  /** The partition is still ours, and has to begin again where its progress is: the storm guard stopped it, or its progress was moved. */
  | { readonly kind: 'anew' }
  /** The stream cannot go on. */
  | { readonly kind: 'failed'; readonly error: unknown }

/** A partition at work, for one assignment. */
export interface PartitionRun {
  /** Records came in, or a pause was lifted. */
  wake(): void
  /** Takes no further batch. */
  stop(): void
  /** The first reason to end; known as soon as there is one, while batches may still be in hand. Never rejects. */
  readonly ended: Promise<RunEnd>
  /** Resolves when it was stopped and nothing is in hand any more. Never rejects. */
  readonly left: Promise<void>
}

/**
 * Takes the batches of one partition in order through the write path: while one is in the store, the next one is validated and its dead
 * letters are sent. Partitions run side by side and wait for themselves only: one whose batch waits for a lock, or for its partition of
 * the dead-letter topic, keeps no other from working.
 */
export function startRun<T>(owner: OwnedPartition, parts: RunParts<T>): PartitionRun {
  const { steps, committer, limits, stormRules, inHand, clock, observer, groupId } = parts
  const place = { topic: owner.topic, partition: owner.partition }
  const changed = createSignal()
  const ended = Promise.withResolvers<RunEnd>()
  const places = new Set<() => void>()
  let stopping = false

  /**
   * The write path. Each step returns a value or throws; what is settled is committed last, so that a crash anywhere above repeats work
   * and loses none.
   * @param before resolves when the batch before has ended, written or not
   * @param writes is called when this one's turn to be written has come
   */
  async function settle(taken: Batch, before: Promise<void>, writes: () => void): Promise<void> {
    const trace = traceOf(taken)
    const escort = { trace, contextOf: waitingOf(owner, { ...parts, release: releasePlaces, onEnd: notify }) }
    const lap = stopwatch(clock)
    let batch = taken
    let passage = UNGUARDED
    let isSettled = false
    await trace.run(async () => {
      try {
        passage = await steps.enter(batch, escort)
        batch = owner.giveBack(batch, passage.keep)
        lap()
        const verdicts = await steps.validate(batch, passage, escort)
        batch = stopAtStorm(batch, verdicts)
        const { ready, rejected, unusual } = below(batch.to, verdicts)
        for (const { offset, what } of unusual)
          observer.observe({ kind: 'unusual_record', partition: place, offset, what })
        const validate = lap()
        const letters = await steps.divert(rejected, passage, escort)
        const divert = lap()
        await before
        writes()
        lap()
        const done = await steps.write(batch, { ready, letters }, passage, escort)
        isSettled = done.kind === 'settled'
        if (done.kind === 'settled') conclude(batch, ready, done, trace, { validate, divert, write: lap() })
        else hold(batch, trace)
      } catch (error) {
        giveUp(batch, trace, error)
      } finally {
        await passage.leave({ settled: isSettled })
        notify()
      }
    })
  }

  /** Cuts the batch where validation alone makes the storm guard stop. It is not known yet what the store will refuse. */
  function stopAtStorm(batch: Batch, { ready, rejected }: Validated<T>): Batch {
    const isAlone = owner.inFlightRecords === batch.records.length
    const counted = isAlone ? owner.storm : owner.stormAhead
    const check = checkStorm(batch.records, rejected, redrivenOf(ready), counted, stormRules)
    owner.stormAhead = check.tally
    // From here on, so that not one batch more is taken; in the store with the batch's own transaction.
    if (check.pause !== undefined) owner.waitsForOperator = check.pause
    return owner.giveBack(batch, check.keep)
  }

  /** The batch is settled, or its first records are where the storm guard stops the partition behind them. */
  function conclude(
    batch: Batch,
    ready: readonly ReadyRecord<T>[],
    done: Settled<T>,
    trace: BatchTrace,
    stageSeconds: { readonly validate: number; readonly divert: number; readonly write: number },
  ): void {
    const { records, to } = done.batch
    const isWhole = to === batch.to
    owner.storm = done.storm
    owner.finish(batch, isWhole, clock.now())
    parts.onSettled(done.written, ready)
    // A partition that is no longer ours is never committed: the broker would take it, even backwards.
    if (!owner.abandoned.aborted) {
      committer.offer({ ...place, nextOffset: to }, { oldestTimestampMs: oldestTimestampOf(records), trace })
      if (done.pause !== undefined && isWhole && owner.inFlightRecords === 0) owner.waitsForOperator = done.pause
      else if (done.pause !== undefined) beginAnew()
    }
    const { counts, closings } = done
    observer.observe({
      kind: 'batch_settled',
      partition: place,
      to,
      records: records.length,
      counts,
      closings,
      stageSeconds,
    })
    for (const deadLetter of done.letters) {
      trace.runFor(deadLetter.record, () => observer.observe({ kind: 'dead_lettered', deadLetter }))
    }
    trace.end({ deadLetters: done.letters })
  }

  /** Nothing of the batch was written: an operator has to look first, and it is tried again afterwards. */
  function hold(batch: Batch, trace: BatchTrace): void {
    trace.end({ deadLetters: [] })
    owner.finish(batch, false, clock.now())
    beginAnew()
  }

  function giveUp(batch: Batch, trace: BatchTrace, error: unknown): void {
    trace.end({ error })
    if (dispositionOf(error) !== 'abandon') ended.resolve({ kind: 'failed', error })
    else if (!owner.abandoned.aborted) {
      const kind = error instanceof ProgressRemovedError ? 'progress_removed' : 'ownership_lost'
      observer.observe({ kind, partition: place, from: batch.from })
      ended.resolve({ kind: 'anew' })
    }
    owner.abandon()
    owner.finish(batch, false, clock.now())
  }

  /** What is in hand beyond is given up, and read again: by the next assignment of the partition, which is made at once. */
  function beginAnew(): void {
    owner.abandon()
    ended.resolve({ kind: 'anew' })
  }

  function traceOf({ records, fillingSinceMs }: Batch): BatchTrace {
    return records.length === 0 ? NO_BATCH_TRACE : parts.tracing.batch({ ...place, groupId, records, fillingSinceMs })
  }

  function notify(): void {
    changed.notify()
    parts.progressed.notify()
  }

  async function takeBatches(): Promise<void> {
    let before: Promise<void> = Promise.resolve()
    while (!stopping) {
      if (!owner.isDue(limits, clock.monotonic())) {
        await untilDue()
        continue
      }
      // The batch is taken when its place is free, and not before: meanwhile it grows.
      const release = await takePlace()
      const batch = stopping ? undefined : owner.take(limits, clock.monotonic())
      if (batch === undefined) {
        release()
        continue
      }
      const earlier = before
      const writes = Promise.withResolvers<void>()
      before = settle(batch, earlier, writes.resolve)
        // One that is given up before its turn does not end before the one ahead of it.
        .then(() => earlier)
        .then(release)
      await Promise.race([writes.promise, before])
    }
    await before
  }

  async function takePlace(): Promise<() => void> {
    const free = await inHand.take()
    places.add(free)
    return () => {
      places.delete(free)
      free()
    }
  }

  /** A batch that is tried again holds up the one behind it: other partitions may have both places. */
  function releasePlaces(): void {
    for (const free of places) free()
    places.clear()
  }

  async function untilDue(): Promise<void> {
    const dueAt = owner.dueAt(limits)
    if (dueAt === undefined) return await changed.wait()
    const early = new AbortController()
    await Promise.race([changed.wait(), clock.sleep(Math.max(1, dueAt - clock.monotonic()), early.signal)])
    early.abort()
  }

  const left = takeBatches()
  void left.then(() => ended.resolve({ kind: 'over' }))

  return {
    wake: () => changed.notify(),
    stop() {
      stopping = true
      changed.notify()
    },
    ended: ended.promise,
    left,
  }
}

/** @returns says how many seconds have gone by since it was asked last */
function stopwatch(clock: Pick<Clock, 'monotonic'>): () => number {
  let since = clock.monotonic()
  return () => {
    const now = clock.monotonic()
    const seconds = (now - since) / 1000
    since = now
    return seconds
  }
}

/** `undefined` when no record has a timestamp. */
function oldestTimestampOf(records: Batch['records']): number | undefined {
  const timestamps = records.map(({ timestampMs }) => timestampMs).filter(timestampMs => timestampMs >= 0)
  return timestamps.length === 0 ? undefined : Math.min(...timestamps)
}
