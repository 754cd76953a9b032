import type { Row } from '../board.ts'
import { UNITS } from '../panel.ts'
import { parked } from './parked.ts'

const TASKS = 'view=replays'
const SETTLED = 'result=~"resolved|failed_again|parked"'
const FAILED = 'result=~"failed_again|parked"'

/** The redrive itself: its progress, its rate, and the outcome of its letters. */
const progress: Row = {
  title: 'How far, how fast, to what end?',
  panels: [
    {
      title: 'Under way',
      about:
        'At most one redrive runs at a time, in one of the replicas. The console shows its progress, and pauses or cancels it.',
      unit: UNITS.count,
      kind: 'figure',
      queries: [{ expr: 'max(holdfast_replay_in_progress{job="$job",stream=~"$stream"})', legend: 'under way' }],
      names: { 0: ['no', 'text'], 1: ['yes', 'blue'] },
      whenNone: 'not known',
      runbook: 'HoldfastDeadLettersUntouched',
      console: TASKS,
    },
    {
      title: 'Still to come',
      about: 'Members of the frozen set whose turn has not come. Falls to 0 at the rate that was asked for.',
      unit: UNITS.count,
      kind: 'figure',
      queries: [
        {
          expr: 'sum(max by (stream) (holdfast_replay_records_pending{job="$job",stream=~"$stream"}))',
          legend: 'pending',
        },
      ],
      whenNone: 'not known',
      runbook: 'HoldfastDeadLettersUntouched',
      console: TASKS,
    },
    {
      title: 'Settled again',
      about:
        'Dead letters settled once more, in the store, or as records of the topic. The rate is the one that was asked for, or what the database and the broker take.',
      unit: UNITS.perSecond,
      kind: 'figure',
      queries: [
        {
          expr: `sum(rate(holdfast_replay_records_total{job="$job",stream=~"$stream",${SETTLED}}[$__rate_interval]))`,
          legend: 'settled again',
        },
      ],
      runbook: 'HoldfastDeadLettersUntouched',
      console: TASKS,
    },
    {
      title: 'Failed again',
      about:
        'Of those that were settled in the time that is shown. Much of it: pause the redrive, the cause is still there.',
      unit: UNITS.share,
      kind: 'figure',
      queries: [
        {
          expr: `sum(increase(holdfast_replay_records_total{job="$job",stream=~"$stream",${FAILED}}[$__range])) / clamp_min(sum(increase(holdfast_replay_records_total{job="$job",stream=~"$stream",${SETTLED}}[$__range])), 1)`,
          legend: 'failed again',
        },
      ],
      thresholds: [
        [0.01, 'orange'],
        [0.5, 'red'],
      ],
      runbook: 'HoldfastDeadLetterRatioHigh',
      console: 'view=groups',
    },
    parked,
    {
      title: 'Oldest open',
      about: 'How long the oldest open dead letter has waited since it last failed.',
      unit: UNITS.seconds,
      kind: 'figure',
      queries: [
        { expr: 'max(holdfast_dead_letters_oldest_age_seconds{job="$job",stream=~"$stream"})', legend: 'oldest' },
      ],
      thresholds: [[86_400, 'red']],
      whenNone: 'not known',
      runbook: 'HoldfastDeadLettersUntouched',
      console: 'view=list&q=state:open',
    },
    {
      title: 'Results',
      about:
        '`resolved` (written, or what is stored is newer or the same), `failed_again`, `parked`, once settled; `published` counts what went to the topic before that. `skipped`: an operator decided otherwise before its turn.',
      unit: UNITS.perSecond,
      kind: 'lines',
      queries: [
        {
          expr: 'sum by (result) (rate(holdfast_replay_records_total{job="$job",stream=~"$stream"}[$__rate_interval]))',
          legend: '{{result}}',
        },
      ],
      runbook: 'HoldfastDeadLettersUntouched',
      console: TASKS,
    },
    {
      title: 'Results, added up',
      about:
        'The same as sums over the time that is shown. With `--to topic`, `resolved`, `failed_again` and `parked` end up where `published` does.',
      unit: UNITS.count,
      kind: 'figure',
      width: 8,
      queries: [
        {
          expr: 'sum by (result) (increase(holdfast_replay_records_total{job="$job",stream=~"$stream"}[$__range]))',
          legend: '{{result}}',
        },
      ],
      runbook: 'HoldfastDeadLettersUntouched',
      console: TASKS,
    },
    {
      title: 'Open dead letters',
      about: 'By reason. A redrive that helps makes them fewer, and what is left is what it did not help.',
      unit: UNITS.count,
      kind: 'stack',
      queries: [
        {
          expr: 'sum by (reason) (max by (stream, reason) (holdfast_dead_letters_open{job="$job",stream=~"$stream"}))',
          legend: '{{reason}}',
        },
      ],
      whenNone: 'not known',
      runbook: 'HoldfastDeadLettersUntouched',
      console: 'view=list&q=state:open',
    },
  ],
}

/** The effect on live traffic: a redrive that publishes too fast delays new orders. */
const beside: Row = {
  title: 'Does the stream bear it?',
  panels: [
    {
      title: 'Behind by',
      about: 'The longest that a record waits. When it grows with the redrive, give the redrive a lower rate.',
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
      title: 'Records by outcome',
      about:
        'All records, those of the redrive among them: they come back on the topic of the orders. `stale`: a newer version is stored.',
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
      title: 'Set aside',
      about: 'New dead letters by reason. Those of the redrive that fail again are here, too.',
      unit: UNITS.perSecond,
      kind: 'stack',
      queries: [
        {
          expr: 'sum by (reason) (rate(holdfast_dead_letters_total{job="$job",stream=~"$stream"}[$__rate_interval]))',
          legend: '{{reason}}',
        },
      ],
      runbook: 'HoldfastDeadLettersArriving',
      console: 'view=groups',
    },
    {
      title: 'Connections in use',
      about:
        'A redrive has connections of its own, `jobs`, and takes none from the stream (`lanes`) and the API (`read`).',
      unit: UNITS.count,
      kind: 'stack',
      width: 12,
      queries: [{ expr: 'sum by (pool) (holdfast_pg_pool_connections{job="$job",state="used"})', legend: '{{pool}}' }],
      runbook: 'HoldfastPoolWaits',
    },
    {
      title: 'Stages of a batch, p95',
      about: '`divert` grows when much fails again; `write` when Postgres has too much to do.',
      unit: UNITS.seconds,
      kind: 'lines',
      width: 12,
      queries: [
        {
          expr: 'histogram_quantile(0.95, sum by (stage, le) (rate(holdfast_batch_duration_seconds_bucket{job="$job",stream=~"$stream"}[$__rate_interval])))',
          legend: '{{stage}}',
          examples: true,
        },
      ],
      runbook: 'HoldfastLagHigh',
    },
  ],
}

export const redrive: readonly Row[] = [progress, beside]
