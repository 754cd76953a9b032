import type { Row } from '../board.ts'
import { UNITS } from '../panel.ts'

/** Values that are answered from memory. */
export const cache: Row = {
  title: 'Cache',
  panels: [
    {
      title: 'Answered from memory',
      about:
        'Share of look-ups that needed no database. Low after a start until it is warm, and where each value is asked for once only.',
      unit: UNITS.share,
      kind: 'lines',
      width: 6,
      queries: [
        {
          expr: 'sum(rate(holdfast_cache_requests_total{job="$job",stream=~"$stream",instance=~"$instance",result=~"hit|negative_hit"}[$__rate_interval])) / sum(rate(holdfast_cache_requests_total{job="$job",stream=~"$stream",instance=~"$instance"}[$__rate_interval]))',
          legend: 'hits',
        },
      ],
      max: 1,
      whenNone: 'no lookups',
      runbook: 'HoldfastPoolWaits',
    },
    {
      title: 'Look-ups',
      about:
        '`hit`, `negative_hit`: from memory, also that there is none. `miss`: asked Postgres. `collapsed`: waited for the same lookup of another request. `revalidated`: asked Postgres whether it still holds.',
      unit: UNITS.perSecond,
      kind: 'stack',
      width: 6,
      queries: [
        {
          expr: 'sum by (result) (rate(holdfast_cache_requests_total{job="$job",stream=~"$stream",instance=~"$instance"}[$__rate_interval]))',
          legend: '{{result}}',
        },
      ],
      runbook: 'HoldfastPoolWaits',
    },
    {
      title: 'Memory',
      about:
        'Bytes that the cache holds, its own overhead included; `CACHE_MAX_BYTES` bounds it. And how large one value is.',
      unit: UNITS.bytes,
      kind: 'lines',
      width: 6,
      queries: [
        {
          expr: 'sum by (instance) (holdfast_cache_bytes{job="$job",stream=~"$stream",instance=~"$instance"})',
          legend: '{{instance}}',
        },
        {
          expr: 'sum by (instance) (holdfast_cache_bytes{job="$job",stream=~"$stream",instance=~"$instance"}) / (sum by (instance) (holdfast_cache_entries{job="$job",stream=~"$stream",instance=~"$instance"}) > 0)',
          legend: '{{instance}}: of one value',
        },
      ],
      runbook: 'HoldfastRestarting',
    },
    {
      title: 'Values that left it',
      about:
        '`size`: it was full. `expired`: older than `CACHE_TTL_MS`. `invalidated`: a newer version was written, here or by another replica.',
      unit: UNITS.perSecond,
      kind: 'stack',
      width: 6,
      queries: [
        {
          expr: 'sum by (cause) (rate(holdfast_cache_evictions_total{job="$job",stream=~"$stream",instance=~"$instance"}[$__rate_interval]))',
          legend: '{{cause}}',
        },
      ],
      runbook: 'HoldfastPoolWaits',
    },
  ],
}
