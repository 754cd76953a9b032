import { METRICS, type MetricSpec, PREFIX } from './metric-table.ts'

/** The metrics as tables of Markdown: what they are, and the values of their labels. */
export function metricsTables(): string {
  const specs = Object.entries<MetricSpec>(METRICS)
  const rows = specs.map(([name, { type, unit, labels, help }]) => {
    const names = Object.keys(labels).map(label => `\`${label}\``)
    return `| \`${PREFIX}${name}\` | ${type} | ${unit === 'none' ? '' : unit} | ${names.join(', ')} | ${help} |`
  })
  const buckets = specs.flatMap(([name, { buckets }]) =>
    buckets === undefined ? [] : [`| \`${PREFIX}${name}\` | ${buckets.map(String).join(', ')} |`],
  )
  return [
    '| metric | type | unit | labels | |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
    '## Labels',
    '',
    'All values there can be. None is ever a key, an order’s number or an offset.',
    '',
    '| label | of | values |',
    '| --- | --- | --- |',
    ...labelRows(specs),
    '',
    '## Buckets',
    '',
    '| histogram | upper bounds, in its unit |',
    '| --- | --- |',
    ...buckets,
  ].join('\n')
}

/** One row for each label with the same values, naming the metrics that share it. */
function labelRows(specs: readonly (readonly [string, MetricSpec])[]): string[] {
  const metricsOf = new Map<string, string[]>()
  for (const [name, { labels }] of specs) {
    for (const [label, values] of Object.entries(labels)) {
      const listed = 'matches' in values ? values.about : values.map(value => `\`${value}\``).join(', ')
      const key = `| \`${label}\` | … | ${listed} |`
      metricsOf.set(key, [...(metricsOf.get(key) ?? []), `\`${name}\``])
    }
  }
  return [...metricsOf].map(([row, names]) => row.replace('…', () => names.join(', ')))
}
