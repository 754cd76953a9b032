import type { Config } from './config.ts'
import type { DeadLetterRecords } from './core/dead-letter-desk.ts'
import type { JobObserver } from './core/replay.ts'
import type { SendTracing } from './core/tracing.ts'
import type { Clock } from './engine/ports.ts'
import { type ScheduledJobs, startJobs } from './jobs/jobs.ts'
import { createReplayer } from './jobs/replayer.ts'
import { createReplayTopic } from './kafka/replay-topic.ts'
import type { createPool } from './postgres/pool.ts'
import { createReplayStore } from './postgres/replay-work.ts'

export interface JobParts {
  /** Whose redrives are worked on. */
  readonly stream: string
  readonly kafka: Config['kafka']
  /** Of jobs alone: its own, and what they write. */
  readonly pool: ReturnType<typeof createPool>
  readonly records: Pick<DeadLetterRecords, 'read'>
  readonly observer: JobObserver
  readonly onKafkaWarning: (text: string) => void
  readonly clock: Clock
  readonly tracing?: SendTracing
  /** What comes by itself. Absent: only redrives are worked on. */
  readonly scheduled?: ScheduledJobs
  /** Of the whole process: half of it is theirs. */
  readonly shutdownTimeoutMs: number
}

/** Longer than a producer takes to give up a record. */
const STOP_TIMEOUT_MS = 12_000

/** Connections that jobs take at most: the queue's, the redrive's, and its heartbeat's. */
export const JOB_CONNECTIONS = 4

/** Wires the jobs and sets them to work, for the service and for `holdfast dlq replay` alike. */
export function composeJobs(options: JobParts): AsyncDisposable {
  const { kafka, pool, records, observer, clock, scheduled, tracing } = options
  const random = Math.random
  const store = createReplayStore(pool, { stream: options.stream, topic: kafka.topic })
  const topic = createReplayTopic({
    connection: kafka,
    topic: kafka.topic,
    onWarning: options.onKafkaWarning,
    ...(tracing === undefined ? {} : { tracing }),
  })
  const jobs = startJobs({
    database: { executeSql: (text, values) => pool.query(text, values) },
    store,
    replayer: createReplayer({ store, topic, records, observer, clock, random }),
    ...(scheduled === undefined ? {} : { scheduled }),
    stopTimeoutMs: Math.min(STOP_TIMEOUT_MS, options.shutdownTimeoutMs / 2),
    observer,
    clock,
    random,
  })
  return {
    async [Symbol.asyncDispose]() {
      await jobs[Symbol.asyncDispose]()
      await topic[Symbol.asyncDispose]()
    },
  }
}
