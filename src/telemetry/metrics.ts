import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { PAUSE_REASONS } from '../core/facts.ts'
import type { Figures } from '../core/figures.ts'
import { CACHE_RESULTS, type CacheStats, EVICTION_CAUSES } from '../core/read-side.ts'
import { type HealthCheck, lagSeconds, type PoolStatus, type StreamStatus } from '../core/status.ts'
import type { TraceIds } from '../core/tracing.ts'
import { type LabelsOf, METRICS, type MetricName, type MetricSpec, type NamesOf, PREFIX } from './metric-table.ts'
import { openMetricsOf } from './openmetrics.ts'
import { showChecks, showFigures, showPools } from './store-gauges.ts'

export interface MetricsOptions {
  readonly version: string
  /** Asked at each scrape, so gauges tell the present; `undefined` while there is no stream yet. */
  readonly streamStatus: () => StreamStatus | undefined
  readonly cacheStats: () => CacheStats | undefined
  readonly pools?: () => readonly PoolStatus[]
  /** `undefined` while they are not known. */
  readonly figures?: () => Figures | undefined
  readonly checks?: () => Readonly<Record<'live' | 'ready', readonly HealthCheck[]>>
  /** Of the work that is being observed: durations keep it as an exemplar. */
  readonly activeTrace?: () => TraceIds | undefined
  /** Wall clock in ms. */
  readonly now?: () => number
  /** prom-client's metrics of process and runtime; a test may leave them out. Default: true. */
  readonly runtime?: boolean
}

export type MetricsFormat = 'text' | 'openmetrics'

export interface Metrics {
  /** Every scraper reads `text`; `openmetrics` also holds exemplars. */
  readonly contentType: Readonly<Record<MetricsFormat, string>>
  /** The page that Prometheus scrapes. Default: `text`. */
  render(format?: MetricsFormat): Promise<string>
  count<Name extends NamesOf<'counter'>>(name: Name, labels: LabelsOf<Name>, by: number): void
  observe<Name extends NamesOf<'histogram'>>(name: Name, labels: LabelsOf<Name>, value: number): void
}

