import type { Publisher } from '../engine/kafka/publisher.ts'
import type { Clock } from '../engine/ports.ts'
import { tryEmptyWrite } from '../engine/postgres/empty-write.ts'
import { createOperatorRequests } from '../engine/postgres/operator-requests.ts'
import { requireTables } from '../engine/postgres/required-tables.ts'
import { createStartCounts } from '../engine/postgres/start-counts.ts'
import type { Stream } from '../engine/stream.ts'
import type { Tracing } from '../engine/tracing.ts'
import { createTimelineRecorder, type TimelineRecorder } from '../engine/watch/timeline.ts'
import { leaveFormerTopic } from '../inbox/postgres/former-topic.ts'
import { createStreamSettlement } from '../inbox/postgres/letter-settlement.ts'
import type { Config } from '../settings/config.ts'
import type { StreamObserver } from '../telemetry/observer.ts'
import { createEngine, type Engine } from './engine.ts'
import type { Pools } from './pools.ts'
import { composeReading, type Reading } from './read.ts'
import { createStartGate, type StartGate } from './start.ts'

/** How long a partition that another consumer waits for may go on settling what is in flight. */
export const DRAIN_TIMEOUT_MS = 10_000

/** One stream as this process runs it: what writes it, and what serves it. */
export interface StreamUnit {
  readonly stream: Stream
  readonly reading: Reading
  readonly gate: StartGate
  /** `undefined` in a process without the role `consumer`. */
  readonly engine: Engine | undefined
  /** Counts what the engine does. */
  readonly timeline: TimelineRecorder
}

export interface UnitParts {
  readonly config: Config
  readonly stream: Stream
  /** How many streams the process runs: what it has of connections and memory is shared equally. */
  readonly streams: number
  readonly pools: Pools
  readonly readPool: ReturnType<Pools['open']>
  readonly publisher: Publisher
  /** The name under which this process announces what it wrote; `undefined`: it does not announce it. */
  readonly notifyAs: string | undefined
  readonly consumes: boolean
  readonly serves: boolean
  readonly mayResume: () => boolean
  readonly observer: StreamObserver
  readonly tracing: Tracing
  readonly clock: Clock
  readonly signal: AbortSignal
}

export function composeStream(parts: UnitParts): StreamUnit {
  const { config, stream, pools, observer, clock, signal } = parts
  const onKafkaWarning = (text: string) => observer.observe({ kind: 'kafka_warning', text })
  const gate = createStartGate({ stream: stream.name, retry: config.retry, observer, clock, signal })
  const reading = composeReading({
    ...parts,
    pool: parts.readPool,
    maxBytes: Math.floor(config.cache.maxBytes / parts.streams),
    lagRecords: () => lagOf(engine),
  })
  const timeline = createTimelineRecorder(stream.name, () => engine?.status())
  const engine = parts.consumes ? openEngine() : undefined
  return { stream, reading, gate, engine, timeline }

  function openEngine(): Engine {
    const lanes = lanesOf(config, parts.streams)
    const pool = pools.open('lanes', lanes)
    return createEngine({
      ...parts,
      observer: {
        observe(fact) {
          observer.observe(fact)
          timeline.observe(fact)
        },
      },
      gate,
      store: createStreamSettlement({
        pool,
        stream: stream.name,
        tables: stream.tables,
        notifyAs: parts.notifyAs,
        redriveMax: config.redriveMax,
        ownRowFrom: config.batch.maxRecords,
        onObstacle: because => observer.observe({ kind: 'copy_unavailable', because }),
      }),
      startCounts: createStartCounts(pool),
      requests: createOperatorRequests(pool, stream, leaveFormerTopic(stream)),
      lanes,
      onSettled: reading.onSettled,
      async requireTables() {
        for (const what of await requireTables(pool, stream.name, stream.plan))
          observer.observe({ kind: 'tables_elsewhere', what })
      },
      async checkTables() {
        await requireTables(pool, stream.name, stream.plan)
        await tryEmptyWrite(pool, stream.tables)
      },
      onKafkaWarning,
      drainTimeoutMs: DRAIN_TIMEOUT_MS,
    })
  }
}

/** Connections that write are of the process: each stream has its share, and at least one, so that none can take another's. */
function lanesOf(config: Config, streams: number): number {
  return Math.max(1, Math.floor(config.postgres.poolMax / streams))
}

/** Records of our partitions that wait, as far as it is known. */
function lagOf(engine: Engine | undefined): number {
  return engine?.status()?.partitions.reduce((sum, partition) => sum + (partition.lagRecords ?? 0), 0) ?? 0
}
