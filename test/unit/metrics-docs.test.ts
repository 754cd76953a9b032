import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { metricsTables } from '#src/telemetry/metric-docs.ts'

it('docs/metrics.md tells of every metric as it is (node scripts/write-metrics.ts writes it)', () => {
  const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')
  const [, tables] = /<!-- metrics:begin.*?-->\n(.*?)\n<!-- metrics:end -->/s.exec(page) ?? []
  expect(tables).toBe(metricsTables())
})
