import type { BackoffPolicy } from '../core/backoff.ts'
import type { BatchLimits } from '../core/batch.ts'
import { dispositionOf, OwnershipLostError } from '../core/errors.ts'
import type { Observer } from '../core/facts.ts'
import type {
  Clock,
  DeadLetterSink,
  HeadReader,
  ReadyRecord,
  RecordSource,
  SettlementStore,
  StartBook,
  Verdict,
  Watermarks,
} from '../core/ports.ts'
import { partitionKey, type SourceRecord, type TopicPartition } from '../core/record.ts'
import type { StreamStatus } from '../core/status.ts'
import { type BatchTracing, NO_TRACING } from '../core/tracing.ts'
import { createBatchWork } from './batch-work.ts'
import { createBreaker } from './breaker.ts'
import { createCommitter } from './commit.ts'
import { type CrashGuard, createCrashGuard } from './crash-guard.ts'
import { createHeadWatch } from './head-watch.ts'
import { createLane } from './lane.ts'
import { watchOperatorPauses } from './operator-pauses.ts'
import { createOwnedPartition, type OwnedPartition } from './partition.ts'
import { locate, type Position } from './position.ts'
import { watchProgress } from './progress-watch.ts'
import { createReception } from './receive.ts'
import { type RetryParts, retrying } from './retry.ts'
import { createSignal } from './signal.ts'
import { createStallWatch } from './stall-watch.ts'
import { createStatusBoard } from './status-board.ts'
import { watchTopic } from './topic-watch.ts'
import { createWatermarkWatch } from './watermark-watch.ts'
import type { OutagePolicy } from './write.ts'

export interface PipelineParts<T> {
  readonly topic: string
  readonly groupId: string
  readonly source: RecordSource
  readonly store: SettlementStore<T>
  readonly sink: DeadLetterSink
  /** The domain's verdict on a record's bytes. */
  readonly judge: (record: SourceRecord) => Verdict<T>
  /** After a batch is settled: what it wrote, or `undefined` with the uids that it may have written. */
  readonly onSettled: (written: readonly ReadyRecord<T>[] | undefined, candidates: readonly ReadyRecord<T>[]) => void
  readonly observer: Observer
  /** Default: nobody follows the batches. */
  readonly tracing?: BatchTracing
  readonly clock: Clock
  readonly random: () => number
  /** Batches written side by side; one connection each. */
  readonly lanes: number
  readonly batch: BatchLimits
  readonly retry: BackoffPolicy & { readonly maxAttempts: number }
  /** For the age of what waits in Kafka while nothing of its partition is in hand; without it, that is not known. */
  readonly heads?: HeadReader
  /** Kafka's id of the topic as it is now; `undefined` when that cannot be known. Default: it never can. */
  readonly readTopicId?: () => Promise<string | undefined>
  /** What survives a process that a record kills; without it, a crash loop is not noticed. */
  readonly startBook?: StartBook
  /** So many starts without progress call for care with each record; 0: off. */
  readonly crashLoopMaxStarts?: number
  /** So many dead letters in a row on a partition stop it until an operator has looked; 0: off. */
  readonly stormLimit?: number
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
const COMMIT_TIMEOUT_MS = 5_000
/** A partition that keeps losing its fence is fought over: do not fight at full speed. */
const REPOSITION_PAUSE_MS = 1_000

const NO_CRASH_GUARD: CrashGuard = { enter: async batch => ({ batch, deaths: 0, leave: () => {} }) }

/**
 * The verbs in one sentence: receive, validate, divert, write, commit. One loop owns the consumer (polling, rebalances,
 * pauses, commits); lanes take the batches through the other verbs and never touch it.
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
  const repositionedAt = new Map<string, number>()
  const toReposition = new Map<string, OwnedPartition>()

  const prepare = createBatchWork<T>({
    ...parts,
    storeBreaker,
    dlqBreaker,
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
    stormLimit: parts.stormLimit ?? 0,
    outagePolicy: parts.outagePolicy ?? 'pause',
    onProgress: (progress, batch) => committer.settled(progress, batch),
    onOwnershipLost: owner => toReposition.set(owner.key, owner),
    onFailure: fail,
    onDone: () => space.notify(),
  })
  const lanes = Array.from({ length: parts.lanes }, () => createLane({ limits: parts.batch, clock, prepare }))
  const reception = createReception({
    source,
    lanes,
    observer,
    // A batch in waiting for every second lane: twice that cost 12 to 25 MB more and was no faster (make bench).
    maxRecords: Math.ceil(parts.lanes * 1.5) * parts.batch.maxRecords,
    maxBytes: parts.lanes * 2 * parts.batch.maxBytes,
    overfull: () => fullSince !== undefined && clock.monotonic() - fullSince > OVERFULL_AFTER_MS,
  })

  const watermarks = createWatermarkWatch({
    source,
    clock,
    owned: () => reception.owned.values(),
    onMarks: onWatermarks,
    onFailure(owner, error) {
      board.doubts(owner)
      if (dispositionOf(error) === 'retry') brokerBreaker.trip(error)
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
    onSetBack(owner) {
      const partition = { topic: owner.topic, partition: owner.partition }
      observer.observe({ kind: 'progress_set_back', partition, from: owner.settled })
      toReposition.set(owner.key, owner)
    },
  })
  const topicWatch = watchTopic({
    readTopicId: parts.readTopicId ?? (async () => undefined),
    clock,
    onReplaced() {
      for (const [key, owner] of reception.owned) toReposition.set(key, owner)
    },
  })

  // ---- the lanes' side -------------------------------------------------------------------------------------------

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

  /** Keeps the consumer served while something else is awaited. Never longer than the bound. */
  async function turningUntil(done: Promise<unknown>, timeoutMs: number): Promise<boolean> {
    let finished = false
    const finish = () => {
      finished = true
    }
    done.then(finish, finish)
    const deadline = clock.monotonic() + timeoutMs
    while (!finished && clock.monotonic() < deadline) await turn()
    return finished
  }

