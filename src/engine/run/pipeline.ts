import type { BackoffPolicy } from '../../core/backoff.ts'
import type { BatchLimits } from '../../core/batch.ts'
import { dispositionOf, OwnershipLostError, PartitionUnavailableError } from '../../core/errors.ts'
import type { Observer } from '../../core/facts.ts'
import type { StartAt } from '../../core/progress.ts'
import type { SourceRecord } from '../../core/record.ts'
import type { StreamStatus } from '../../core/status.ts'
import { type BatchTracing, NO_TRACING } from '../../core/tracing.ts'
import type { Clock, DeadLetterSink, HeadReader, RecordSource, Watermarks } from '../ports.ts'
import type { SettlementStore, StartBook } from '../settlement.ts'
import type { ReadyRecord, Verdict } from '../verdict.ts'
import { createHeadWatch } from '../watch/head-watch.ts'
import { watchOperatorPauses } from '../watch/operator-pauses.ts'
import { watchProgress } from '../watch/progress-watch.ts'
import { createStallWatch } from '../watch/stall-watch.ts'
import { createStatusBoard } from '../watch/status-board.ts'
import { watchTopic } from '../watch/topic-watch.ts'
import { createWatermarkWatch } from '../watch/watermark-watch.ts'
import { createAssignments } from './assignments.ts'
import { createBatchWork } from './batch-work.ts'
import { createBreaker } from './breaker.ts'
import { createCommitter } from './commit.ts'
import { createCrashGuard, NO_CRASH_GUARD } from './crash-guard.ts'
import type { OwnedPartition } from './partition.ts'
import { createReception } from './receive.ts'
import { type RetryParts, retrying } from './retry.ts'
import { createSignal } from './signal.ts'
import { createSlots } from './slots.ts'
import { startWorker } from './worker.ts'
import type { OutagePolicy } from './write.ts'

export interface PipelineParts<T> {
  readonly topic: string
  readonly groupId: string
  readonly source: RecordSource
  readonly store: SettlementStore<T>
  readonly sink: DeadLetterSink
  /** The domain's verdict on a record's bytes. */
  readonly judge: (record: SourceRecord) => Verdict<T>
  /** After a batch is settled: what it wrote, or `undefined` with the keys that it may have written. */
  readonly onSettled: (written: readonly ReadyRecord<T>[] | undefined, candidates: readonly ReadyRecord<T>[]) => void
  readonly observer: Observer
  /** Default: nobody follows the batches. */
  readonly tracing?: BatchTracing
  readonly clock: Clock
  readonly random: () => number
  /** Transactions side by side; one connection each. */
  readonly lanes: number
  readonly batch: BatchLimits
  readonly retry: BackoffPolicy & { readonly maxAttempts: number }
  /** For the age of what waits in Kafka while nothing of its partition is in hand; without it, that is not known. */
  readonly heads?: HeadReader
  /** Kafka's id of the topic as it is now; `undefined` when that cannot be known. Default: it never can. */
  readonly readTopicId?: () => Promise<string | undefined>
  /** Where a partition without a progress row starts. Default: at its earliest record. */
  readonly startAt?: StartAt
  /** What survives a process that a record kills; without it, a crash loop is not noticed. */
  readonly startBook?: StartBook
  /** So many starts without progress call for care with each record; 0: off. */
  readonly crashLoopMaxStarts?: number
  /** So many dead letters in a row on a partition stop it until an operator has looked; 0: off. */
  readonly stormLimit?: number
  /** So does this share of its last records; 0: off. */
  readonly stormRatio?: number
  readonly outagePolicy?: OutagePolicy
  /** How long a partition that is taken away may go on settling what is in flight, in ms. */
  readonly drainTimeoutMs: number
}

export interface Pipeline {
  /** Joins the group and works until `stop()`. @throws what made it stop by itself */
  run(): Promise<void>
  /** Drains within the bound, commits, leaves the group. Safe twice, and before `run()`. */
  stop(drainTimeoutMs?: number): Promise<void>
  /** Somebody else has found that the store is away: an idle stream would not notice before its next record. */
  storeAway(error: unknown): void
  status(): StreamStatus
}

const POLL_TIMEOUT_MS = 100
/** Full buffers for longer than this pause the consumer; for shorter, it is just not asked. */
const OVERFULL_AFTER_MS = 1_000

/**
 * The verbs in one sentence: receive, validate, divert, write, commit. One loop owns the consumer (polling, rebalances,
 * pauses, commits); a worker for each partition takes its batches through the other verbs and never touches it.
 */
