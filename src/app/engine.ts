import { backoffMs } from '../engine/backoff.ts'
import { BrokerFatalError, BrokerUnavailableError } from '../engine/errors.ts'
import type { Observer } from '../engine/facts.ts'
import { ensureTopics } from '../engine/kafka/admin.ts'
import { createConsumer } from '../engine/kafka/consumer.ts'
import { createHeadReader } from '../engine/kafka/head-reader.ts'
import { type KafkaProducer, startProducer } from '../engine/kafka/producer.ts'
import { readTopicId } from '../engine/kafka/topic-id.ts'
import type { RequestStore } from '../engine/operator.ts'
import type { Clock, DeadLetterSink } from '../engine/ports.ts'
import { createPipeline, type Pipeline, type PipelineParts } from '../engine/run/pipeline.ts'
import type { SettlementStore, StartCounts } from '../engine/settlement.ts'
import type { StreamStatus } from '../engine/status.ts'
import type { Stream } from '../engine/stream.ts'
import type { Tracing } from '../engine/tracing.ts'
import { createDeadLetterSink } from '../inbox/kafka/dead-letter-sink.ts'
import type { Config } from '../settings/config.ts'
import type { StartGate } from './start.ts'

export interface EngineParts {
  readonly config: Config
  readonly stream: Stream
  readonly gate: StartGate
  readonly store: SettlementStore<unknown>
  readonly startCounts: StartCounts
  readonly requests: RequestStore
  /** Transactions side by side. */
  readonly lanes: number
  readonly onSettled: PipelineParts<unknown>['onSettled']
  /** Whether the stream's tables are as its definition needs them. @throws StoreMisconfiguredError naming each difference */
  readonly requireTables: () => Promise<void>
  /** The same, and whether they can be written now. @throws why not */
  readonly checkTables: () => Promise<void>
  /** Called when the stream has failed, to decide whether to start it again. `false` ends it. */
  readonly mayResume: () => boolean
  readonly observer: Observer
  readonly onKafkaWarning: (text: string) => void
  readonly tracing: Tracing
  readonly clock: Clock
  readonly drainTimeoutMs: number
  /** Aborts when the process stops. */
  readonly signal: AbortSignal
}

/** The write side of one stream: consumer, group, breakers, storm guard, dead-letter sink and settlement. */
export interface Engine {
  /** Works until `stop()`. A stream that fails is tried again as long as it may resume. @throws what ended it */
  run(): Promise<void>
  /** Drains within the bound, commits, leaves the group. Safe twice. */
  stop(drainTimeoutMs: number): Promise<void>
  /** Reports that the readiness check found the store unavailable: an idle stream would notice only with its next record. */
  storeAway(error: unknown): void
  /** `undefined` until it has begun to consume. */
  status(): StreamStatus | undefined
  /** Whether an error has ended it, until it starts again. */
  readonly failed: boolean
}

/** How long a stream that failed waits for its next attempt, in ms: an operator who has removed the cause is watching. */
const RESUME = { initialMs: 2_000, maxMs: 30_000 }
/** A stream that ran for so long fails for a new reason, and the waits begin again from the shortest. */
const STEADY_MS = 60_000