  /** Of a partition that is always there: by then we may have lost ours. */
  async function askBroker(): Promise<void> {
    await source.watermarks({ topic: parts.topic, partition: 0 })
  }

  /**
   * The client tells of a position outside of the log only once, and not at all when other records came in the same
   * fetch: so we compare for ourselves.
   */
  function onWatermarks(owner: OwnedPartition, { low, high }: Watermarks): void {
    if (reception.owned.get(owner.key) !== owner || owner.halted !== undefined) return
    board.knows(owner, { low, high })
    const idle = owner.bufferedRecords === 0 && owner.inFlightRecords === 0
    if (idle && (owner.next < low || owner.next > high)) toReposition.set(owner.key, owner)
  }

  /** Positions of these partitions, however long the store or the broker are away; undefined when we stop meanwhile. */
  async function locateServed(partitions: readonly TopicPartition[]): Promise<Position[] | undefined> {
    const [first] = partitions
    if (first === undefined) return []
    for (;;) {
      let overtaken = false
      const located = retrying(
        () => locate(partitions, { source, store, observer, groupId, readTopicId: topicWatch.read }),
        retry,
        {
          dependency: 'postgres',
          partition: first,
          signal: stopping.signal,
          onWaiting: () => {},
        },
      ).catch((error: unknown) => {
        if (!(error instanceof OwnershipLostError)) fail(error)
        overtaken = !stopping.signal.aborted
        return undefined
      })
      await turningUntil(located, Number.POSITIVE_INFINITY)
      // A batch that somebody (this process before a rebalance, say) had still in flight moved the progress after it was
      // read. The partitions are ours all the same: giving up here would leave them to nobody.
      if (!overtaken) return await located
    }
  }

  async function onAssigned(partitions: readonly TopicPartition[]): Promise<void> {
    const positions = await locateServed(partitions)
    if (positions === undefined) return source.assign([])
    // Owned before the consumer may deliver: a record of a partition that is not ours is dropped.
    for (const position of positions) reception.add(createOwnedPartition(position, position.halted))
    source.assign(positions)
    commitLagging(positions)
    board.member = true
    watermarks.hurry()
    observer.observe({ kind: 'assigned', positions })
  }

  /**
   * Kafka's offset follows the progress also where no record comes any more: else a crash between transaction and
   * commit would show as lag until the next one.
   */
  function commitLagging(positions: readonly Position[]): void {
    for (const { topic, partition, nextOffset, uncommitted } of positions) {
      if (uncommitted) committer.settled({ topic, partition, nextOffset })
    }
  }

  /** Stops handing over, lets what is in flight end within the bound, and commits it. */
  async function drain(partitions: readonly OwnedPartition[], boundMs: number): Promise<boolean> {
    for (const partition of partitions) partition.close()
    const drained = await turningUntil(Promise.all(partitions.map(partition => partition.idle())), boundMs)
    // Beyond the bound the fence protects the next owner: whatever these still do, only one of both can advance.
    for (const partition of partitions) partition.abandon()
    const deadline = clock.monotonic() + COMMIT_TIMEOUT_MS
    while (committer.pending(partitions) && clock.monotonic() < deadline) await turn()
    committer.forget(partitions)
    return drained
  }