/** A registry of its own for each app, so that two apps in a process (tests) do not mix. */
export function createMetrics(options: MetricsOptions): Metrics {
  const now = options.now ?? Date.now
  const registry = new Registry()
  if (options.runtime ?? true) collectDefaultMetrics({ register: registry })
  const counters = new Map<string, Counter>()
  const gauges = new Map<string, Gauge>()
  const histograms = new Map<string, Histogram>()
  for (const [name, spec] of Object.entries<MetricSpec>(METRICS)) {
    const common = { name: PREFIX + name, help: spec.help, labelNames: Object.keys(spec.labels), registers: [registry] }
    if (spec.type === 'counter') counters.set(name, new Counter(common))
    else if (spec.type === 'gauge') gauges.set(name, new Gauge(common))
    else histograms.set(name, histogramOf(common, spec))
  }

  /** Registered afterwards: a metric with exemplars refuses a registry whose own format cannot show them. */
  function histogramOf(common: { name: string; help: string; labelNames: string[] }, spec: MetricSpec): Histogram {
    const buckets = [...(spec.buckets ?? [])]
    const histogram = new Histogram({ ...common, registers: [], buckets, enableExemplars: spec.unit === 'seconds' })
    registry.registerMetric(histogram)
    return histogram
  }

  const count: Metrics['count'] = (name, labels, by) => counters.get(name)?.inc(plain(labels), by)
  function set<Name extends NamesOf<'gauge'>>(name: Name, labels: LabelsOf<Name>, value: number): void {
    gauges.get(name)?.set(plain(labels), value)
  }

  /** prom-client's own reset puts a gauge without labels at 0. */
  function clear(name: string): void {
    gauges.get(name)?.reset()
    if (Object.keys(METRICS[name as MetricName].labels).length === 0) gauges.get(name)?.remove()
  }

  set('build_info', { version: options.version, node: process.version }, 1)
  for (const [name, spec] of Object.entries<MetricSpec>(METRICS)) {
    if (spec.type === 'gauge' && name !== 'build_info') clear(name)
    // Series that exist from the start: rate() does not see the first increase of one that appears with it.
    for (const labels of combinations(spec)) {
      counters.get(name)?.inc({ ...labels }, 0)
      histograms.get(name)?.zero({ ...labels })
    }
  }

  function refreshStream(status: StreamStatus): void {
    // A partition that we lost must vanish, not stay at its last value.
    clear('consumer_lag_records')
    clear('consumer_lag_seconds')
    clear('consumer_lag_known_timestamp_seconds')
    clear('partition_paused')
    clear('partition_last_progress_timestamp_seconds')
    let inFlight = 0
    for (const one of status.partitions) {
      const where = { topic: one.topic, partition: one.partition }
      inFlight += one.bufferedRecords + one.inFlightRecords
      if (one.lagRecords !== undefined) set('consumer_lag_records', where, one.lagRecords)
      const age = lagSeconds(one, now())
      if (age !== undefined) set('consumer_lag_seconds', where, age)
      if (one.highKnownAtMs !== undefined) {
        set('consumer_lag_known_timestamp_seconds', where, one.highKnownAtMs / 1000)
      }
      for (const reason of PAUSE_REASONS) {
        set('partition_paused', { partition: one.partition, reason }, one.paused.includes(reason) ? 1 : 0)
      }
      if (one.lastProgressMs !== undefined) {
        set('partition_last_progress_timestamp_seconds', where, one.lastProgressMs / 1000)
      }
    }
    set('inflight_records', {}, inFlight)
    for (const breaker of status.breakers) {
      set('breaker_open', { dependency: breaker.dependency }, breaker.open ? 1 : 0)
    }
  }

  function refreshCache(stats: CacheStats): void {
    set('cache_bytes', {}, stats.bytes)
    set('cache_entries', {}, stats.entries)
    // The cache counts by itself; a reset and an increase to its total is how prom-client takes over a count.
    counters.get('cache_requests_total')?.reset()
    for (const result of CACHE_RESULTS) count('cache_requests_total', { result }, stats.requests[result])
    counters.get('cache_evictions_total')?.reset()
    for (const cause of EVICTION_CAUSES) count('cache_evictions_total', { cause }, stats.evictions[cause])
  }

  const openMetrics = openMetricsOf(registry)
  return {
    contentType: { text: registry.contentType, openmetrics: openMetrics.contentType },
    async render(format = 'text') {
      const status = options.streamStatus()
      if (status !== undefined) refreshStream(status)
      const stats = options.cacheStats()
      if (stats !== undefined) refreshCache(stats)
      showPools({ set, clear }, options.pools?.() ?? [])
      showFigures({ set, clear }, options.figures?.(), now())
      for (const [probe, checks] of Object.entries(options.checks?.() ?? {})) {
        showChecks({ set, clear }, probe as 'live' | 'ready', checks)
      }
      return await (format === 'text' ? registry.metrics() : openMetrics.render())
    },
    count,
    observe(name, labels, value) {
      const histogram = histograms.get(name)
      if (METRICS[name].unit !== 'seconds') return histogram?.observe(plain(labels), value)
      const trace = options.activeTrace?.()
      // Only one that can be looked up.
      const exemplarLabels = trace?.sampled ? { trace_id: trace.traceId, span_id: trace.spanId } : {}
      histogram?.observe({ labels: plain(labels), value, exemplarLabels })
    },
  }
}

/** A copy, which prom-client keeps. */
function plain(labels: object): Record<string, string | number> {
  return { ...labels }
}

/** All label sets that the metric can have, when all its labels are closed sets; else none. */
function combinations({ labels }: MetricSpec): Readonly<Record<string, string>>[] {
  let sets: Readonly<Record<string, string>>[] = [{}]
  for (const [label, values] of Object.entries(labels)) {
    if ('matches' in values) return []
    sets = sets.flatMap(set => values.map(value => ({ ...set, [label]: value })))
  }
  return sets
}
