import type { Row } from '../board.ts'
import { UNITS } from '../panel.ts'

/** The processes themselves. */
export const runtime: Row = {
  title: 'Node',
  panels: [
    {
      title: 'CPU',
      about:
        'Cores that each process uses. The stream’s own code runs on one; near 1, more replicas help, as many as there are partitions.',
      unit: UNITS.count,
      kind: 'lines',
      queries: [
        {
          expr: 'rate(process_cpu_seconds_total{job="$job",instance=~"$instance"}[$__rate_interval])',
          legend: '{{instance}}',
        },
      ],
      runbook: 'HoldfastLagHigh',
    },
    {
      title: 'Memory',
      about: 'Resident memory, and the heap of it. Buffers of the cache and of Kafka’s client are outside the heap.',
      unit: UNITS.bytes,
      kind: 'lines',
      queries: [
        { expr: 'process_resident_memory_bytes{job="$job",instance=~"$instance"}', legend: '{{instance}}: resident' },
        { expr: 'nodejs_heap_size_used_bytes{job="$job",instance=~"$instance"}', legend: '{{instance}}: heap' },
        { expr: 'nodejs_external_memory_bytes{job="$job",instance=~"$instance"}', legend: '{{instance}}: buffers' },
      ],
      runbook: 'HoldfastRestarting',
    },
    {
      title: 'Event loop',
      about:
        'How late timers run: what lies between two samples beyond the 0.1 s that they are apart. Tens of milliseconds under load are usual; seconds make the group take the partitions away.',
      unit: UNITS.seconds,
      kind: 'lines',
      queries: [
        {
          expr: 'clamp_min(nodejs_eventloop_lag_p50_seconds{job="$job",instance=~"$instance"} - 0.1, 0)',
          legend: '{{instance}}: p50',
        },
        {
          expr: 'clamp_min(nodejs_eventloop_lag_p99_seconds{job="$job",instance=~"$instance"} - 0.1, 0)',
          legend: '{{instance}}: p99',
        },
      ],
      runbook: 'HoldfastNotReady',
    },
    {
      title: 'Garbage collection',
      about: 'Share of time that goes into it, by kind. `minor` is cheap; much `major` says that memory is short.',
      unit: UNITS.share,
      kind: 'stack',
      queries: [
        {
          expr: 'sum by (kind) (rate(nodejs_gc_duration_seconds_sum{job="$job",instance=~"$instance"}[$__rate_interval]))',
          legend: '{{kind}}',
        },
      ],
      runbook: 'HoldfastRestarting',
    },
    {
      title: 'Open files',
      about: 'Sockets included, as a share of what the process may have.',
      unit: UNITS.share,
      kind: 'lines',
      queries: [
        {
          expr: 'process_open_fds{job="$job",instance=~"$instance"} / process_max_fds{job="$job",instance=~"$instance"}',
          legend: '{{instance}}',
        },
      ],
      runbook: 'HoldfastRestarting',
    },
    {
      title: 'Versions',
      about: 'Replicas by the version that they run. Two of them for long: a deployment stopped half-way.',
      unit: UNITS.count,
      kind: 'stack',
      queries: [
        {
          expr: 'count by (version, node) (holdfast_build_info{job="$job",instance=~"$instance"})',
          legend: '{{version}} on Node {{node}}',
        },
      ],
      runbook: 'HoldfastScrapeGone',
    },
  ],
}
