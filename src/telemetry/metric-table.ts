/** What a metric is, as Prometheus and the documentation tell it. */
export interface MetricSpec {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly unit: 'records' | 'seconds' | 'bytes' | 'none'
  /** Closed sets and partitions: never a key, a uid or an offset. */
  readonly labels: readonly string[]
  readonly help: string
  /** Upper bounds of a histogram's buckets, in its unit. */
  readonly buckets?: readonly number[]
}

/** Put before every name; only the runtime's own metrics (`process_`, `nodejs_`) go by their usual names. */
export const PREFIX = 'holdfast_'

/** The one list of our metrics: what is exported, documented and drawn on dashboards comes from here. */
export const METRICS = {
  records_total: {
    type: 'counter',
    unit: 'records',
    labels: ['topic', 'partition', 'outcome'],
    help: 'Records settled, by what became of them.',
  },
  dead_letters_total: {
    type: 'counter',
    unit: 'records',
    labels: ['reason'],
    help: 'Records acknowledged by the DLQ topic, by reason.',
  },
  expired_records_total: {
    type: 'counter',
    unit: 'records',
    labels: ['topic', 'partition'],
    help: 'Offsets that retention removed before they were read: any increase is a loss.',
  },
  unusual_records_total: {
    type: 'counter',
    unit: 'records',
    labels: ['what'],
    help: 'Valid records with something remarkable about them: written all the same.',
  },
  retries_total: {
    type: 'counter',
    unit: 'none',
    labels: ['class'],
    help: 'Attempts beyond the first, by the dependency that made them necessary.',
  },
  rebalances_total: {
    type: 'counter',
    unit: 'none',
    labels: [],
    help: 'Assignments and revocations that the group told us of.',
  },
  batch_records: {
    type: 'histogram',
    unit: 'records',
    labels: [],
    help: 'Records in a settled batch.',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000],
  },
  batch_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['stage'],
    help: 'Time that a batch spent in a stage; commit is the time until the broker confirmed the offsets.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
  end_to_end_latency_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: [],
    help: 'From the timestamp of the oldest record of a batch to the commit that covers it.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200],
  },
  consumer_lag_records: {
    type: 'gauge',
    unit: 'records',
    labels: ['topic', 'partition'],
    help: 'High-water mark minus progress.',
  },
  consumer_lag_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: ['topic', 'partition'],
    help: 'Age of the oldest record in hand that is not settled; 0 when there is none. True while paused.',
  },
  partition_paused: {
    type: 'gauge',
    unit: 'none',
    labels: ['partition', 'reason'],
    help: '1 while the partition is not fetched for this reason.',
  },
  partition_last_progress_timestamp_seconds: {
    type: 'gauge',
    unit: 'seconds',
    labels: ['topic', 'partition'],
    help: 'When the last batch of the partition was settled, in Unix time.',
  },
  breaker_open: {
    type: 'gauge',
    unit: 'none',
    labels: ['dependency'],
    help: '1 while the stream waits for this dependency.',
  },
  inflight_records: {
    type: 'gauge',
    unit: 'records',
    labels: [],
    help: 'Records received and not settled yet.',
  },
  cache_requests_total: {
    type: 'counter',
    unit: 'none',
    labels: ['result'],
    help: 'Lookups in the cache, by result.',
  },
  cache_bytes: {
    type: 'gauge',
    unit: 'bytes',
    labels: [],
    help: 'Memory that the cache holds, its own overhead included.',
  },
  cache_entries: {
    type: 'gauge',
    unit: 'none',
    labels: [],
    help: 'Orders in the cache.',
  },
  cache_evictions_total: {
    type: 'counter',
    unit: 'none',
    labels: ['cause'],
    help: 'Orders that left the cache, by cause.',
  },
  http_request_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    labels: ['method', 'route', 'status'],
    help: 'Time from a request to the end of its answer, by route pattern.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
  build_info: {
    type: 'gauge',
    unit: 'none',
    labels: ['version', 'node'],
    help: 'Always 1; the labels tell what runs.',
  },
} as const satisfies Record<string, MetricSpec>

export type MetricName = keyof typeof METRICS
