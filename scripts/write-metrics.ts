/** Writes the tables of metrics into docs/metrics.md: node scripts/write-metrics.ts */
import { readFileSync, writeFileSync } from 'node:fs'
import { metricsTables } from '../src/telemetry/metric-docs.ts'

const page = new URL('../docs/metrics.md', import.meta.url)
const text = readFileSync(page, 'utf8')
const between = /(<!-- metrics:begin.*?-->\n).*?(<!-- metrics:end -->)/s
if (!between.test(text)) throw new Error('docs/metrics.md has lost the marks of its tables')
writeFileSync(
  page,
  text.replace(between, (_, begin: string, end: string) => `${begin}${metricsTables()}\n${end}`),
)
