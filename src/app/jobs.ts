import { dispositionOf } from '../engine/errors.ts'
import { createHeadReader } from '../engine/kafka/head-reader.ts'
import type { Clock } from '../engine/ports.ts'
import { mergeLedger } from '../engine/postgres/ledger-merge.ts'
import { type createPool, queryAsGiven, schemaOf } from '../engine/postgres/pool.ts'
import type { Stream } from '../engine/stream.ts'
import { NO_TRACING, type RedriveTracing, type SendTracing } from '../engine/tracing.ts'
import type { Causes } from '../inbox/causes.ts'
import { type ScheduledJobs, startJobs } from '../inbox/jobs/jobs.ts'
import { queueSchemaOf } from '../inbox/jobs/queue-schema.ts'
import { createRedriveWorker } from '../inbox/jobs/redrive-worker.ts'
import { createRedriveTopic } from '../inbox/kafka/redrive-topic.ts'
import type { DeadLetterRecords } from '../inbox/ports.ts'
import { purgeSettled } from '../inbox/postgres/dead-letter-purge.ts'
import { purgeAudit, purgeRedrives } from '../inbox/postgres/operator-purge.ts'
import { createRedrivePages } from '../inbox/postgres/redrive-pages.ts'
import { createRedriveStore } from '../inbox/postgres/redrive-work.ts'
import { createStoredStream } from '../inbox/postgres/stored-stream.ts'
import { createRedriveSettlement, type RedriveSettlementParts } from '../inbox/redrive-settlement.ts'
import type { JobObserver } from '../inbox/redrive-work.ts'
import { createStreamLag } from '../inbox/stream-lag.ts'
import type { Config } from '../settings/config.ts'
import type { ProcessObserver } from '../telemetry/observer.ts'
import { startSampler } from '../telemetry/sampler.ts'
import { composeInbox } from './inbox.ts'
import type { Pools } from './pools.ts'
import type { StreamUnit } from './stream.ts'

export interface JobParts {
  readonly config: Pick<Config, 'kafka' | 'shutdownTimeoutMs' | 'redriveMax' | 'retry' | 'crashLoopMaxStarts'>
  readonly stream: Stream
  /** For jobs alone: the queue's connections, and those that they write with. */
  readonly pool: ReturnType<typeof createPool>
  readonly records: Pick<DeadLetterRecords, 'read'>
  readonly observer: JobObserver
  readonly onKafkaWarning: (text: string) => void
  /** What redrives into the store have written, as after a batch. Absent: this process serves no values. */
  readonly onSettled?: OnSettled
  /** The name under which other replicas are notified of it; `undefined`: they are not. */
  readonly notifyAs: string | undefined
  readonly onObstacle?: (because: string) => void
  readonly clock: Clock
  readonly tracing?: SendTracing & RedriveTracing
  /** Jobs that come at intervals. Absent: only redrives are worked on. */
  readonly scheduled?: ScheduledJobs
  /** Looked at again and again. Absent: they are not. */
  readonly causes?: Pick<Causes, 'refresh'>
}

type OnSettled = NonNullable<RedriveSettlementParts<unknown>['onSettled']>

/** Longer than a producer takes to give up a record, in ms. */
const STOP_TIMEOUT_MS = 12_000

/** How soon it is found that a cause is new, has come back or is dealt with. */
const CAUSES_INTERVAL_MS = 10_000

/** Connections that the jobs of a stream take at most: the queue's, the redrive's, and its heartbeat's. */
export const JOB_CONNECTIONS = 4

