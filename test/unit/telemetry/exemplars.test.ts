import { describe, expect, it } from 'vitest'
import type { TraceIds } from '#src/engine/tracing.ts'
import { createMetrics } from '#src/telemetry/metrics.ts'
import { STREAMS } from './support.ts'

const TRACE = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) }

function metricsIn(trace: TraceIds | undefined) {
  const options = { version: '1', streams: STREAMS, states: () => [], runtime: false }
  const metrics = createMetrics({ ...options, activeTrace: () => trace })
  metrics.count('rebalances_total', { stream: 'orders' }, 3)
  metrics.observe('batch_records', { stream: 'orders' }, 7)
  metrics.observe('batch_duration_seconds', { stream: 'orders', stage: 'write' }, 0.02)
  return metrics
}

const bucketOf = (page: string) =>
  page
    .split('\n')
    .find(line => line.startsWith('holdfast_batch_duration_seconds_bucket{le="0.025",stream="orders",stage="write"}'))

describe('a duration', () => {
  it('names a trace in which it was measured, in OpenMetrics only', async () => {
    const metrics = metricsIn({ ...TRACE, sampled: true })
    expect(bucketOf(await metrics.render('openmetrics'))).toMatch(
      new RegExp(` 1 # \\{trace_id="${TRACE.traceId}",span_id="${TRACE.spanId}"\\} 0\\.02 [\\d.]+$`),
    )
    expect(bucketOf(await metrics.render('text'))).toMatch(/ 1$/)
  })

  it('names no trace that nobody can look up', async () => {
    expect(bucketOf(await metricsIn({ ...TRACE, sampled: false }).render('openmetrics'))).toMatch(/ 1$/)
    expect(bucketOf(await metricsIn(undefined).render('openmetrics'))).toMatch(/ 1$/)
  })
})

describe('the page', () => {
  it('calls counters by their names in both formats, however often they take turns', async () => {
    const metrics = metricsIn(undefined)
    for (let turn = 0; turn < 2; turn++) {
      expect(await metrics.render()).toMatch(
        /# TYPE holdfast_rebalances_total counter\nholdfast_rebalances_total\{stream="orders"\} 3\n/,
      )
      const open = await metrics.render('openmetrics')
      expect(open).toMatch(/# TYPE holdfast_rebalances counter\nholdfast_rebalances_total\{stream="orders"\} 3\n/)
      expect(open).toMatch(/\n# EOF\n$/)
    }
  })

  it('holds the same samples in both formats', async () => {
    const metrics = metricsIn({ ...TRACE, sampled: true })
    const samplesOf = (page: string) =>
      page
        .split('\n')
        .filter(line => line !== '' && !line.startsWith('#'))
        .map(line => line.replace(/ # .*/, ''))
    expect(samplesOf(await metrics.render('openmetrics'))).toEqual(samplesOf(await metrics.render('text')))
  })
})
