import { type PanelSpec, UNITS } from '../panel.ts'

/** Used on the dashboard of the stream and on that of redrives, because a redrive may park more dead letters. */
export const parked: PanelSpec = {
  title: 'Parked',
  about: 'Failed again after `REPLAY_MAX` redrives: no further redrive will help before its cause is fixed.',
  unit: UNITS.count,
  kind: 'figure',
  queries: [
    { expr: 'sum(max by (stream) (holdfast_dead_letters_parked{job="$job",stream=~"$stream"}))', legend: 'parked' },
  ],
  thresholds: [[1, 'orange']],
  whenNone: 'not known',
  runbook: 'HoldfastDeadLettersUntouched',
  console: 'view=list&q=state:parked',
}
