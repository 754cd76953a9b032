import { METRICS, type MetricSpec, PREFIX } from '#src/telemetry/metric-table.ts'

export interface PageSample {
  /** As it stands on the page: with `_bucket`, `_sum` or `_count`, where it is part of a histogram. */
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Page {
  readonly samples: readonly PageSample[]
  /** The names of all metrics that the page declares, with or without samples, including those of a histogram's parts. */
  readonly names: ReadonlySet<string>
}

/** Reads a page in Prometheus's text format. */
export function parsePage(text: string): Page {
  const lines = text.split('\n')
  const declared = lines.flatMap(line => {
    const [, name = '', type] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? []
    if (name === '') return []
    return type === 'histogram' ? [name, `${name}_bucket`, `${name}_sum`, `${name}_count`] : [name]
  })
  const samples = lines.filter(line => line !== '' && !line.startsWith('#')).map(parseSample)
  return { samples, names: new Set([...declared, ...samples.map(({ name }) => name)]) }
}

function parseSample(line: string): PageSample {
  const [, name = '', labels = '', value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
  if (value === undefined) throw new Error(`no sample: ${line}`)
  const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"(?:,|$)/g)].map(([, label = '', text = '']) => [
    label,
    text,
  ])
  return { name, labels: Object.fromEntries(pairs), value: Number(value.replace('Inf', 'Infinity')) }
}

/** Metrics, labels and label values on the page that the table does not declare. There must be none. */
export function strangersOn({ samples }: Page): string[] {
  return samples.flatMap(({ name, labels }) => {
    if (/^(process|nodejs)_/.test(name)) return []
    const own = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : ''
    const table: Readonly<Record<string, MetricSpec>> = METRICS
    const spec = table[own] ?? table[own.replace(/_(bucket|sum|count)$/, '')]
    if (spec === undefined) return [`${name} is not in the table`]
    const { le: _, ...given } = labels
    const names = Object.keys(given).sort().join()
    const wanted = Object.keys(spec.labels).sort().join()
    if (names !== wanted) return [`${name} has the labels ${names}, not ${wanted}`]
    return Object.entries(given).flatMap(([label, value]) => {
      const values = spec.labels[label]
      const known = values !== undefined && ('matches' in values ? values.matches.test(value) : values.includes(value))
      return known ? [] : [`${name}{${label}="${value}"} is none of its values`]
    })
  })
}
