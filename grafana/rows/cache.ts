import type { Row } from '../board.ts'
import { UNITS } from '../panel.ts'

/** Orders that are answered from memory. */
export const cache: Row = {
  title: 'Cache',
  panels: [
    {
      title: 'Answered from memory',
      about:
        'Share of look-ups that needed no database. Low after a start until it is warm, and where orders are asked for once only.',
      unit: UNITS.share,
      kind: 'lines',
      width: 6,
      queries: [
        {
          expr: 'sum(rate(holdfast_cache_requests_total{job="$job",instance=~"$instance",result=~"hit|negative_hit"}[$__rate_interval])) / sum(rate(holdfast_cache_requests_total{job="$job",instance=~"$instance"}[$__rate_interval]))',
          legend: 'hits',
        },
      ],
      max: 1,
      whenNone: 'nobody asked',
      runbook: 'HoldfastPoolWaits',
    },
    {
      title: 'Look-ups',
      about:
        '`hit`, `negative_hit`: from memory, also that there is none. `miss`: asked Postgres. `collapsed`: waited for the miss of somebody else. `revalidated`: asked Postgres whether it still holds.',
      unit: UNITS.perSecond,
      kind: 'stack',
      width: 6,
      queries: [
        {
          expr: 'sum by (result) (rate(holdfast_cache_requests_total{job="$job",instance=~"$instance"}[$__rate_interval]))',
          legend: '{{result}}',
        },
      ],
      runbook: 'HoldfastPoolWaits',
    },
    {
      title: 'Memory',
      about:
        'Bytes that the cache holds, its own overhead included; `CACHE_MAX_BYTES` bounds it. And how many orders they are.',
      unit: UNITS.bytes,
      kind: 'lines',
      width: 6,
      queries: [
        { expr: 'holdfast_cache_bytes{job="$job",instance=~"$instance"}', legend: '{{instance}}' },
        {
          expr: 'holdfast_cache_bytes{job="$job",instance=~"$instance"} / (holdfast_cache_entries{job="$job",instance=~"$instance"} > 0)',
          legend: '{{instance}}: of one order',
        },
      ],
      runbook: 'HoldfastRestarting',
    },
    {
      title: 'Orders that left it',
      about:
        '`size`: it was full. `expired`: older than `CACHE_TTL_MS`. `invalidated`: a newer version was written, here or by another replica.',
      unit: UNITS.perSecond,
      kind: 'stack',
      width: 6,
      queries: [
        {
          expr: 'sum by (cause) (rate(holdfast_cache_evictions_total{job="$job",instance=~"$instance"}[$__rate_interval]))',
          legend: '{{cause}}',
        },
      ],
      runbook: 'HoldfastPoolWaits',
    },
  ],
}
