import { expect, it } from 'vitest'
import type { Figures } from '#src/engine/figures.ts'
import { createMetrics, type MetricsOptions } from '#src/telemetry/metrics.ts'
import { STREAMS, samples } from './support.ts'

const NOW_MS = 1_700_000_000_000
const HOUR_MS = 3_600_000

function metrics(over: Partial<MetricsOptions>) {
  return createMetrics({
    version: '1.2.3',
    streams: STREAMS,
    states: () => [],
    now: () => NOW_MS,
    runtime: false,
    ...over,
  })
}

function counted(of: () => Figures | undefined) {
  return metrics({ states: () => [{ stream: 'orders', figures: of() }] })
}

function figures(over: Partial<Figures['deadLetters']> = {}): Figures {
  return {
    deadLetters: { open: new Map(), parked: 0, oldestFailedAtMs: undefined, attention: new Map(), ...over },
    redrive: { inProgress: false, pending: 0 },
  }
}

it('shows dead letters by reason, those with none as 0, and foreign reasons together', async () => {
  const open = new Map([
    ['schema_violation', 3],
    ['java.lang.NullPointerException', 2],
    ['WHATEVER', 1],
  ])
  const attention = new Map([['regressed', 2]])
  const page = counted(() => figures({ open, parked: 4, oldestFailedAtMs: NOW_MS - 2 * HOUR_MS, attention }))
  const found = await samples(page)
  expect(found.get('holdfast_dead_letters_open{stream="orders",reason="schema_violation"}')).toBe(3)
  expect(found.get('holdfast_dead_letters_open{stream="orders",reason="too_large"}')).toBe(0)
  expect(found.get('holdfast_dead_letters_open{stream="orders",reason="other"}')).toBe(3)
  expect(found.get('holdfast_dead_letters_parked{stream="orders"}')).toBe(4)
  expect(found.get('holdfast_dead_letter_causes{stream="orders",state="regressed"}')).toBe(2)
  expect(found.get('holdfast_dead_letter_causes{stream="orders",state="new"}')).toBe(0)
  expect(found.get('holdfast_dead_letters_oldest_age_seconds{stream="orders"}')).toBe(7_200)
})

it('knows the age of nothing to be 0', async () => {
  expect(
    (await samples(counted(() => figures()))).get('holdfast_dead_letters_oldest_age_seconds{stream="orders"}'),
  ).toBe(0)
})

it('takes the series away while the figures are not known', async () => {
  let now: Figures | undefined = figures({ open: new Map([['too_large', 1]]), oldestFailedAtMs: NOW_MS })
  const page = counted(() => now)
  expect([...(await samples(page)).keys()].filter(isFigure)).toHaveLength(13)
  now = undefined
  expect([...(await samples(page)).keys()].filter(isFigure)).toEqual([])
})

it('shows the redrive that is under way', async () => {
  const redrive = { inProgress: true, pending: 17 }
  const found = await samples(counted(() => ({ ...figures(), redrive })))
  expect(found.get('holdfast_replay_in_progress{stream="orders"}')).toBe(1)
  expect(found.get('holdfast_replay_records_pending{stream="orders"}')).toBe(17)
})

it('shows pools as they are now', async () => {
  const found = await samples(metrics({ pools: () => [{ name: 'lanes', max: 4, used: 3, idle: 1, waiting: 2 }] }))
  expect(found.get('holdfast_pg_pool_connections{pool="lanes",state="used"}')).toBe(3)
  expect(found.get('holdfast_pg_pool_connections{pool="lanes",state="idle"}')).toBe(1)
  expect(found.get('holdfast_pg_pool_max_connections{pool="lanes"}')).toBe(4)
  expect(found.get('holdfast_pg_pool_waiting{pool="lanes"}')).toBe(2)
  expect(found.has('holdfast_pg_pool_waiting{pool="read"}')).toBe(false)
})

it('shows what the probes would answer', async () => {
  const live = [{ name: 'stream', stream: 'orders', check: () => ({ ok: true }) }]
  const ready = [{ name: 'postgres', check: () => ({ ok: false, reason: 'postgres is away' }) }]
  const found = await samples(metrics({ checks: () => ({ live, ready }) }))
  expect(found.get('holdfast_health_check_ok{probe="live",check="stream",stream="orders"}')).toBe(1)
  expect(found.get('holdfast_health_check_ok{probe="ready",check="postgres",stream=""}')).toBe(0)
})

function isFigure(series: string): boolean {
  return /dead_letters_(open|parked|oldest)|replay_(in_progress|records_pending)/.test(series)
}
