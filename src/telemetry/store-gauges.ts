import { REASONS } from '../core/dead-letter.ts'
import type { Figures } from '../core/figures.ts'
import type { HealthCheck, PoolStatus } from '../core/status.ts'
import { type Gauges, OTHER } from './metric-table.ts'

export function showPools(gauges: Gauges, pools: readonly PoolStatus[]): void {
  for (const { name: pool, max, used, idle, waiting } of pools) {
    gauges.set('pg_pool_connections', { pool, state: 'used' }, used)
    gauges.set('pg_pool_connections', { pool, state: 'idle' }, idle)
    gauges.set('pg_pool_max_connections', { pool }, max)
    gauges.set('pg_pool_waiting', { pool }, waiting)
  }
}

/** @param figures `undefined` while they are not known: then there are no series, rather than old ones or 0 */
export function showFigures(gauges: Gauges, figures: Figures | undefined, nowMs: number): void {
  for (const name of [
    'dead_letters_open',
    'dead_letters_parked',
    'dead_letters_oldest_age_seconds',
    'replay_in_progress',
    'replay_records_pending',
  ] as const) {
    gauges.clear(name)
  }
  if (figures === undefined) return
  const { open, parked, oldestFailedAtMs } = figures.deadLetters
  let others = [...open.values()].reduce((sum, count) => sum + count, 0)
  for (const reason of REASONS) {
    const count = open.get(reason) ?? 0
    others -= count
    gauges.set('dead_letters_open', { reason }, count)
  }
  gauges.set('dead_letters_open', { reason: OTHER }, others)
  gauges.set('dead_letters_parked', {}, parked)
  const age = oldestFailedAtMs === undefined ? 0 : Math.max(0, nowMs - oldestFailedAtMs) / 1000
  gauges.set('dead_letters_oldest_age_seconds', {}, age)
  gauges.set('replay_in_progress', {}, figures.replay.inProgress ? 1 : 0)
  gauges.set('replay_records_pending', {}, figures.replay.pending)
}

export function showChecks(gauges: Gauges, probe: 'live' | 'ready', checks: readonly HealthCheck[]): void {
  for (const { name, check } of checks) gauges.set('health_check_ok', { probe, check: name }, check().ok ? 1 : 0)
}
