import { REASONS } from '../engine/dead-letter.ts'
import { DEPENDENCIES } from '../engine/errors.ts'
import { PAUSE_REASONS } from '../engine/facts.ts'
import type { Figures } from '../engine/figures.ts'
import { OUTCOMES } from '../engine/outcome.ts'
import { POOL_STATES, POOLS, type StreamStatus } from '../engine/status.ts'
import { UNUSUAL } from '../engine/verdict.ts'
import { ATTENTION } from '../inbox/causes.ts'
import { REDRIVE_RESULTS } from '../inbox/redrive-ports.ts'
import { NOTICE_KINDS, NOTICE_RESULTS } from '../notify/notice.ts'
import { CACHE_RESULTS, type CacheStats, EVICTION_CAUSES, HTTP_METHODS, HTTP_REFUSALS } from '../read/read-side.ts'

/** A label whose values cannot be listed beforehand, though there are few of them: their form, and what they are. */
export interface Pattern {
  readonly matches: RegExp
  readonly about: string
}

/** The properties of a stream that metrics need. */
export interface MetricStream {
  readonly name: string
  readonly unusualKinds: readonly string[]
}

/** A label whose values come from the streams that the process runs. */
export interface OfStream extends Pattern {
  /** All values there can be with this stream. */
  readonly of: (stream: MetricStream) => readonly string[]
}

/** What a metric is, as Prometheus and the documentation describe it. */
export interface MetricSpec {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly unit: 'records' | 'seconds' | 'bytes' | 'none'
  /** Names, each with all its values. Closed sets and partitions: never a key, a uid or an offset. */
  readonly labels: Readonly<Record<string, readonly string[] | Pattern | OfStream>>
  readonly help: string
  /** Upper bounds of a histogram's buckets, in its unit. */
  readonly buckets?: readonly number[]
}

/** Put before every name; only the runtime's own metrics (`process_`, `nodejs_`) go by their usual names. */
export const PREFIX = 'holdfast_'

const STREAM = {
  stream: { matches: /^[a-z][a-z0-9_-]*$/, about: 'its name', of: ({ name }: MetricStream) => [name] },
}
const PARTITION = {
  ...STREAM,
  topic: { matches: /^[A-Za-z0-9._-]+$/, about: 'of the stream' },
  partition: { matches: /^\d+$/, about: 'its number' },
}
const UNUSUAL_KIND = {
  matches: /^[a-z][a-z0-9_]*$/,
  about: `${UNUSUAL.map(kind => `\`${kind}\``).join(', ')}, and the \`unusualKinds\` of the stream's definition`,
  of: ({ unusualKinds }: MetricStream) => [...UNUSUAL, ...unusualKinds],
}
/** The reason of a dead letter that another program wrote, in words of its own. */
export const OTHER = 'other'
const STAGES = ['validate', 'divert', 'write', 'commit'] as const

