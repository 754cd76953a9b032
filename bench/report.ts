/** Measurements for people. */
import { cpus, totalmem } from 'node:os'
import { nativeFeatures } from '#src/engine/kafka/client.ts'
import { kafkaVersion } from '#tools/demo/servers/kafka-jars.ts'
import { LIMIT_BATCH, LIMIT_CONNECTIONS } from './limit.ts'
import { type Cpu, type Measurement, median } from './measurement.ts'
import type { BenchOptions } from './options.ts'

/** The targets of issue and README for a drain. */
const TARGET = { ratio: 0.4, peakMemoryBytes: 400e6 }

export interface Machine {
  readonly cores: number
  readonly processor: string
  readonly memoryBytes: number
  /** Processes that wanted to run in the minute before the first round: above 0.5 other processes were using the machine. */
  readonly loadBefore: number
  readonly node: string
  readonly postgres: string
  readonly kafka: string
  readonly librdkafka: string
}

export function describeMachine(postgres: string, loadBefore: number): Machine {
  const cores = cpus()
  return {
    cores: cores.length,
    processor: cores[0]?.model.trim() ?? 'unknown',
    memoryBytes: totalmem(),
    loadBefore,
    node: process.versions.node,
    postgres,
    kafka: kafkaVersion,
    librdkafka: nativeFeatures().version,
  }
}

export interface Report {
  readonly options: BenchOptions
  readonly machine: Machine
  readonly settings: Readonly<Record<string, string>>
  /** Name of the contender that the others are divided by. */
  readonly limit: string
  /** Name of the contender that the targets are for. */
  readonly drain: string
  readonly measurements: readonly Measurement[]
}

/** @returns lines for stdout */
export function toTable(report: Report): string {
  const { options, machine, settings, measurements } = report
  const names = [...new Set(measurements.map(({ contender }) => contender))]
  const rows = names.map(name => rowOf(name, report))
  const updates = `${Math.round(options.updatesRatio * 1000) / 10} % updates`
  return [
    `${whole(options.orders)} orders of 1 to 5 items, ${updates}, seed ${options.seed}, ${options.partitions} partitions; ` +
      `${options.rounds === 1 ? '1 round' : `medians of ${options.rounds} rounds (in brackets the lowest and the highest)`}`,
    `${machine.cores} cores (${machine.processor}), ${Math.round(machine.memoryBytes / 2 ** 30)} GiB, load before ` +
      `${machine.loadBefore.toFixed(1)}; Node ${machine.node}, PostgreSQL ${machine.postgres}, Kafka ${machine.kafka}, ` +
      `librdkafka ${machine.librdkafka}`,
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
    `limit: PostgreSQL alone takes the same upsert of the same rows, ${LIMIT_BATCH} orders a batch, encoded beforehand, ` +
      `${LIMIT_CONNECTIONS} connections`,
    `drain: the service, from its first assignment of partitions to the last commit at the broker`,
    '',
    ...aligned([HEAD, ...rows]),
    '',
    ...verdicts(report),
  ].join('\n')
}

const HEAD = [
  '',
  'orders/s',
  'of the limit',
  'CPU of the client',
  'of PostgreSQL',
  'of the broker',
  'peak RSS',
  'records a batch',
  'orders/s with start-up',
]

function rowOf(name: string, report: Report): string[] {
  const { orders } = report.options
  const own = report.measurements.filter(({ contender }) => contender === name)
  const figures = (of: (measurement: Measurement) => number | undefined) => own.flatMap(one => of(one) ?? [])
  const cpu = (of: keyof Cpu) =>
    middle(
      figures(one => one.cpu[of]),
      seconds => `${whole((seconds * 1e6) / orders)} µs an order (${seconds.toFixed(1)} s)`,
    )
  return [
    name,
    spread(
      figures(one => one.ordersPerSecond),
      whole,
    ),
    name === report.limit ? '1' : spread(ratios(name, report), value => value.toFixed(2)),
    cpu('client'),
    cpu('postgres'),
    cpu('broker'),
    middle(
      figures(one => one.peakMemoryBytes),
      bytes => `${whole(bytes / 1e6)} MB`,
    ),
    middle(
      figures(one => one.recordsPerBatch),
      whole,
    ),
    middle(
      figures(one => one.secondsFromStart && orders / one.secondsFromStart),
      whole,
    ),
  ]
}

/** Round by round: only figures of the same minutes are divided. */
function ratios(name: string, { limit, measurements }: Report): number[] {
  return measurements
    .filter(({ contender }) => contender === name)
    .flatMap(({ round, ordersPerSecond }) => {
      const beside = measurements.find(other => other.contender === limit && other.round === round)
      return beside === undefined ? [] : [ordersPerSecond / beside.ordersPerSecond]
    })
}

function verdicts(report: Report): string[] {
  const ratio = median(ratios(report.drain, report))
  const own = report.measurements.filter(({ contender }) => contender === report.drain)
  const peaks = own.flatMap(({ peakMemoryBytes }) => peakMemoryBytes ?? [])
  const failures = report.measurements.flatMap(({ contender, round, failures }) =>
    failures.map(failure => `  round ${round}, ${contender}: ${failure}`),
  )
  return [
    `${report.drain} / ${report.limit}: ${ratio.toFixed(2)}, target at least ${TARGET.ratio}: ${reached(ratio >= TARGET.ratio)}`,
    peaks.length === 0
      ? 'CPU and memory: not available on this system (they are read from /proc)'
      : `peak RSS: ${whole(Math.max(...peaks) / 1e6)} MB, target below ${TARGET.peakMemoryBytes / 1e6} MB: ` +
        reached(Math.max(...peaks) < TARGET.peakMemoryBytes),
    failures.length === 0 ? 'rows, sums and books: as generated' : `WRONG:\n${failures.join('\n')}`,
  ]
}

function reached(is: boolean): string {
  return is ? 'reached' : 'missed'
}

/** The median; the lowest and the highest as well where there are several. */
function spread(values: readonly number[], show: (value: number) => string): string {
  if (values.length < 2) return middle(values, show)
  return `${middle(values, show)} (${show(Math.min(...values))} to ${show(Math.max(...values))})`
}

function middle(values: readonly number[], show: (value: number) => string): string {
  return values.length === 0 ? '-' : show(median(values))
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en')
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = HEAD.map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows.map(row =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
  )
}
