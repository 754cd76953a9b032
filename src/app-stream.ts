import type { StartGate } from './app-start.ts'
import type { Config } from './config.ts'
import { BrokerFatalError, BrokerUnavailableError } from './core/errors.ts'
import type { Observer } from './core/facts.ts'
import type { Tracing } from './core/tracing.ts'
import type { Clock, DeadLetterSink } from './engine/ports.ts'
import { createPipeline, type Pipeline, type PipelineParts } from './engine/run/pipeline.ts'
import type { SettlementStore, StartBook } from './engine/settlement.ts'
import { ensureTopics } from './kafka/admin.ts'
import { createConsumer } from './kafka/consumer.ts'
import { createDeadLetterSink } from './kafka/dead-letter-sink.ts'
import { createHeadReader } from './kafka/head-reader.ts'
import { type KafkaProducer, startProducer } from './kafka/producer.ts'
import { readTopicId } from './kafka/topic-id.ts'
import type { createOrderJudge, Order } from './orders/order.ts'

export interface StreamParts {
  readonly config: Config
  readonly gate: StartGate
  readonly store: SettlementStore<Order>
  readonly startBook: StartBook
  readonly judge: ReturnType<typeof createOrderJudge>
  readonly onSettled: PipelineParts<Order>['onSettled']
  /** The stream is about to run: from now on it tells how it is. */
  readonly onPipeline: (pipeline: Pipeline) => void
  readonly observer: Observer
  readonly onKafkaWarning: (text: string) => void
  readonly tracing: Tracing
  readonly clock: Clock
  readonly drainTimeoutMs: number
  /** Aborts when the process stops. */
  readonly signal: AbortSignal
}

/** Waits for Kafka and the topics, then runs the stream of orders until it ends. @throws what ended it */
export async function runStream(parts: StreamParts): Promise<void> {
  const { config, gate, store, judge, observer, onKafkaWarning, tracing, clock, signal } = parts
  const { kafka, batch, retry } = config
  await using producer = await gate.until('Kafka', () =>
    startProducer({ connection: kafka, onWarning: onKafkaWarning, tracing }).catch(endOfStart),
  )
  if (signal.aborted || producer === undefined) return
  const sink = createDeadLetterSink(producer, kafka.dlqTopic, onKafkaWarning)
  await gate.until('the topics', () => requireTopics(kafka, producer, sink))
  if (signal.aborted) return
  await using heads = createHeadReader({ connection: kafka, topic: kafka.topic, groupId: kafka.groupId })
  const pipeline = createPipeline<Order>({
    topic: kafka.topic,
    groupId: kafka.groupId,
    source: createConsumer({
      connection: kafka,
      topic: kafka.topic,
      groupId: kafka.groupId,
      onWarning: onKafkaWarning,
    }),
    store,
    sink,
    heads,
    readTopicId: () => readTopicId(kafka, kafka.topic),
    judge,
    onSettled: parts.onSettled,
    observer,
    tracing,
    clock,
    random: Math.random,
    lanes: config.postgres.poolMax,
    startBook: parts.startBook,
    crashLoopMaxStarts: config.crashLoopMaxStarts,
    stormLimit: config.stormLimit,
    stormRatio: config.stormRatio,
    outagePolicy: config.outagePolicy,
    batch,
    retry,
    startAt: kafka.startAt,
    drainTimeoutMs: parts.drainTimeoutMs,
  })
  parts.onPipeline(pipeline)
  gate.open()
  await pipeline.run()
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
  producer: KafkaProducer,
  sink: Pick<DeadLetterSink, 'probe'>,
): Promise<void> {
  if (kafka.createTopics) {
    await ensureTopics(kafka, producer, {
      topic: kafka.topic,
      dlqTopic: kafka.dlqTopic,
      partitions: kafka.topicPartitions,
      replication: kafka.topicReplication,
    })
  }
  await sink.probe()
}