/** Sets the jobs of one stream to work, for the service and for `holdfast dlq redrive` alike. */
export function composeJobs(parts: JobParts): AsyncDisposable {
  const { config, stream, pool, records, observer, clock, scheduled, causes, tracing } = parts
  const random = Math.random
  const store = createRedriveStore(pool, { stream: stream.name, topic: stream.topic })
  const topic = createRedriveTopic({
    connection: config.kafka,
    topic: stream.topic,
    onWarning: parts.onKafkaWarning,
    ...(tracing === undefined ? {} : { tracing }),
  })
  const settlement = createRedriveSettlement({
    pages: createRedrivePages({ ...parts, stream: stream.name, tables: stream.tables, redriveMax: config.redriveMax }),
    judge: stream.judge,
    groupId: stream.groupId,
    trace: (records, work) => (tracing ?? NO_TRACING).page({ stream: stream.name, topic: stream.topic, records }, work),
    maxAttempts: { ...config.retry, ...stream.overrides.retry }.maxAttempts,
    ...(parts.onSettled === undefined ? {} : { onSettled: parts.onSettled }),
    ...{ clock, random },
  })
  const lag = createStreamLag({
    topic: stream.topic,
    progress: () => createStoredStream(pool, { ...stream, stream: stream.name }).partitions(),
    heads: createHeadReader({ connection: config.kafka, topic: stream.topic, groupId: stream.groupId }),
    clock,
  })
  const jobs = startJobs({
    stream: stream.name,
    database: {
      schema: queueSchemaOf(schemaOf(pool)),
      executeSql: (text, values) => queryAsGiven(pool, text, values),
    },
    store,
    worker: createRedriveWorker({
      ...{ store, settlement, topic, records, observer, clock, random },
      crashLoopMaxStarts: config.crashLoopMaxStarts,
      lag: lag.seconds,
    }),
    ...(scheduled === undefined ? {} : { scheduled }),
    stopTimeoutMs: Math.min(STOP_TIMEOUT_MS, config.shutdownTimeoutMs / 2),
    observer,
    clock,
    random,
  })
  const looking =
    causes &&
    startSampler({
      read: () => causes.refresh(),
      clock,
      intervalMs: CAUSES_INTERVAL_MS,
      // Readiness tells of an outage.
      onFailure: error =>
        dispositionOf(error) === 'retry' || observer.observe({ kind: 'job_failed', job: 'causes', error }),
    })
  return {
    async [Symbol.asyncDispose]() {
      looking?.[Symbol.dispose]()
      await jobs[Symbol.asyncDispose]()
      await Promise.all([topic[Symbol.asyncDispose](), lag[Symbol.asyncDispose]()])
    },
  }
}

export interface ServiceJobs extends Pick<JobParts, 'onKafkaWarning' | 'notifyAs' | 'clock' | 'tracing'> {
  readonly config: Config
  readonly units: readonly Pick<StreamUnit, 'stream' | 'reading'>[]
  readonly pools: Pools
  /** Disposes of what is opened here, after the jobs. */
  readonly resources: AsyncDisposableStack
  readonly observer: ProcessObserver
}

const DAY_MS = 86_400_000
/** Dead letters that one turn of the retention removes; it comes each hour. */
const PURGE_LIMIT = 100_000
/** Rows of the ledger that one turn of the merge takes at most; it comes each hour, too. */
const MERGE_LIMIT = 2_000_000

/**
 * Jobs of all streams of the service, those that come at intervals among them.
 * @returns what sets them to work: they start in the background, and nothing waits for them
 */
export function prepareJobs(service: ServiceJobs): () => AsyncDisposable {
  const { config, units, pools, resources } = service
  const keepDays = config.deadLetterRetentionDays
  const { auditRetentionDays, redriveRetentionDays, ledgerMergeAfterMs: olderThanMs } = config
  const prepared = units.map(({ stream, reading }): JobParts => {
    const observer = service.observer.of(stream.name)
    const pool = pools.open('jobs', JOB_CONNECTIONS)
    const inbox = resources.use(composeInbox(config, stream, pool))
    const { records, redrives, automatic, causes } = inbox
    const purge = () => purgeSettled(pool, stream.name, keepDays * DAY_MS, PURGE_LIMIT)
    return {
      ...service,
      stream,
      pool,
      records,
      causes,
      observer,
      onSettled: reading.onSettled,
      onObstacle: because => observer.observe({ kind: 'copy_unavailable', because }),
      // Scheduled jobs act as an operator would.
      scheduled: {
        redrives,
        automatic,
        automaticDelaysMs: config.automaticRedrive.delaysMs,
        purge: keepDays === 0 ? undefined : purge,
        purgeOperators: async () => ({
          audit:
            auditRetentionDays === 0
              ? 0
              : await purgeAudit(pool, stream.name, auditRetentionDays * DAY_MS, PURGE_LIMIT),
          redrives:
            redriveRetentionDays === 0
              ? 0
              : await purgeRedrives(pool, stream.name, redriveRetentionDays * DAY_MS, PURGE_LIMIT),
        }),
        mergeLedger: signal => mergeLedger(pool, stream.name, { olderThanMs, limit: MERGE_LIMIT, signal }),
      },
    }
  })
  return () => {
    const started = prepared.map(composeJobs)
    return {
      async [Symbol.asyncDispose]() {
        await Promise.all(started.map(jobs => jobs[Symbol.asyncDispose]()))
      },
    }
  }
}