export function createEngine(parts: EngineParts): Engine {
  const { clock, signal, observer, stream } = parts
  let pipeline: Pipeline | undefined
  let failure: { readonly error: unknown; readonly sinceMs: number } | undefined

  async function run(): Promise<void> {
    let attempt = 0
    while (!signal.aborted) {
      const startedMs = clock.monotonic()
      try {
        await runOnce()
        return
      } catch (error) {
        if (signal.aborted) return
        failure = { error, sinceMs: failure?.sinceMs ?? clock.now() }
        pipeline = undefined
        if (!parts.mayResume()) throw error
        attempt = clock.monotonic() - startedMs > STEADY_MS ? 1 : attempt + 1
      }
      // Readiness names the failure from here on, instead of what the start waited for.
      parts.gate.open()
      attempt = await untilTablesFit(attempt)
      failure = undefined
    }
  }

  /** Waits, and asks the tables at intervals, so that the group is not joined again and again only to fail at the first record. */
  async function untilTablesFit(firstAttempt: number): Promise<number> {
    for (let attempt = firstAttempt; ; attempt++) {
      const delayMs = backoffMs(RESUME, attempt, 0.5 + Math.random() / 2)
      observer.observe({ kind: 'stream_halted', attempt, delayMs, error: failure?.error })
      await clock.sleep(delayMs, signal)
      if (signal.aborted) return attempt
      try {
        await parts.checkTables()
        return attempt
      } catch (error) {
        failure = { error, sinceMs: failure?.sinceMs ?? clock.now() }
      }
    }
  }

  /** Waits for Kafka and the topics, then runs the pipeline until it ends. @throws what ended it */
  async function runOnce(): Promise<void> {
    const { config, gate, onKafkaWarning, tracing } = parts
    const { kafka } = config
    const { topic, groupId } = stream
    // A table that differs would refuse single records, and they would be dead-lettered for it.
    await gate.until('the tables', parts.requireTables)
    if (signal.aborted) return
    const names = { connection: kafka, topic, groupId }
    await using producer = await gate.until('Kafka', () =>
      startProducer({ connection: kafka, onWarning: onKafkaWarning, tracing }).catch(endOfStart),
    )
    if (signal.aborted || producer === undefined) return
    const sink = createDeadLetterSink(producer, stream.dlqTopic, onKafkaWarning)
    await gate.until('the topics', () => requireTopics(kafka, stream, producer, sink))
    if (signal.aborted) return
    await using heads = createHeadReader(names)
    const { batch, retry, storm } = stream.overrides
    pipeline = createPipeline<unknown>({
      topic,
      groupId,
      source: createConsumer({ ...names, onWarning: onKafkaWarning }),
      store: parts.store,
      sink,
      heads,
      readTopicId: () => readTopicId(kafka, topic),
      judge: stream.judge,
      onSettled: parts.onSettled,
      observer,
      tracing: { batch: batch => tracing.batch({ ...batch, stream: stream.name }) },
      clock,
      random: Math.random,
      lanes: parts.lanes,
      startCounts: parts.startCounts,
      requests: parts.requests,
      crashLoopMaxStarts: config.crashLoopMaxStarts,
      stormLimit: storm?.maxConsecutive ?? config.stormLimit,
      stormRatio: storm?.ratio ?? config.stormRatio,
      outagePolicy: config.outagePolicy,
      batch: { ...config.batch, ...batch },
      retry: { ...config.retry, ...retry },
      startAt: kafka.startAt,
      drainTimeoutMs: parts.drainTimeoutMs,
    })
    gate.open()
    await pipeline.run()
  }

  return {
    run,
    stop: async drainTimeoutMs => pipeline?.stop(drainTimeoutMs),
    storeAway(error) {
      if (failure === undefined) pipeline?.storeAway(error)
    },
    status() {
      if (failure === undefined || signal.aborted) {
        const status = pipeline?.status()
        // It has failed, and has not yet left the group and closed its parts. A restart of the process would not help the other streams.
        if (status?.error !== undefined && !signal.aborted && parts.mayResume()) return { ...status, state: 'halted' }
        return status
      }
      const { error, sinceMs } = failure
      const text = error instanceof Error ? error.message : String(error)
      return { state: 'halted', sinceMs, error: text, member: false, breakers: [], partitions: [] }
    },
    get failed() {
      return failure !== undefined || pipeline?.status().error !== undefined
    },
  }
}

/**
 * Before anything runs, a password or a certificate that does not fit is a mistake of the settings, and the start ends with it;
 * under a running service it may have been exchanged on the brokers, and is waited for.
 */
function endOfStart(error: unknown): never {
  if (error instanceof BrokerUnavailableError && error.isMistake)
    throw new BrokerFatalError(error.what, { cause: error.cause, remedy: error.remedy })
  throw error
}

async function requireTopics(
  kafka: Config['kafka'],
  { topic, dlqTopic }: Stream,
  producer: KafkaProducer,
  sink: Pick<DeadLetterSink, 'probe'>,
): Promise<void> {
  if (kafka.createTopics) {
    await ensureTopics(kafka, producer, {
      topic,
      dlqTopic,
      partitions: kafka.topicPartitions,
      replication: kafka.topicReplication,
    })
  }
  await sink.probe()
}
