import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { HealthCheck, PoolStatus } from '../engine/status.ts'
import type { TraceIds } from '../engine/tracing.ts'
import { CACHE_RESULTS, EVICTION_CAUSES } from '../read/read-side.ts'
import {
  type LabelsOf,
  METRICS,
  type MetricName,
  type MetricSpec,
  type MetricStream,
  type NamesOf,
  PREFIX,
  type StreamFigures,
} from './metric-table.ts'
import { openMetricsOf } from './openmetrics.ts'
import { showChecks, showFigures, showPools } from './store-gauges.ts'
import { showStreams } from './stream-gauges.ts'

export interface MetricsOptions {
  readonly version: string
  /** Those that the process runs. */
  readonly streams: readonly MetricStream[]
  /** Read at each scrape, so that gauges show the current state. */
  readonly states: () => readonly StreamFigures[]
  readonly pools?: () => readonly PoolStatus[]
  readonly checks?: () => Readonly<Record<'live' | 'ready', readonly HealthCheck[]>>
  /** The trace of the observed work: durations keep it as an exemplar. */
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

/**
 * How often the runtime's metrics sample the event loop, in ms. The defaults of 10 and 100 wake an idle process 110 times a second, which
 * costs more than all else that it does. A delay between two samples is found all the same, as the lateness of the next one.
 */
const RUNTIME_INTERVALS = { eventLoopMonitoringPrecision: 100, eventLoopUtilizationTimeout: 1_000 }

/** A registry of its own for each app, so that two apps in a process (tests) do not mix. */
export function createMetrics(options: MetricsOptions): Metrics {
  const now = options.now ?? Date.now
  const registry = new Registry()
  if (options.runtime ?? true) collectDefaultMetrics({ register: registry, ...RUNTIME_INTERVALS })
  const counters = new Map<string, Counter<string>>()
  const gauges = new Map<string, Gauge<string>>()
  const histograms = new Map<string, Histogram<string>>()
  for (const [name, spec] of Object.entries<MetricSpec>(METRICS)) {
    const common = { name: PREFIX + name, help: spec.help, labelNames: Object.keys(spec.labels), registers: [registry] }
    if (spec.type === 'counter') counters.set(name, new Counter<string>(common))
    else if (spec.type === 'gauge') gauges.set(name, new Gauge<string>(common))
    else histograms.set(name, histogramOf(common, spec))
  }

  /** Registered afterwards: a metric with exemplars refuses a registry whose own format cannot show them. */
  function histogramOf(
    common: { name: string; help: string; labelNames: string[] },
    spec: MetricSpec,
  ): Histogram<string> {
    const buckets = [...(spec.buckets ?? [])]
    const histogram = new Histogram<string>({
      ...common,
      registers: [],
      buckets,
      enableExemplars: spec.unit === 'seconds',
    })
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
    for (const labels of combinations(spec, options.streams)) {
      counters.get(name)?.inc({ ...labels }, 0)
      histograms.get(name)?.zero({ ...labels })
    }
  }

  /** Each cache keeps its own counts; a reset and an increase to its total is how prom-client takes over a count. */
  function countCaches(states: readonly StreamFigures[]): void {
    counters.get('cache_requests_total')?.reset()
    counters.get('cache_evictions_total')?.reset()
    for (const { stream, cache } of states) {
      if (cache === undefined) continue
      for (const result of CACHE_RESULTS) count('cache_requests_total', { stream, result }, cache.requests[result])
      for (const cause of EVICTION_CAUSES) count('cache_evictions_total', { stream, cause }, cache.evictions[cause])
    }
  }

  const openMetrics = openMetricsOf(registry)
  return {
    contentType: { text: registry.contentType, openmetrics: openMetrics.contentType },
    async render(format = 'text') {
      const states = options.states()
      showStreams({ set, clear }, states, now())
      showFigures({ set, clear }, states, now())
      countCaches(states)
      showPools({ set, clear }, options.pools?.() ?? [])
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
function combinations(
  { labels }: MetricSpec,
  streams: readonly MetricStream[],
): readonly Readonly<Record<string, string>>[] {
  if (!('stream' in labels)) return product(labels, undefined)
  return streams.flatMap(stream => product(labels, stream))
}

function product(
  labels: MetricSpec['labels'],
  stream: MetricStream | undefined,
): readonly Readonly<Record<string, string>>[] {
  let sets: Readonly<Record<string, string>>[] = [{}]
  for (const [label, values] of Object.entries(labels)) {
    const all = 'of' in values && stream !== undefined ? values.of(stream) : values
    if ('matches' in all) return []
    sets = sets.flatMap(set => all.map(value => ({ ...set, [label]: value })))
  }
  return sets
}
