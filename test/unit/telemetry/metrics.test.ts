import { describe, expect, it } from 'vitest'
import type { StreamStatus } from '#src/engine/status.ts'
import { METRICS, type MetricSpec } from '#src/telemetry/metric-table.ts'
import { createMetrics } from '#src/telemetry/metrics.ts'
import { partition, STREAMS, samples, status, telemetry } from './support.ts'

describe('the table', () => {
  it.each(Object.entries<MetricSpec>(METRICS))('names %s as Prometheus would', (name, spec) => {
    expect(name).toMatch(/^[a-z][a-z_]*[a-z]$/)
    expect(name.endsWith('_total')).toBe(spec.type === 'counter')
    expect(name).not.toMatch(/_(count|sum|bucket)$/)
    if (spec.unit === 'seconds') expect(name).toMatch(/_seconds$/)
    if (spec.unit === 'bytes') expect(name).toMatch(/_bytes$/)
    expect(spec.help).toMatch(/^[A-Z0-9].*\.$/)
    expect(Object.keys(spec.labels).filter(label => /uid|offset|key/.test(label))).toEqual([])
    expect(spec.buckets !== undefined).toBe(spec.type === 'histogram')
    expect(spec.buckets ?? []).toEqual([...(spec.buckets ?? [])].sort((a, b) => a - b))
  })

  it('is exported as a whole, each under our prefix', async () => {
    const page = await telemetry().metrics.render()
    for (const [name, { type, help }] of Object.entries(METRICS)) {
      expect(page).toContain(`# HELP holdfast_${name} ${help}\n# TYPE holdfast_${name} ${type}\n`)
    }
  })
})

describe('a scrape', () => {
  it('tells what runs', async () => {
    const { metrics } = telemetry()
    expect((await samples(metrics)).get(`holdfast_build_info{version="1.2.3",node="${process.version}"}`)).toBe(1)
  })

  it('shows series that have not happened yet, so that their first increase is seen', async () => {
    const found = await samples(telemetry().metrics)
    expect(found.get('holdfast_dead_letters_total{stream="orders",reason="schema_violation"}')).toBe(0)
    expect(found.get('holdfast_retries_total{stream="orders",class="dlq"}')).toBe(0)
  })

  it('reads lag, age, pauses and breakers from the stream as it stands now', async () => {
    const { metrics, clock } = telemetry({
      status: () =>
        status({
          breakers: [{ dependency: 'postgres', open: true, reason: 'gone', sinceMs: 1 }],
          partitions: [
            partition({
              partition: 3,
              lagRecords: 40,
              oldestUnsettledTimestampMs: clock.nowMs - 2_500,
              bufferedRecords: 30,
              inFlightRecords: 5,
              paused: ['store_away'],
              lastProgressMs: 1_600_000_000_500,
              highKnownAtMs: 1_600_000_001_000,
            }),
          ],
        }),
    })
    const found = await samples(metrics)
    expect(found.get('holdfast_consumer_lag_records{stream="orders",topic="orders",partition="3"}')).toBe(40)
    expect(found.get('holdfast_consumer_lag_seconds{stream="orders",topic="orders",partition="3"}')).toBe(2.5)
    expect(
      found.get('holdfast_consumer_lag_known_timestamp_seconds{stream="orders",topic="orders",partition="3"}'),
    ).toBe(1_600_000_001)
    expect(found.get('holdfast_partition_paused{stream="orders",partition="3",reason="store_away"}')).toBe(1)
    expect(found.get('holdfast_partition_paused{stream="orders",partition="3",reason="backpressure"}')).toBe(0)
    expect(
      found.get('holdfast_partition_last_progress_timestamp_seconds{stream="orders",topic="orders",partition="3"}'),
    ).toBe(1_600_000_000.5)
    expect(found.get('holdfast_inflight_records{stream="orders"}')).toBe(35)
    expect(found.get('holdfast_breaker_open{stream="orders",dependency="postgres"}')).toBe(1)
  })

  it('says that a partition which has caught up has no lag, and says nothing of an age it cannot know', async () => {
    const { metrics } = telemetry({
      status: () => status({ partitions: [partition(), partition({ partition: 1, lagRecords: 7 })] }),
    })
    const found = await samples(metrics)
    expect(found.get('holdfast_consumer_lag_seconds{stream="orders",topic="orders",partition="0"}')).toBe(0)
    expect(found.has('holdfast_consumer_lag_seconds{stream="orders",topic="orders",partition="1"}')).toBe(false)
  })

  it('drops the series of a partition that went to somebody else', async () => {
    let now: StreamStatus = status({ partitions: [partition({ partition: 3, lagRecords: 40 })] })
    const { metrics } = telemetry({ status: () => now })
    await metrics.render()
    now = status()
    expect([...(await samples(metrics)).keys()].filter(name => name.includes('partition="3"'))).toEqual([])
  })

  it('takes over what the cache has counted, without counting it twice', async () => {
    const stats = {
      entries: 2,
      bytes: 3_000,
      requests: { hit: 5, negative_hit: 1, miss: 2, collapsed: 3, revalidated: 0 },
      evictions: { size: 4, expired: 0, invalidated: 0 },
    }
    const options = {
      version: '1',
      streams: STREAMS,
      states: () => [{ stream: 'orders', cache: stats }],
      runtime: false,
    }
    const metrics = createMetrics(options)
    await metrics.render()
    const found = await samples(metrics)
    expect(found.get('holdfast_cache_requests_total{stream="orders",result="hit"}')).toBe(5)
    expect(found.get('holdfast_cache_evictions_total{stream="orders",cause="size"}')).toBe(4)
    expect(found.get('holdfast_cache_bytes{stream="orders"}')).toBe(3_000)
    expect(found.get('holdfast_cache_entries{stream="orders"}')).toBe(2)
  })

  it('brings the metrics of process and runtime under their usual names', async () => {
    const metrics = createMetrics({ version: '1', streams: STREAMS, states: () => [] })
    const page = await metrics.render()
    expect(page).toContain('process_cpu_seconds_total')
    expect(page).toContain('nodejs_eventloop_lag_seconds')
  })
})
