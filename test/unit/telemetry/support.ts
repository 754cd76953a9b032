import type { PartitionStatus, StreamStatus } from '#src/engine/status.ts'
import type { LogLevel, LogModule } from '#src/settings/log-levels.ts'
import { createLogger } from '#src/telemetry/logger.ts'
import { createMetrics, type Metrics } from '#src/telemetry/metrics.ts'
import { createObserver } from '#src/telemetry/observer.ts'

/** The stream of these tests. */
export const STREAMS = [{ name: 'orders', unusualKinds: ['sum_mismatch'] }]

export type LogLine = Readonly<Record<string, unknown>>

/** Observer, log lines and metrics of one app, at a time that the test sets. */
export function telemetry(
  options: {
    level?: LogLevel
    modules?: Partial<Record<LogModule, LogLevel>>
    status?: () => StreamStatus | undefined
  } = {},
) {
  const lines: LogLine[] = []
  const clock = { nowMs: 1_700_000_000_000 }
  const timers: { readonly atMs: number; readonly call: () => void }[] = []
  const logger = createLogger({
    levels: { level: options.level ?? 'debug', modules: options.modules ?? {} },
    to: { write: line => lines.push(JSON.parse(line)) },
  })
  const metrics = createMetrics({
    version: '1.2.3',
    streams: STREAMS,
    states: () => [{ stream: 'orders', status: options.status?.() }],
    now: () => clock.nowMs,
    runtime: false,
  })
  const later = (ms: number, call: () => void) => void timers.push({ atMs: clock.nowMs + ms, call })
  const observer = createObserver({ logger, metrics, now: () => clock.nowMs, later })
  /** Time passes, and what is due happens. */
  function pass(ms: number): void {
    clock.nowMs += ms
    const due = timers.filter(({ atMs }) => atMs <= clock.nowMs)
    for (const timer of due) {
      timers.splice(timers.indexOf(timer), 1)
      timer.call()
    }
  }
  return {
    observe: observer.of('orders').observe,
    observer,
    close: () => observer[Symbol.dispose](),
    logger,
    metrics,
    lines,
    clock,
    pass,
  }
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