export function createPipeline<T>(parts: PipelineParts<T>): Pipeline {
  const { source, store, sink, observer, clock, groupId } = parts
  const retry: RetryParts = { policy: parts.retry, clock, random: parts.random, observer }
  const shared = { clock, observer, random: parts.random, initialMs: parts.retry.initialMs }
  const storeBreaker = createBreaker({ ...shared, dependency: 'postgres', probe: () => store.probe() })
  const dlqBreaker = createBreaker({ ...shared, dependency: 'dlq', probe: () => sink.probe() })
  // Nobody waits for this one, because the client heals by itself: it tells health and metrics that no broker answers.
  const brokerBreaker = createBreaker({ ...shared, dependency: 'kafka', probe: askBroker })
  const breakers = [storeBreaker, dlqBreaker, brokerBreaker]
  const board = createStatusBoard({
    breakers,
    clock,
    headOf: partition => heads?.timestampOf(partition),
    readTo: partition => heads?.readTo(partition) ?? partition.settled,
    stalledMs: partition => stalls.stalledMs(partition),
  })
  const committer = createCommitter(source, observer, clock)
  const space = createSignal()
  const stopping = new AbortController()
  let drainTimeoutMs = parts.drainTimeoutMs
  let failure: { readonly error: unknown } | undefined
  let running: Promise<void> | undefined
  let fullSince: number | undefined

  const prepare = createBatchWork<T>({
    ...parts,
    storeBreaker,
    dlqBreaker,
    transactions: createSlots(parts.lanes),
    tracing: parts.tracing ?? NO_TRACING,
    retry,
    crashGuard:
      parts.startBook === undefined
        ? NO_CRASH_GUARD
        : createCrashGuard({
            book: parts.startBook,
            groupId,
            maxStarts: parts.crashLoopMaxStarts ?? 0,
            carefulRecords: 2 * parts.batch.maxRecords,
          }),
    maxAttempts: parts.retry.maxAttempts,
    stormRules: { maxConsecutive: parts.stormLimit ?? 0, ratio: parts.stormRatio ?? 0 },
    outagePolicy: parts.outagePolicy ?? 'pause',
    onProgress: (progress, batch) => committer.settled(progress, batch),
    onStopped: owner => assignments.startAnew(owner),
    onOwnershipLost: owner => assignments.startAnew(owner),
    onFailure: fail,
    onChange(owner) {
      reception.wake(owner)
      space.notify()
    },
  })
  // For each transaction one batch in the store, and one that is prepared meanwhile.
  const inHand = createSlots(2 * parts.lanes)
  const reception = createReception({
    source,
    startWorker: owner => startWorker(owner, { limits: parts.batch, clock, inHand, prepare }),
    observer,
    // A batch in waiting for every second transaction: twice that cost 12 to 25 MB more and was no faster (make bench).
    maxRecords: Math.ceil(parts.lanes * 1.5) * parts.batch.maxRecords,
    maxBytes: parts.lanes * 2 * parts.batch.maxBytes,
    storeAway: () => storeBreaker.open !== undefined,
    overfull: () => fullSince !== undefined && clock.monotonic() - fullSince > OVERFULL_AFTER_MS,
  })

  const watermarks = createWatermarkWatch({
    source,
    clock,
    owned: () => reception.owned.values(),
    onMarks: onWatermarks,
    onFailure(owner, error) {
      board.doubts(owner, error)
      // A partition without a leader waits alone: the broker that says so is there.
      if (dispositionOf(error) === 'retry' && !(error instanceof PartitionUnavailableError)) brokerBreaker.trip(error)
    },
  })

  const heads =
    parts.heads === undefined
      ? undefined
      : createHeadWatch({
          reader: parts.heads,
          clock,
          owned: () => reception.owned.values(),
          lags: partition => board.lags(partition),
          // Progress and commit go to the end of such a gap: else retention would later seem to have removed unread
          // records there, and other tools would see a lag for ever.
          onEmpty(partition, emptyTo) {
            partition.noRecordsBelow(emptyTo)
            reception.wake(partition)
          },
          onUnreadable: partition => assignments.startAnewWithCare(partition),
        })
  const stalls = createStallWatch({
    clock,
    owned: () => reception.owned.values(),
    excused: () => board.state !== 'running' || breakers.some(({ open }) => open !== undefined),
    // A lag may also be of offsets that hold no record, for good: only a record that was seen there could be fetched.
    waitsInKafka: partition => board.lags(partition) && heads?.timestampOf(partition) !== undefined,
  })
  const refreshOperatorPauses = watchOperatorPauses({
    store,
    clock,
    groupId,
    owned: reception.owned,
    onLifted: partition => reception.wake(partition),
  })
  const checkProgress = watchProgress({
    store,
    clock,
    groupId,
    owned: reception.owned,
    onSetBack(owner, removed) {
      const partition = { topic: owner.topic, partition: owner.partition }
      const kind = removed ? 'progress_removed' : 'progress_set_back'
      observer.observe({ kind, partition, from: owner.settled })
      assignments.startAnew(owner)
    },
  })
  const topicWatch = watchTopic({
    readTopicId: parts.readTopicId ?? (async () => undefined),
    clock,
    onReplaced() {
      for (const owner of reception.owned.values()) assignments.startAnew(owner)
    },
  })
  const assignments = createAssignments({
    source,
    store,
    observer,
    clock,
    groupId,
    retry,
    reception,
    committer,
    board,
    signal: stopping.signal,
    drainTimeoutMs: () => drainTimeoutMs,
    startAt: parts.startAt ?? 'earliest',
    readTopicId: topicWatch.read,
    heads: parts.heads,
    turn,
    onAssigned: watermarks.hurry,
    onFailure: fail,
  })

  // ---- the workers' side -----------------------------------------------------------------------------------------

  /** The first error that stops the stream wins; everything in flight is given up, nothing more is committed past it. */
  function fail(error: unknown): void {
    failure ??= { error }
    for (const partition of reception.owned.values()) partition.abandon()
    stopping.abort()
    space.notify()
  }

  // ---- the loop's side: only here is the consumer touched --------------------------------------------------------

  /** One turn: commits, pauses, and up to a batch of records. */
  async function turn(): Promise<void> {
    board.turned()
    committer.tick()
    const full = reception.full()
    fullSince = full ? (fullSince ?? clock.monotonic()) : undefined
    reception.applyPauses(clock.now())
    if (full && fullSince !== undefined && clock.monotonic() - fullSince <= OVERFULL_AFTER_MS) {
      // Not asking for more is the cheapest backpressure: a pause throws away what the client has fetched.
      const waited = new AbortController()
      await Promise.race([space.wait(), clock.sleep(POLL_TIMEOUT_MS, waited.signal)])
      waited.abort()
      return
    }
    const records = await source.poll(parts.batch.maxRecords, POLL_TIMEOUT_MS)
    reception.route(records, clock.monotonic())
    watermarks.tick()
    heads?.tick()
    stalls.look()
    refreshOperatorPauses()
    checkProgress()
    topicWatch.tick()
  }

  /** Asks about a partition that is always there: by then we may have lost ours. That it has no leader is an answer, too. */
  async function askBroker(): Promise<void> {
    try {
      await source.watermarks({ topic: parts.topic, partition: 0 })
    } catch (error) {
      if (!(error instanceof PartitionUnavailableError)) throw error
    }
  }

  /**
   * The client tells of a position outside of the log only once, and not at all when other records came in the same
   * fetch: so we compare for ourselves.
   */
  function onWatermarks(owner: OwnedPartition, { low, high }: Watermarks): void {
    if (reception.owned.get(owner.key) !== owner || owner.halted !== undefined) return
    if (owner.unlocated !== undefined) {
      // Kafka answers for it again.
      assignments.startAnew(owner)
      return
    }
    board.knows(owner, { low, high })
    const idle = owner.bufferedRecords === 0 && owner.inFlightRecords === 0
    if (idle && (owner.next < low || owner.next > high)) assignments.startAnew(owner)
  }

  async function serve(): Promise<void> {
    while (!stopping.signal.aborted) {
      const event = source.nextEvent()
      if (event !== undefined) await assignments.on(event)
      else {
        await assignments.reposition()
        await turn()
      }
    }
  }

  async function join(): Promise<void> {
    await retrying(() => source.start(), retry, {
      dependency: 'kafka',
      partition: { topic: parts.topic, partition: -1 },
      signal: stopping.signal,
    })
    observer.observe({ kind: 'stream_started', topic: parts.topic, groupId })
  }

  async function runOnce(): Promise<void> {
    board.state = 'running'
    try {
      await join()
      await serve()
    } catch (error) {
      if (!(error instanceof OwnershipLostError && stopping.signal.aborted)) fail(error)
    }
    board.state = 'draining'
    try {
      await assignments.drain([...reception.owned.values()], failure === undefined ? drainTimeoutMs : 0)
    } catch (error) {
      fail(error)
    }
    const working = reception.stop()
    for (const breaker of breakers) breaker.stop()
    await source.close()
    // A worker may still hold a batch that was given up; its transaction ends by its own timeout, behind the fence.
    const late = new AbortController()
    await Promise.race([working, clock.sleep(1_000, late.signal)])
    late.abort()
    board.state = failure === undefined ? 'stopped' : 'failed'
    board.error = failure?.error
    observer.observe({ kind: 'stream_stopped', ...(failure === undefined ? {} : { error: failure.error }) })
    if (failure !== undefined) throw failure.error
  }

  return {
    run() {
      running ??= runOnce()
      return running
    },
    async stop(boundMs) {
      if (boundMs !== undefined) drainTimeoutMs = boundMs
      stopping.abort()
      space.notify()
      await running?.catch(() => {})
    },
    storeAway: error => storeBreaker.trip(error),
    status() {
      stalls.look()
      return board.snapshot(reception.owned.values())
    },
  }
}
