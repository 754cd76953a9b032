import type { PartitionStatus, StreamStatus } from '#src/core/status.ts'
import { createLogger, type LogLevel } from '#src/telemetry/logger.ts'
import { createMetrics, type Metrics } from '#src/telemetry/metrics.ts'
import { createObserver } from '#src/telemetry/observer.ts'

export type LogLine = Readonly<Record<string, unknown>>

/** Observer, log lines and metrics of one app, at a time that the test sets. */
export function telemetry(options: { level?: LogLevel; status?: () => StreamStatus | undefined } = {}) {
  const lines: LogLine[] = []
  const clock = { nowMs: 1_700_000_000_000 }
  const logger = createLogger({
    level: options.level ?? 'debug',
    to: { write: line => lines.push(JSON.parse(line)) },
  })
  const metrics = createMetrics({
    version: '1.2.3',
    streamStatus: options.status ?? (() => undefined),
    cacheStats: () => undefined,
    now: () => clock.nowMs,
    runtime: false,
  })
  const { observe } = createObserver({ logger, metrics, now: () => clock.nowMs })
  return { observe, logger, metrics, lines, clock }
}

/** Samples of the page as `name{labels}` -> value. */
export async function samples(metrics: Metrics): Promise<Map<string, number>> {
  const page = await metrics.render()
  const rows = page.split('\n').filter(line => line !== '' && !line.startsWith('#'))
  return new Map(
    rows.map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  )
}

export function partition(over: Partial<PartitionStatus> = {}): PartitionStatus {
  return {
    topic: 'orders',
    partition: 0,
    next: 10n,
    high: 10n,
    lagRecords: 0,
    oldestUnsettledTimestampMs: undefined,
    bufferedRecords: 0,
    inFlightRecords: 0,
    paused: [],
    lastProgressMs: undefined,
    ...over,
  }
}

export function status(over: Partial<StreamStatus> = {}): StreamStatus {
  return { state: 'running', member: true, breakers: [], partitions: [], ...over }
}
