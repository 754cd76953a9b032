import type { Row } from '../board.ts'
import { UNITS } from '../panel.ts'

/** The overview: whether the service is healthy and keeps up with its stream. */
export const healthy: Row = {
  title: 'Is it healthy?',
  panels: [
    {
      title: 'Alerts',
      about: 'Alerts of `prometheus/rules` that fire now. The runbook of each is on the dashboard of runbooks.',
      unit: UNITS.count,
      kind: 'figure',
      queries: [{ expr: 'count(ALERTS{alertname=~"Holdfast.+",alertstate="firing"}) or vector(0)', legend: 'firing' }],
      thresholds: [[1, 'red']],
      runbook: 'HoldfastNotReady',
    },
    {
      title: 'Behind by',
      about:
        'The longest that a record waits which is not settled yet: as late as this an order may appear. Goes on growing while a partition is paused.',
      unit: UNITS.seconds,
      kind: 'figure',
      queries: [{ expr: 'max(holdfast_consumer_lag_seconds{job="$job",stream=~"$stream"})', legend: 'lag' }],
      thresholds: [
        [60, 'orange'],
        [300, 'red'],
      ],
      whenNone: 'not known',
      runbook: 'HoldfastLagHigh',
    },
    {
      title: 'Settled',
      about: 'Records that found their end, whatever it was: written, superseded, stale, duplicate or dead-lettered.',
      unit: UNITS.perSecond,
      kind: 'figure',
      queries: [
        {
          expr: 'sum(rate(holdfast_records_total{job="$job",stream=~"$stream"}[$__rate_interval]))',
          legend: 'settled',
        },
      ],
      runbook: 'HoldfastNoProgress',
    },
    {
      title: 'Latency, p99',
      about:
        'From the timestamp of the oldest record of a batch to the commit that covers it. Includes the backlog that a start finds.',
      unit: UNITS.seconds,
      kind: 'figure',
      queries: [
        {
          expr: 'histogram_quantile(0.99, sum by (le) (rate(holdfast_end_to_end_latency_seconds_bucket{job="$job",stream=~"$stream"}[$__rate_interval])))',
          legend: 'p99',
        },
      ],
      thresholds: [
        [5, 'orange'],
        [60, 'red'],
      ],
      runbook: 'HoldfastLagHigh',
    },
    {
      title: 'Dead letters open',
      about: 'Records that were set aside and wait for a decision: repair, redrive or discard them in the console.',
      unit: UNITS.count,
      kind: 'figure',
      // Every replica reports the same value, so any one of them will do.
      queries: [
        {
          expr: 'sum(max by (stream, reason) (holdfast_dead_letters_open{job="$job",stream=~"$stream"}))',
          legend: 'open',
        },
      ],
      thresholds: [[1, 'orange']],
      whenNone: 'not known',
      runbook: 'HoldfastDeadLettersUntouched',
    },
    {
      title: 'Ready',
      about:
        'Replicas that pass every check of `/readyz`. Which check fails, and since when, is on `/readyz?verbose` of the replica.',
      unit: UNITS.share,
      kind: 'figure',
      queries: [
        {
          expr: 'avg(min by (instance) (holdfast_health_check_ok{job="$job",probe="ready"}))',
          legend: 'ready',
        },
      ],
      names: { 0: ['none', 'red'], 1: ['all', 'green'] },
      runbook: 'HoldfastNotReady',
    },
    {
      title: 'Lag by partition',
      about:
        'Age of the oldest record of each partition that is not settled. One line above the others: a hot key, or a slow owner. All of them: we, or Postgres, are slower than the producers.',
      unit: UNITS.seconds,
      kind: 'lines',
      queries: [
        {
          expr: 'max by (stream, partition) (holdfast_consumer_lag_seconds{job="$job",stream=~"$stream"})',
          legend: '{{stream}} {{partition}}',
        },
      ],
      runbook: 'HoldfastLagHigh',
    },
    {
      title: 'Records waiting',
      about:
        'Between progress and the end of each partition, in records. Falls steadily while a backlog is worked off.',
      unit: UNITS.count,
      kind: 'stack',
      queries: [
        {
          expr: 'max by (stream, partition) (holdfast_consumer_lag_records{job="$job",stream=~"$stream"})',
          legend: '{{stream}} {{partition}}',
        },
      ],
      runbook: 'HoldfastNoProgress',
    },
    {
      title: 'Checks that fail',
      about: 'How many replicas fail each check of `/livez` and `/readyz`. Nothing above zero is the good picture.',
      unit: UNITS.count,
      kind: 'stack',
      queries: [
        {
          expr: 'sum by (probe, check, stream) (1 - holdfast_health_check_ok{job="$job",instance=~"$instance"})',
          legend: '{{probe}}: {{check}} {{stream}}',
        },
      ],
      runbook: 'HoldfastNotReady',
    },
  ],
}
