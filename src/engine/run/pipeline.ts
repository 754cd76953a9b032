import type { BackoffPolicy } from '../backoff.ts'
import type { BatchLimits } from '../batch.ts'
import { PartitionUnavailableError } from '../errors.ts'
import type { Observer } from '../facts.ts'
import { NO_REQUESTS, type RequestStore } from '../operator.ts'
import type { Clock, DeadLetterSink, HeadReader, RecordSource } from '../ports.ts'
import type { StartAt } from '../progress.ts'
import type { SourceRecord } from '../record.ts'
import type { SettlementStore, StartCounts } from '../settlement.ts'
import type { StreamStatus } from '../status.ts'
import { type BatchTracing, NO_TRACING } from '../tracing.ts'
import type { ReadyRecord, Verdict } from '../verdict.ts'
import { pollHeads } from '../watch/heads.ts'
import { pollMarks } from '../watch/marks.ts'
import { pollRequests } from '../watch/requests.ts'
import { watchStalls } from '../watch/stalls.ts'
import { createStreamView } from '../watch/status.ts'
import { pollPauses, pollProgress } from '../watch/stored.ts'
import { watchTopic } from '../watch/topic.ts'
import { createViews } from '../watch/view.ts'
import { createBreaker } from './breaker.ts'
import { createCommitter } from './commit.ts'
import { createCrashGuard, NO_CRASH_GUARD } from './crash-guard.ts'
import { createLoop } from './loop.ts'
import type { RetryParts } from './retry.ts'
import { type RunParts, startRun } from './run.ts'
import { createSignal } from './signal.ts'
import { createSlots } from './slots.ts'
import { createSteps } from './steps.ts'
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
  /** Default: batches are not traced. */
  readonly tracing?: BatchTracing
  readonly clock: Clock
  readonly random: () => number
  /** Transactions side by side; one connection each. */
  readonly lanes: number
  readonly batch: BatchLimits
  readonly retry: BackoffPolicy & { readonly maxAttempts: number }
  /** For the age of what waits in Kafka while nothing of its partition is in hand; without it, that is not known. */
  readonly heads?: HeadReader
  /** What operators ask of the stream. Default: they can ask for nothing. */
  readonly requests?: RequestStore
  /** Kafka's id of the topic as it is now; `undefined` when that cannot be known. Default: it never can. */
  readonly readTopicId?: () => Promise<string | undefined>
  /** Where a partition without a progress row starts. Default: at its earliest record. */
  readonly startAt?: StartAt
  /** What survives a process that a record kills; without it, a crash loop is not noticed. */
  readonly startCounts?: StartCounts
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
  /** Joins the group and works until `stop()`. @throws the failure that ended it */
  run(): Promise<void>
  /** Drains within the bound, commits, leaves the group. Safe twice, and before `run()`. */
  stop(drainTimeoutMs?: number): Promise<void>
  /** To be called when other work has found that the store is away: an idle stream would not notice before its next record. */
  storeAway(error: unknown): void
  status(): StreamStatus
}

/** Wires the loop that owns the consumer (loop.ts) and the write path of each partition (run.ts) over their ports. */
export function createPipeline<T>(parts: PipelineParts<T>): Pipeline {
  const { topic, groupId, source, store, sink, observer, clock, random } = parts
  const retry: RetryParts = { policy: parts.retry, clock, random, observer }
  const stormRules = { maxConsecutive: parts.stormLimit ?? 0, ratio: parts.stormRatio ?? 0 }
  const shared = { clock, observer, random, initialMs: parts.retry.initialMs }
  const breakers = {
    postgres: createBreaker({ ...shared, dependency: 'postgres', probe: () => store.probe() }),
    dlq: createBreaker({ ...shared, dependency: 'dlq', probe: () => sink.probe() }),
    // Nothing waits for this one, because the client recovers itself: it is there for health and metrics, which report that no broker answers.
    kafka: createBreaker({ ...shared, dependency: 'kafka', probe: () => askBroker(source, topic) }),
  }
  const all = Object.values(breakers)
  const committer = createCommitter(source, observer, clock)
  const progressed = createSignal()
  const stream = createStreamView(clock)
  let running: Promise<void> | undefined

  const steps = createSteps<T>({
    ...parts,
    transactions: createSlots(parts.lanes),
    retry,
    crashGuard: guardOf(parts),
    maxAttempts: parts.retry.maxAttempts,
    stormRules,
    outagePolicy: parts.outagePolicy ?? 'pause',
  })
  // For each transaction one batch in the store, and one that is prepared meanwhile.
  const inHand = createSlots(2 * parts.lanes)
  const runParts: RunParts<T> = {
    ...parts,
    tracing: parts.tracing ?? NO_TRACING,
    limits: parts.batch,
    steps,
    committer,
    stormRules,
    inHand,
    breakers,
    progressed,
  }
  const views = createViews()
  const excused = () => stream.state !== 'running' || all.some(({ open }) => open !== undefined)
  const stalls = watchStalls({ views, clock, excused })
  const topicWatch = watchTopic({ readTopicId: parts.readTopicId ?? (async () => undefined), views, clock })
  const stored = { store, views, clock, groupId, observer }
  const requests = parts.requests ?? NO_REQUESTS
  const loop = createLoop({
    ...parts,
    requests,
    views,
    stream,
    committer,
    progressed,
    retry,
    breakers: all,
    startRun: owner => startRun(owner, runParts),
    startAt: parts.startAt ?? 'earliest',
    readTopicId: topicWatch.read,
    heads: parts.heads,
    limits: parts.batch,
    pollRecords: parts.batch.maxRecords,
    // A batch in waiting for every second transaction: twice that cost 12 to 25 MB more and was no faster (make bench).
    maxRecords: Math.ceil(parts.lanes * 1.5) * parts.batch.maxRecords,
    maxBytes: parts.lanes * 2 * parts.batch.maxBytes,
    storeAway: () => breakers.postgres.open !== undefined,
    pollers: [
      pollMarks({ source, views, clock, broker: breakers.kafka }),
      ...(parts.heads === undefined ? [] : [pollHeads({ reader: parts.heads, views, clock })]),
      stalls,
      pollPauses(stored),
      pollProgress(stored),
      ...(parts.requests === undefined ? [] : [pollRequests({ requests, views, clock })]),
      topicWatch.tick,
    ],
  })

  return {
    run() {
      running ??= loop.run()
      return running
    },
    async stop(boundMs) {
      loop.stop(boundMs)
      await running?.catch(() => {})
    },
    storeAway: error => breakers.postgres.trip(error),
    status() {
      stalls()
      return stream.snapshot(views, all)
    },
  }
}

function guardOf<T>({ startCounts: starts, groupId, crashLoopMaxStarts: maxStarts = 0, batch }: PipelineParts<T>) {
  if (starts === undefined) return NO_CRASH_GUARD
  return createCrashGuard({ starts, groupId, maxStarts, carefulRecords: 2 * batch.maxRecords })
}

/** Asks about a partition that is always there: by then we may have lost ours. That it has no leader is an answer, too. */
async function askBroker(source: Pick<RecordSource, 'watermarks'>, topic: string): Promise<void> {
  try {
    await source.watermarks({ topic, partition: 0 })
  } catch (error) {
    if (!(error instanceof PartitionUnavailableError)) throw error
  }
}