/** The one list of our metrics: what is exported, documented and drawn on dashboards comes from here. */
export const METRICS = {
  records_total: {
    type: 'counter',
    unit: 'records',
    labels: { ...PARTITION, outcome: OUTCOMES },
    help: 'Records settled, by what became of them.',
  },
  dead_letters_total: {
    type: 'counter',
    unit: 'records',
    labels: { ...STREAM, reason: REASONS },
    help: 'Records acknowledged by the DLQ topic, by reason.',
  },
  dead_letters_open: {
    type: 'gauge',
    unit: 'records',
    labels: { ...STREAM, reason: [...REASONS, OTHER] },
    help: 'Dead letters that wait for a decision, by reason; other: dead-lettered by another program. Every replica reports the same: take max, not sum.',
  },
  dead_letters_parked: {
    type: 'gauge',
    unit: 'records',
    labels: STREAM,
    help: 'Dead letters that failed once more after REPLAY_MAX redrives. Every replica reports the same: take max, not sum.',
  },
  dead_letters_oldest_age_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: STREAM,
    help: 'How long the oldest open dead letter has waited since it last failed; 0 when none is open. Every replica reports the same: take max, not sum.',
  },
  dead_letter_causes: {
    type: 'gauge',
    unit: 'none',
    labels: { ...STREAM, state: ATTENTION },
    help: 'Causes of open and parked dead letters that ask for attention: new, regressed (came back after all of it was resolved) or due (its snooze is over). Every replica reports the same: take max, not sum.',
  },
  replay_records_total: {
    type: 'counter',
    unit: 'records',
    labels: { ...STREAM, result: REDRIVE_RESULTS },
    help: 'Dead letters redriven: what became of them when they were settled again; published counts those that went to the topic first.',
  },
  replay_in_progress: {
    type: 'gauge',
    unit: 'none',
    labels: STREAM,
    help: '1 while a redrive is under way, 0 otherwise. Every replica reports the same: take max, not sum.',
  },
  replay_records_pending: {
    type: 'gauge',
    unit: 'records',
    labels: STREAM,
    help: 'Dead letters of the redrive under way whose turn has not come; 0 without one. Every replica reports the same: take max, not sum.',
  },
  notifications_total: {
    type: 'counter',
    unit: 'none',
    labels: { kind: NOTICE_KINDS, result: NOTICE_RESULTS },
    help: 'Messages to operators (NOTIFY_WEBHOOK_URL): sent; failed, once for each attempt that is repeated; dropped after a day of them.',
  },
  expired_records_total: {
    type: 'counter',
    unit: 'records',
    labels: PARTITION,
    help: 'Offsets that retention removed before they were read: any increase is a loss.',
  },
  unusual_records_total: {
    type: 'counter',
    unit: 'records',
    labels: { ...STREAM, kind: UNUSUAL_KIND },
    help: 'Records with something remarkable about them: they are settled like any other.',
  },
  retries_total: {
    type: 'counter',
    unit: 'none',
    labels: { ...STREAM, class: DEPENDENCIES },
    help: 'Attempts beyond the first, by the dependency that made them necessary.',
  },
  commit_failures_total: {
    type: 'counter',
    unit: 'none',
    labels: STREAM,
    help: 'Commits of offsets that the broker refused; they are repeated, and nothing is lost meanwhile.',
  },
  rebalances_total: {
    type: 'counter',
    unit: 'none',
    labels: STREAM,
    help: 'Assignments and revocations by the group.',
  },
  batch_records: {
    type: 'histogram',
    unit: 'records',
    labels: STREAM,
    help: 'Records in a settled batch.',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000],
  },
  batch_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: { ...STREAM, stage: STAGES },
    help: 'Time that a batch spent in a stage; commit is the time until the broker confirmed the offsets.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
  end_to_end_latency_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: STREAM,
    help: 'From the timestamp of the oldest record of a batch to the commit that covers it.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200],
  },
  consumer_lag_records: {
    type: 'gauge',
    unit: 'records',
    labels: PARTITION,
    help: 'High-water mark minus progress. While the broker does not answer, by its last mark, and absent rather than 0.',
  },
  consumer_lag_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: PARTITION,
    help: 'Age of the record that is next to be settled, by its timestamp, whether it is in hand or waits in Kafka; 0 when there is none. True while paused; while the broker does not answer, it grows, and is absent rather than 0.',
  },
  consumer_lag_known_timestamp_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: PARTITION,
    help: 'When the broker last reported the high-water mark, in Unix time: a lag is as old as that.',
  },
  partition_paused: {
    type: 'gauge',
    unit: 'none',
    labels: { ...STREAM, partition: PARTITION.partition, reason: PAUSE_REASONS },
    help: '1 while the partition is not fetched for this reason.',
  },
  partition_last_progress_timestamp_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: PARTITION,
    help: 'When the last batch of the partition was settled, in Unix time.',
  },
  breaker_open: {
    type: 'gauge',
    unit: 'none',
    labels: { ...STREAM, dependency: DEPENDENCIES },
    help: '1 while the stream waits for this dependency.',
  },
  stream_halted: {
    type: 'gauge',
    unit: 'none',
    labels: STREAM,
    help: '1 while the stream is stopped by a failure and tried again at intervals, because other streams of the process run; else 0.',
  },
  inflight_records: {
    type: 'gauge',
    unit: 'records',
    labels: STREAM,
    help: 'Records received and not settled yet.',
  },
  cache_requests_total: {
    type: 'counter',
    unit: 'none',
    labels: { ...STREAM, result: CACHE_RESULTS },
    help: 'Lookups in the cache, by result.',
  },
  cache_bytes: {
    type: 'gauge',
    unit: 'bytes',
    labels: STREAM,
    help: 'Memory that the cache holds, its own overhead included.',
  },
  cache_entries: {
    type: 'gauge',
    unit: 'none',
    labels: STREAM,
    help: 'Values in the cache.',
  },
  cache_evictions_total: {
    type: 'counter',
    unit: 'none',
    labels: { ...STREAM, cause: EVICTION_CAUSES },
    help: 'Values that left the cache, by cause.',
  },
  pg_pool_connections: {
    type: 'gauge',
    unit: 'none',
    labels: { pool: POOLS, state: POOL_STATES },
    help: 'Connections to Postgres, by the work they are for; used: lent at this moment.',
  },
  pg_pool_max_connections: {
    type: 'gauge',
    unit: 'none',
    labels: { pool: POOLS },
    help: 'Connections that a pool may have.',
  },
  pg_pool_waiting: {
    type: 'gauge',
    unit: 'none',
    labels: { pool: POOLS },
    help: 'Work that waits for a connection.',
  },
  pg_pool_wait_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: { pool: POOLS },
    help: 'Time until a connection was lent, the making of a new one included; waits that failed count as well.',
    buckets: [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
  http_request_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: {
      method: HTTP_METHODS,
      route: {
        matches: /^(static|unmatched|\/[a-z/:._-]*)$/,
        about: 'the pattern that matched, `static` or `unmatched`',
      },
      status: { matches: /^[1-5]\d\d$/, about: 'of the answer; 499: the client went away first' },
    },
    help: 'Time from a request to the end of its answer, by route pattern.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
  http_refusals_total: {
    type: 'counter',
    unit: 'none',
    labels: { reason: HTTP_REFUSALS },
    help: 'Requests that were refused, and connections that were closed, without any work done for them.',
  },
  health_check_ok: {
    type: 'gauge',
    unit: 'none',
    labels: {
      probe: ['live', 'ready'],
      check: { matches: /^[a-z_]+$/, about: 'its name on `/livez?verbose` and `/readyz?verbose`, without the stream' },
      stream: { matches: /^([a-z][a-z0-9_-]*)?$/, about: 'the stream that it is about; empty: the process' },
    },
    help: 'Whether the check passes: 1 or 0.',
  },
  build_info: {
    type: 'gauge',
    unit: 'none',
    labels: {
      version: { matches: /^\d+\.\d+\.\d+/, about: 'of Holdfast' },
      node: { matches: /^v\d+\./, about: 'the version of Node' },
    },
    help: 'Always 1; the labels say what runs.',
  },
} as const satisfies Record<string, MetricSpec>

export type MetricName = keyof typeof METRICS

/** Names of the metrics of a type. */
export type NamesOf<Type extends MetricSpec['type']> = {
  [Name in MetricName]: (typeof METRICS)[Name]['type'] extends Type ? Name : never
}[MetricName]

/** Only values of the closed set, where there is one. */
export type LabelsOf<Name extends MetricName> = {
  readonly [Label in keyof (typeof METRICS)[Name]['labels']]: (typeof METRICS)[Name]['labels'][Label] extends readonly (infer Value)[]
    ? Value
    : string | number
}

/** What sets gauges from figures that were collected elsewhere. */
export interface Gauges {
  set<Name extends NamesOf<'gauge'>>(name: Name, labels: LabelsOf<Name>, value: number): void
  /** Takes away all its series: an unknown figure is not reported, neither as it was nor as 0. */
  clear(name: NamesOf<'gauge'>): void
}

/** A stream as it is now. */
export interface StreamFigures {
  readonly stream: string
  /** `undefined` until this process consumes it. */
  readonly status?: StreamStatus | undefined
  readonly cache?: CacheStats | undefined
  /** What the database counts; `undefined` while that is not known. */
  readonly figures?: Figures | undefined
}
