import type { Row } from '../board.ts'
import { UNITS } from '../panel.ts'

const quantile = (q: number, of: string, filter: string, by = '') =>
  `histogram_quantile(${q}, sum by (${by}le) (rate(holdfast_${of}_bucket{${filter}}[$__rate_interval])))`

/** Rate, errors and duration of the stream, as its consumers experience them. */
export const red: Row = {
  title: 'Rate, errors, duration',
  panels: [
    {
      title: 'Records by outcome',
      about:
        '`written`: stored. `superseded`: a later record of the same batch replaced it. `stale`, `duplicate`: what is stored is newer, or the same. `dead_lettered`: set aside.',
      unit: UNITS.perSecond,
      kind: 'stack',
      queries: [
        {
          expr: 'sum by (outcome) (rate(holdfast_records_total{job="$job",stream=~"$stream"}[$__rate_interval]))',
          legend: '{{outcome}}',
        },
      ],
      runbook: 'HoldfastNoProgress',
    },
    {
      title: 'Records by partition',
      about: 'How the load is spread. A line at zero beside busy ones stands still: see its pauses.',
      unit: UNITS.perSecond,
      kind: 'lines',
      queries: [
        {
          expr: 'sum by (stream, partition) (rate(holdfast_records_total{job="$job",stream=~"$stream"}[$__rate_interval]))',
          legend: '{{stream}} {{partition}}',
        },
      ],
      runbook: 'HoldfastNoProgress',
    },
    {
      title: 'HTTP requests',
      about: 'By the pattern that matched. `static` are files of the pages, `unmatched` paths that do not exist.',
      unit: 'reqps',
      kind: 'stack',
      queries: [
        {
          expr: 'sum by (method, route) (rate(holdfast_http_request_duration_seconds_count{job="$job",instance=~"$instance"}[$__rate_interval]))',
          legend: '{{method}} {{route}}',
        },
      ],
      runbook: 'HoldfastNotReady',
    },
    {
      title: 'Share of records set aside',
      about:
        'Dead letters of all records. Single bad records are usual; a tenth means that a producer or the schema has changed.',
      unit: UNITS.share,
      kind: 'lines',
      queries: [
        {
          expr: 'sum(rate(holdfast_records_total{job="$job",stream=~"$stream",outcome="dead_lettered"}[$__rate_interval])) / sum(rate(holdfast_records_total{job="$job",stream=~"$stream"}[$__rate_interval]))',
          legend: 'dead-lettered',
        },
      ],
      max: 1,
      runbook: 'HoldfastDeadLetterRatioHigh',
      console: 'view=groups',
    },
    {
      title: 'Attempts beyond the first',
      about: 'By the dependency that made them necessary. An outage shows here, and in no dead letter.',
      unit: UNITS.perSecond,
      kind: 'lines',
      queries: [
        {
          expr: 'sum by (class) (rate(holdfast_retries_total{job="$job",stream=~"$stream",instance=~"$instance"}[$__rate_interval]))',
          legend: '{{class}}',
        },
        {
          expr: 'sum(rate(holdfast_commit_failures_total{job="$job",stream=~"$stream",instance=~"$instance"}[$__rate_interval]))',
          legend: 'commits that Kafka refused',
        },
      ],
      runbook: 'HoldfastCommitsFailing',
    },
    {
      title: 'HTTP answers that are errors',
      about:
        '4xx: what was asked is wrong, missing or forbidden. 5xx: we could not; 503 while Postgres is away is meant so.',
      unit: 'reqps',
      kind: 'lines',
      queries: [
        {
          expr: 'sum by (status) (rate(holdfast_http_request_duration_seconds_count{job="$job",instance=~"$instance",status=~"[45].."}[$__rate_interval]))',
          legend: '{{status}}',
        },
      ],
      whenNone: 'no errors',
      runbook: 'HoldfastBreakerOpen',
    },
    {
      title: 'End to end',
      about:
        'From the timestamp of the oldest record of a batch to the commit that covers it. A dot leads to the trace of one batch.',
      unit: UNITS.seconds,
      kind: 'lines',
      queries: [
        { expr: quantile(0.5, 'end_to_end_latency_seconds', 'job="$job",stream=~"$stream"'), legend: 'p50' },
        { expr: quantile(0.95, 'end_to_end_latency_seconds', 'job="$job",stream=~"$stream"'), legend: 'p95' },
        {
          expr: quantile(0.99, 'end_to_end_latency_seconds', 'job="$job",stream=~"$stream"'),
          legend: 'p99',
          examples: true,
        },
      ],
      runbook: 'HoldfastLagHigh',
    },
    {
      title: 'Stages of a batch, p95',
      about:
        '`validate` is our own CPU, `divert` the dead-letter topic, `write` Postgres, `commit` Kafka. The slowest is where to look.',
      unit: UNITS.seconds,
      kind: 'lines',
      queries: [
        {
          expr: quantile(
            0.95,
            'batch_duration_seconds',
            'job="$job",stream=~"$stream",instance=~"$instance"',
            'stage, ',
          ),
          legend: '{{stage}}',
          examples: true,
        },
      ],
      runbook: 'HoldfastLagHigh',
    },
    {
      title: 'HTTP, p99',
      about:
        'Until the end of the answer, by route. A held order takes well below a millisecond here; what takes longer asks Postgres.',
      unit: UNITS.seconds,
      kind: 'lines',
      queries: [
        {
          expr: quantile(0.99, 'http_request_duration_seconds', 'job="$job",instance=~"$instance"', 'method, route, '),
          legend: '{{method}} {{route}}',
          examples: true,
        },
      ],
      runbook: 'HoldfastPoolWaits',
    },
    {
      title: 'End to end, all of it',
      about:
        'How many batches took how long: the darker, the more. A second band above the first is a part of the stream that goes another way.',
      unit: UNITS.seconds,
      kind: 'heat',
      width: 24,
      queries: [
        {
          expr: 'sum by (le) (increase(holdfast_end_to_end_latency_seconds_bucket{job="$job",stream=~"$stream"}[$__rate_interval]))',
          legend: '{{le}}',
        },
      ],
      runbook: 'HoldfastLagHigh',
    },
  ],
}