  async function onRevoked(partitions: readonly TopicPartition[], lost: boolean): Promise<void> {
    const gone = partitions.flatMap(partition => reception.owned.get(partitionKey(partition)) ?? [])
    let drained = false
    if (lost) {
      // The group has thrown us out, or we hear nothing of it: ready again with the next assignment, be it an empty one.
      board.member = false
      committer.forget(gone)
      for (const partition of gone) partition.abandon()
    } else {
      drained = await drain(gone, drainTimeoutMs)
    }
    for (const partition of gone) {
      reception.remove(partition)
      toReposition.delete(partition.key)
      board.forgets(partition.key)
    }
    source.unassign(partitions)
    observer.observe({ kind: 'revoked', partitions, lost, drained })
  }

  /** Starts partitions that are still ours anew, where their progress is. */
  async function reposition(): Promise<void> {
    const now = clock.monotonic()
    // Asked for twice (once more while it was being done, say): that assignment is over, and nobody drains its successor.
    for (const [key, partition] of toReposition) {
      if (reception.owned.get(key) !== partition) toReposition.delete(key)
    }
    const due = [...toReposition.values()].filter(
      partition => now - (repositionedAt.get(partition.key) ?? Number.NEGATIVE_INFINITY) > REPOSITION_PAUSE_MS,
    )
    if (due.length === 0) return
    for (const partition of due) {
      toReposition.delete(partition.key)
      repositionedAt.set(partition.key, now)
    }
    // What is still in flight may advance the progress: let it end before progress is read.
    await drain(due, drainTimeoutMs)
    const positions = (await locateServed(due.map(({ topic, partition }) => ({ topic, partition })))) ?? []
    for (const position of positions) await moveTo(position)
    observer.observe({ kind: 'assigned', positions })
  }

  /** Nothing is polled before the new buffer is in place: records that came in between would pass for a gap. */
  async function moveTo(position: Position): Promise<void> {
    const old = reception.owned.get(partitionKey(position))
    if (old === undefined) return
    try {
      await source.seek(position)
    } catch (error) {
      if (dispositionOf(error) !== 'retry') throw error
      const partition = { topic: old.topic, partition: old.partition }
      observer.observe({
        kind: 'retry',
        dependency: 'kafka',
        attempt: 1,
        delayMs: REPOSITION_PAUSE_MS,
        error,
        partition,
      })
      toReposition.set(old.key, old)
      return
    }
    reception.remove(position)
    if (old.pausedFor.length > 0) source.resume([{ topic: old.topic, partition: old.partition }])
    reception.add(createOwnedPartition(position, position.halted))
    commitLagging([position])
  }

  async function serve(): Promise<void> {
    while (!stopping.signal.aborted) {
      const event = source.nextEvent()
      if (event?.kind === 'assigned') await onAssigned(event.partitions)
      else if (event?.kind === 'revoked') await onRevoked(event.partitions, event.lost)
      else if (event?.kind === 'out_of_range') for (const [key, owner] of reception.owned) toReposition.set(key, owner)
      else if (toReposition.size > 0) await reposition().then(turn)
      else await turn()
    }
  }

  async function join(): Promise<void> {
    await retrying(() => source.start(), retry, {
      dependency: 'kafka',
      partition: { topic: parts.topic, partition: -1 },
      signal: stopping.signal,
      onWaiting: () => {},
    })
    observer.observe({ kind: 'stream_started', topic: parts.topic, groupId })
  }

  async function runOnce(): Promise<void> {
    board.state = 'running'
    const working = lanes.map(lane => lane.run())
    try {
      await join()
      await serve()
    } catch (error) {
      if (!(error instanceof OwnershipLostError && stopping.signal.aborted)) fail(error)
    }
    board.state = 'draining'
    try {
      await drain([...reception.owned.values()], failure === undefined ? drainTimeoutMs : 0)
    } catch (error) {
      fail(error)
    }
    for (const lane of lanes) lane.stop()
    for (const breaker of breakers) breaker.stop()
    await source.close()
    // A lane may still hold a batch that was given up; its transaction ends by its own timeout, behind the fence.
    const late = new AbortController()
    await Promise.race([Promise.all(working), clock.sleep(1_000, late.signal)])
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
