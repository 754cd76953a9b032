import { type OpenMetricsContentType, Registry } from 'prom-client'

/**
 * The metrics of a registry as an OpenMetrics page, which also holds exemplars. prom-client decides on the format once for
 * a registry, and renames its counters for good when it renders OpenMetrics (there a family goes without `_total`); so it is given a
 * registry of objects that inherit from the metrics, and the names that it sets are theirs.
 */
export function openMetricsOf(registry: Registry): { readonly contentType: string; render(): Promise<string> } {
  return {
    contentType: Registry.OPENMETRICS_CONTENT_TYPE,
    async render() {
      const open = new Registry<OpenMetricsContentType>()
      open.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
      for (const metric of registry.getMetricsAsArray()) open.registerMetric(Object.create(metric))
      return await open.metrics()
    },
  }
}
