/** Measurements of reads, for people. */

import { grouped } from '../src/engine/grouped.ts'
import type { Machine } from './machine.ts'
import { median } from './measurement.ts'
import type { LoadResult } from './read-load.ts'

/** The targets of the issue for a hot read. */
const TARGET = { ratio: 0.8, p99Ms: 10 }
const BASE = 'bare'

export interface ReadMeasurement extends LoadResult {
  readonly contender: string
  readonly round: number
  /** User and system time of the server, its warming up included. */
  readonly cpuSeconds: number | undefined
}

export interface ReadReport {
  readonly options: {
    readonly orders: number
    readonly rounds: number
    readonly seconds: number
    readonly connections: number
  }
  readonly machine: Machine
  /** Name of the contender that the targets are for. */
  readonly service: string
  readonly measurements: readonly ReadMeasurement[]
  /** The service at half of its maximum rate. */
  readonly halves: readonly LoadResult[]
  /** The service's heap after each round. */
  readonly heapBytes: readonly number[]
  readonly peakBytes: number | undefined
}

/** @returns lines for stdout */
export function toReadTable(report: ReadReport): string {
  const { options, machine, measurements, halves, heapBytes, peakBytes } = report
  const names = [...new Set(measurements.map(({ contender }) => contender))]
  const ratio = median(ratios(report, report.service))
  const p99Ms = median(halves.map(half => half.p99Ms))
  const rate = median(halves.map(half => half.requests / half.seconds))
  const peak = peakBytes === undefined ? '' : `; peak RSS ${mega(peakBytes)}`
  return [
    `GET /order/UID over ${options.orders} orders, ${options.connections} connections, ${options.seconds} s each; medians of ` +
      `${options.rounds} rounds (lowest to highest)`,
    `${machine.cores} cores (${machine.processor}), load before ${machine.loadBefore.toFixed(1)}; Node ${machine.node}, ` +
      `PostgreSQL ${machine.postgres}; server and load generator share the machine`,
    '',
    ...aligned([HEAD, ...names.map(name => rowOf(report, name))]),
    '',
    `${report.service} / ${BASE}: ${ratio.toFixed(2)}, target at least ${TARGET.ratio}: ${reached(ratio >= TARGET.ratio)}`,
    `at half of that (${whole(rate)} requests/s): p99 ${p99Ms} ms, target below ${TARGET.p99Ms} ms: ` +
      reached(p99Ms < TARGET.p99Ms),
    `heap after each round: ${heapBytes.map(mega).join(', ')}${peak}`,
  ].join('\n')
}

const HEAD = ['', 'requests/s', `of ${BASE}`, 'p50 ms', 'p99 ms', 'server CPU µs/request']

function rowOf(report: ReadReport, name: string): string[] {
  const own = report.measurements.filter(({ contender }) => contender === name)
  const cpus = own.flatMap(one => (one.cpuSeconds === undefined ? [] : [cpuMicros(one, one.cpuSeconds)]))
  return [
    name,
    spread(
      own.map(one => one.requests / one.seconds),
      whole,
    ),
    spread(ratios(report, name), value => value.toFixed(2)),
    spread(
      own.map(({ p50Ms }) => p50Ms),
      value => value.toFixed(2),
    ),
    spread(
      own.map(({ p99Ms }) => p99Ms),
      value => value.toFixed(2),
    ),
    cpus.length === 0 ? '-' : spread(cpus, whole),
  ]
}

/** The clock of the CPU also ran while the load warmed up, for one second at about the same rate. */
function cpuMicros({ requests, seconds }: LoadResult, cpuSeconds: number): number {
  return (cpuSeconds * 1e6) / ((requests / seconds) * (seconds + 1))
}

/** Round by round: only figures of the same minutes are divided. */
function ratios({ measurements }: ReadReport, name: string): number[] {
  return measurements
    .filter(({ contender }) => contender === name)
    .flatMap(({ round, requests, seconds }) => {
      const beside = measurements.find(other => other.contender === BASE && other.round === round)
      return beside === undefined ? [] : [requests / seconds / (beside.requests / beside.seconds)]
    })
}

const reached = (is: boolean) => (is ? 'reached' : 'missed')
const whole = (value: number) => grouped(Math.round(value))
const mega = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`

function spread(values: readonly number[], show: (value: number) => string): string {
  const middle = show(median(values))
  return values.length === 1 ? middle : `${middle} (${show(Math.min(...values))} to ${show(Math.max(...values))})`
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = HEAD.map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows.map(row =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
  )
}
