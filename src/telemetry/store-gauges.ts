import { REASONS } from '../engine/dead-letter.ts'
import type { Figures } from '../engine/figures.ts'
import type { HealthCheck, PoolStatus } from '../engine/status.ts'
import { ATTENTION } from '../inbox/causes.ts'
import { type Gauges, OTHER, type StreamFigures } from './metric-table.ts'

export function showPools(gauges: Gauges, pools: readonly PoolStatus[]): void {
  for (const { name: pool, max, used, idle, waiting } of pools) {
    gauges.set('pg_pool_connections', { pool, state: 'used' }, used)
    gauges.set('pg_pool_connections', { pool, state: 'idle' }, idle)
    gauges.set('pg_pool_max_connections', { pool }, max)
    gauges.set('pg_pool_waiting', { pool }, waiting)
  }
}

const COUNTED = [
  ...['dead_letters_open', 'dead_letters_parked', 'dead_letters_oldest_age_seconds', 'dead_letter_causes'],
  ...['replay_in_progress', 'replay_records_pending'],
] as const satisfies readonly Parameters<Gauges['clear']>[0][]

/** What the database counts. While that is not known, there are no series, rather than old ones or 0. */
export function showFigures(gauges: Gauges, states: readonly StreamFigures[], nowMs: number): void {
  for (const name of COUNTED) gauges.clear(name)
  for (const { stream, figures } of states) if (figures !== undefined) showCounted(gauges, stream, figures, nowMs)
}

function showCounted(gauges: Gauges, stream: string, { deadLetters, redrive }: Figures, nowMs: number): void {
  const { open, parked, oldestFailedAtMs, attention } = deadLetters
  let others = [...open.values()].reduce((sum, count) => sum + count, 0)
  for (const reason of REASONS) {
    const count = open.get(reason) ?? 0
    others -= count
    gauges.set('dead_letters_open', { stream, reason }, count)
  }
  gauges.set('dead_letters_open', { stream, reason: OTHER }, others)
  gauges.set('dead_letters_parked', { stream }, parked)
  const age = oldestFailedAtMs === undefined ? 0 : Math.max(0, nowMs - oldestFailedAtMs) / 1000
  gauges.set('dead_letters_oldest_age_seconds', { stream }, age)
  for (const state of ATTENTION) gauges.set('dead_letter_causes', { stream, state }, attention.get(state) ?? 0)
  gauges.set('replay_in_progress', { stream }, redrive.inProgress ? 1 : 0)
  gauges.set('replay_records_pending', { stream }, redrive.pending)
}

export function showChecks(gauges: Gauges, probe: 'live' | 'ready', checks: readonly HealthCheck[]): void {
  for (const { name, stream = '', check } of checks) {
    gauges.set('health_check_ok', { probe, check: name, stream }, check().ok ? 1 : 0)
  }
}
