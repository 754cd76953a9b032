import { type Metric, type MetricObject, type OpenMetricsContentType, Registry } from 'prom-client'

/**
 * The metrics of a registry as an OpenMetrics page, which also holds exemplars. prom-client decides on the format once for
 * a registry and its metrics, and renames counters for good when it renders OpenMetrics (there a family goes without
 * `_total`); so these are seen through a registry of their own, under names of its own.
 */
export function openMetricsOf(registry: Registry): { readonly contentType: string; render(): Promise<string> } {
  return {
    contentType: Registry.OPENMETRICS_CONTENT_TYPE,
    async render() {
      const open = new Registry<OpenMetricsContentType>()
      open.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
      for (const metric of registry.getMetricsAsArray()) open.registerMetric(seenAs(metric))
      return await open.metrics()
    },
  }
}

/** All that a registry calls on a metric while it renders. */
function seenAs(metric: MetricObject): Metric {
  const source = metric as unknown as Metric & { name: string; type: string }
  const view = {
    name: source.name,
    type: source.type,
    async get() {
      const data = await source.get()
      return source.type === 'counter' ? { ...data, name: data.name.replace(/_total$/, '') } : data
    },
  }
  return view as unknown as Metric
}
