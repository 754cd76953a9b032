import type { BatchLimits } from '../batch.ts'
import { dispositionOf, OwnershipLostError } from '../errors.ts'
import type { Observer } from '../facts.ts'
import type { Clock } from '../ports.ts'
import { type BatchTrace, type BatchTracing, NO_BATCH_TRACE } from '../tracing.ts'
import type { ReadyRecord } from '../verdict.ts'
import type { Breaker } from './breaker.ts'
import type { Committer } from './commit.ts'
import { type Passage, UNGUARDED } from './crash-guard.ts'
import type { Batch, OwnedPartition } from './partition.ts'
import { createSignal, type Signal } from './signal.ts'
import type { Slots } from './slots.ts'
import type { Escort, Steps } from './steps.ts'
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
  /** Notified when a batch was taken, or has ended: there may be room in the buffers. */
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
  | { readonly kind: 'reposition' }
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

type Stage = 'validate' | 'divert' | 'write'

/** A batch on its way: guards may cut it down to its first records. */
interface InHand extends Escort {
  batch: Batch
  passage: Passage
  isSettled: boolean
  readonly seconds: Record<Stage, number>
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
  async function settle(hand: InHand, before: Promise<void>, writes: () => void): Promise<void> {
    await enter(hand)
    const { ready, rejected } = await validate(hand)
    const letters = await timed(hand, 'divert', () => steps.divert(rejected, hand))
    await before
    writes()
    const written = await timed(hand, 'write', () => steps.write({ ready, letters }, hand))
    if (written.kind === 'held') return hold(hand)
    finish(hand, ready, written)
    commit(hand, written)
    report(hand, written)
  }

  /** After starts that came to nothing, the crash guard lets the first record in alone. */
  async function enter(hand: InHand): Promise<void> {
    hand.passage = await steps.enter(hand)
    hand.batch = owner.giveBack(hand.batch, hand.passage.keep)
  }

  /** @returns the verdicts on the records up to where they alone make the storm guard stop. What the store will refuse is not known yet */
  async function validate(hand: InHand): Promise<Validated<T>> {
    const verdicts = await timed(hand, 'validate', () => steps.validate(hand))
    const { records } = hand.batch
    const counted = owner.inFlightRecords === records.length ? owner.storm : owner.stormAhead
    const check = checkStorm(records, verdicts.rejected, redrivenOf(verdicts.ready), counted, stormRules)
    owner.stormAhead = check.tally
    // From here on, so that not one batch more is taken; in the store with the batch's own transaction.
    if (check.pause !== undefined) owner.waitsForOperator = check.pause
    hand.batch = owner.giveBack(hand.batch, check.keep)
    const kept = below(hand.batch.to, verdicts)
    for (const { offset, what } of kept.unusual) {
      observer.observe({ kind: 'unusual_record', partition: place, offset, what })
    }
    return kept
  }

  /** The batch is settled, or its first records are, where the storm guard stops the partition behind them. */
  function finish(hand: InHand, ready: readonly ReadyRecord<T>[], { batch, storm, written }: Settled<T>): void {
    hand.isSettled = true
    owner.storm = storm
    owner.finish(hand.batch, batch.to === hand.batch.to, clock.now())
    parts.onSettled(written, ready)
  }

  /** A partition that is no longer ours is never committed: the broker would take it, even backwards. */
  function commit({ batch, trace }: InHand, { batch: settled, pause }: Settled<T>): void {
    if (owner.abandoned.aborted) return
    const { to, records } = settled
    committer.offer({ ...place, nextOffset: to }, { oldestTimestampMs: oldestTimestampOf(records), trace })
    if (pause === undefined) return
    if (to === batch.to && owner.inFlightRecords === 0) owner.waitsForOperator = pause
    else reposition()
  }

  function report({ trace, seconds: stageSeconds }: InHand, { batch, counts, closings, letters }: Settled<T>): void {
    const { to, records } = batch
    const partition = place
    observer.observe({ kind: 'batch_settled', partition, to, records: records.length, counts, closings, stageSeconds })
    for (const deadLetter of letters) {
      trace.runFor(deadLetter.record, () => observer.observe({ kind: 'dead_lettered', deadLetter }))
    }
    trace.end({ deadLetters: letters })
  }

  /** Nothing of the batch was written: it is tried again once an operator has lifted the pause. */
  function hold({ batch, trace }: InHand): void {
    trace.end({ deadLetters: [] })
    owner.finish(batch, false, clock.now())
    reposition()
  }

  async function timed<R>(hand: InHand, stage: Stage, work: () => Promise<R>): Promise<R> {
    const sinceMs = clock.monotonic()
    const result = await work()
    hand.seconds[stage] = (clock.monotonic() - sinceMs) / 1000
    return result
  }

  /** Brings a batch to its end, whatever that is. Never rejects. */
  function bringThrough(batch: Batch, before: Promise<void>, writes: () => void): Promise<void> {
    const trace = traceOf(batch)
    const contextOf = waitingOf(owner, { ...parts, release: releasePlaces, onEnd: notify })
    const seconds = { validate: 0, divert: 0, write: 0 }
    const hand: InHand = { batch, passage: UNGUARDED, isSettled: false, seconds, trace, contextOf }
    return trace.run(async () => {
      try {
        await settle(hand, before, writes)
      } catch (error) {
        giveUp(hand, error)
      } finally {
        await hand.passage.leave({ settled: hand.isSettled })
        notify()
      }
    })
  }

  function giveUp({ batch, trace }: InHand, error: unknown): void {
    trace.end({ error })
    if (dispositionOf(error) !== 'abandon') ended.resolve({ kind: 'failed', error })
    else if (!owner.abandoned.aborted) {
      const kind = error instanceof OwnershipLostError ? error.code : 'ownership_lost'
      observer.observe({ kind, partition: place, from: batch.from })
      ended.resolve({ kind: 'reposition' })
    }
    owner.abandon()
    owner.finish(batch, false, clock.now())
  }

  /** What is in hand beyond is given up, and read again: by the next assignment of the partition, which is made at once. */
  function reposition(): void {
    owner.abandon()
    ended.resolve({ kind: 'reposition' })
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
      // The buffer has become smaller.
      parts.progressed.notify()
      const earlier = before
      const writes = Promise.withResolvers<void>()
      before = bringThrough(batch, earlier, writes.resolve)
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

/** `undefined` when no record has a timestamp. */
function oldestTimestampOf(records: Batch['records']): number | undefined {
  const timestamps = records.map(({ timestampMs }) => timestampMs).filter(timestampMs => timestampMs >= 0)
  return timestamps.length === 0 ? undefined : Math.min(...timestamps)
}
