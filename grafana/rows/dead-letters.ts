import type { Row } from '../board.ts'
import { UNITS } from '../panel.ts'
import { parked } from './parked.ts'

const OPEN = 'view=list&q=state:open'

/** Dead letters: how many arrive, how many wait, and for how long. */
export const deadLetters: Row = {
  title: 'Dead letters',
  panels: [
    {
      title: 'Arriving',
      about: 'Records that the dead-letter topic has acknowledged, by reason. The console groups them by cause.',
      unit: UNITS.perSecond,
      kind: 'stack',
      queries: [
        {
          expr: 'sum by (reason) (rate(holdfast_dead_letters_total{job="$job",stream=~"$stream"}[$__rate_interval]))',
          legend: '{{reason}}',
        },
      ],
      runbook: 'HoldfastDeadLettersArriving',
    },
    {
      title: 'Open',
      about: 'Those that wait for a decision, by reason; `other`: set aside by another program.',
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
      console: OPEN,
    },
    {
      title: 'Oldest open',
      about: 'How long the oldest open one has waited. A day is the alert.',
      unit: UNITS.seconds,
      kind: 'figure',
      queries: [
        { expr: 'max(holdfast_dead_letters_oldest_age_seconds{job="$job",stream=~"$stream"})', legend: 'oldest' },
      ],
      thresholds: [
        [14_400, 'orange'],
        [86_400, 'red'],
      ],
      whenNone: 'not known',
      runbook: 'HoldfastDeadLettersUntouched',
      console: OPEN,
    },
    parked,
    {
      title: 'Remarkable, yet written',
      about:
        'Valid records with something odd about them: the key is not the order’s, there are fields that the schema does not know, sums do not add up. They are written all the same.',
      unit: UNITS.perSecond,
      kind: 'lines',
      width: 12,
      queries: [
        {
          expr: 'sum by (kind) (rate(holdfast_unusual_records_total{job="$job",stream=~"$stream"}[$__rate_interval]))',
          legend: '{{kind}}',
        },
      ],
      runbook: 'HoldfastDeadLettersArriving',
    },
    {
      title: 'Lost to retention',
      about:
        'Offsets that Kafka removed before they were read, since the replicas started. Anything above zero is a loss, written down in the ledger.',
      unit: UNITS.count,
      kind: 'lines',
      width: 12,
      queries: [
        // Shows the raw counters, because increase() misses a loss that is the first value of its series.
        {
          expr: 'sum(holdfast_expired_records_total{job="$job",stream=~"$stream"})',
          legend: 'expired since the replicas started',
        },
      ],
      runbook: 'HoldfastRecordsExpired',
    },
  ],
}
