import type { PauseReason } from '#src/engine/facts.ts'
import type { Row } from '../board.ts'
import { UNITS } from '../panel.ts'

/** The values of the pause bands: the higher, the more urgent for an operator. A new reason does not compile without an entry here. */
const PAUSES: Readonly<Record<PauseReason, readonly [value: number, text: string, color: string]>> = {
  backpressure: [1, 'buffers full', 'blue'],
  store_away: [2, 'waits for Postgres', 'orange'],
  store_contended: [3, 'waits for a lock in Postgres', 'orange'],
  dlq_away: [4, 'waits for the dead-letter topic', 'orange'],
  position_unknown: [5, 'no answer from Kafka: no leader', 'orange'],
  operator: [6, 'paused by an operator', 'purple'],
  storm_guard: [7, 'storm of dead letters', 'red'],
  halted: [8, 'halted: needs a decision', 'dark-red'],
}
const pauses = Object.entries(PAUSES)
  .map(([reason, [value]]) => `${value} * holdfast_partition_paused{job="$job",stream=~"$stream",reason="${reason}"}`)
  .join(' or ')

/** The stream's resources: their utilisation, saturation and errors. */
export const use: Row = {
  title: 'Utilisation, saturation, errors',
  panels: [
    {
      title: 'Pauses',
      about:
        'Why a partition is not fetched. `buffers full` is usual while a backlog is worked off; the outages end by themselves; red ones wait for `holdfast resume` or `holdfast seek`.',
      unit: UNITS.count,
      kind: 'states',
      queries: [{ expr: `max by (stream, partition) (${pauses})`, legend: '{{stream}} {{partition}}' }],
      names: {
        0: ['flows', 'green'],
        ...Object.fromEntries(Object.values(PAUSES).map(([value, text, color]) => [value, [text, color] as const])),
      },
      runbook: 'HoldfastStormGuard',
    },
    {
      title: 'Breakers',
      about: 'Open while the stream waits for a dependency: nothing is fetched, no record is blamed.',
      unit: UNITS.count,
      kind: 'states',
      queries: [
        {
          expr: 'max by (stream, dependency) (holdfast_breaker_open{job="$job",stream=~"$stream",instance=~"$instance"})',
          legend: '{{stream}}: {{dependency}}',
        },
      ],
      names: { 0: ['closed', 'green'], 1: ['open', 'red'] },
      runbook: 'HoldfastBreakerOpen',
    },
    {
      title: 'Since the last progress',
      about:
        'Time since the last batch of each partition was settled. Grows on a quiet topic, too: it means something beside records that wait.',
      unit: UNITS.seconds,
      kind: 'lines',
      queries: [
        {
          expr: 'min by (stream, partition) (time() - holdfast_partition_last_progress_timestamp_seconds{job="$job",stream=~"$stream"})',
          legend: '{{stream}} {{partition}}',
        },
      ],
      runbook: 'HoldfastNoProgress',
    },
    {
      title: 'In flight',
      about: 'Records received and not settled yet. Bounded: when it is full, partitions pause.',
      unit: UNITS.count,
      kind: 'lines',
      queries: [
        {
          expr: 'sum by (instance) (holdfast_inflight_records{job="$job",stream=~"$stream",instance=~"$instance"})',
          legend: '{{instance}}',
        },
      ],
      runbook: 'HoldfastLagHigh',
    },
    {
      title: 'Records in a batch',
      about:
        'Small ones under light load, for the sake of latency; up to `BATCH_MAX_RECORDS` under a backlog, for the sake of throughput.',
      unit: UNITS.count,
      kind: 'lines',
      queries: [
        {
          expr: 'sum(rate(holdfast_batch_records_sum{job="$job",stream=~"$stream",instance=~"$instance"}[$__rate_interval])) / sum(rate(holdfast_batch_records_count{job="$job",stream=~"$stream",instance=~"$instance"}[$__rate_interval]))',
          legend: 'mean',
        },
        {
          expr: 'histogram_quantile(0.95, sum by (le) (rate(holdfast_batch_records_bucket{job="$job",stream=~"$stream",instance=~"$instance"}[$__rate_interval])))',
          legend: 'p95',
        },
      ],
      runbook: 'HoldfastLagHigh',
    },
    {
      title: 'Rebalances and starts',
      about:
        'Assignments and revocations of the group, and starts of processes. A deployment makes a few; a steady rain of them costs throughput.',
      unit: UNITS.count,
      kind: 'lines',
      queries: [
        {
          expr: 'sum(increase(holdfast_rebalances_total{job="$job",stream=~"$stream",instance=~"$instance"}[$__rate_interval]))',
          legend: 'rebalances',
        },
        {
          expr: 'sum(changes(process_start_time_seconds{job="$job",instance=~"$instance"}[$__rate_interval]))',
          legend: 'starts',
        },
      ],
      runbook: 'HoldfastRestarting',
    },
    {
      title: 'Connections to Postgres',
      about:
        'Lent ones of those that each pool may have. `lanes` write the stream, `read` serves the API, `jobs` carries out redrives.',
      unit: UNITS.share,
      kind: 'lines',
      queries: [
        {
          expr: 'sum by (pool) (holdfast_pg_pool_connections{job="$job",instance=~"$instance",state="used"}) / sum by (pool) (holdfast_pg_pool_max_connections{job="$job",instance=~"$instance"})',
          legend: '{{pool}}',
        },
      ],
      max: 1,
      runbook: 'HoldfastPoolWaits',
    },
    {
      title: 'Waiting for a connection',
      about: 'Work in the queue of each pool. Above zero for long: statements are slow, or the pool is small.',
      unit: UNITS.count,
      kind: 'stack',
      queries: [
        { expr: 'sum by (pool) (holdfast_pg_pool_waiting{job="$job",instance=~"$instance"})', legend: '{{pool}}' },
      ],
      runbook: 'HoldfastPoolWaits',
    },
    {
      title: 'Wait for a connection, p95',
      about: 'Until a connection was lent, the making of a new one included.',
      unit: UNITS.seconds,
      kind: 'lines',
      queries: [
        {
          expr: 'histogram_quantile(0.95, sum by (pool, le) (rate(holdfast_pg_pool_wait_seconds_bucket{job="$job",instance=~"$instance"}[$__rate_interval])))',
          legend: '{{pool}}',
          examples: true,
        },
      ],
      runbook: 'HoldfastPoolWaits',
    },
  ],
}
