import { PAUSE_REASONS } from '../engine/facts.ts'
import { lagSeconds, type PartitionStatus, type StreamStatus } from '../engine/status.ts'
import type { Gauges, StreamFigures } from './metric-table.ts'

const GAUGES = [
  ...['consumer_lag_records', 'consumer_lag_seconds', 'consumer_lag_known_timestamp_seconds'],
  ...['partition_paused', 'partition_last_progress_timestamp_seconds'],
  ...['breaker_open', 'inflight_records', 'stream_halted'],
  ...['cache_bytes', 'cache_entries'],
] as const satisfies readonly Parameters<Gauges['clear']>[0][]

/** The current state of the process's streams. A revoked partition must disappear rather than stay at its last value. */
export function showStreams(gauges: Gauges, states: readonly StreamFigures[], nowMs: number): void {
  for (const name of GAUGES) gauges.clear(name)
  for (const { stream, status, cache } of states) {
    if (status !== undefined) showStatus(gauges, stream, status, nowMs)
    if (cache === undefined) continue
    gauges.set('cache_bytes', { stream }, cache.bytes)
    gauges.set('cache_entries', { stream }, cache.entries)
  }
}

function showStatus(gauges: Gauges, stream: string, status: StreamStatus, nowMs: number): void {
  for (const partition of status.partitions) showPartition(gauges, stream, partition, nowMs)
  const inFlight = status.partitions.reduce((sum, one) => sum + one.bufferedRecords + one.inFlightRecords, 0)
  gauges.set('inflight_records', { stream }, inFlight)
  gauges.set('stream_halted', { stream }, status.state === 'halted' ? 1 : 0)
  for (const { dependency, open } of status.breakers) gauges.set('breaker_open', { stream, dependency }, open ? 1 : 0)
}

function showPartition(gauges: Gauges, stream: string, status: PartitionStatus, nowMs: number): void {
  const { topic, partition, lagRecords, highKnownAtMs, lastProgressMs } = status
  const where = { stream, topic, partition }
  if (lagRecords !== undefined) gauges.set('consumer_lag_records', where, lagRecords)
  const age = lagSeconds(status, nowMs)
  if (age !== undefined) gauges.set('consumer_lag_seconds', where, age)
  if (highKnownAtMs !== undefined) gauges.set('consumer_lag_known_timestamp_seconds', where, highKnownAtMs / 1000)
  for (const reason of PAUSE_REASONS) {
    gauges.set('partition_paused', { stream, partition, reason }, status.paused.includes(reason) ? 1 : 0)
  }
  if (lastProgressMs !== undefined) {
    gauges.set('partition_last_progress_timestamp_seconds', where, lastProgressMs / 1000)
  }
}
