/** Measurements for people. */
import { grouped } from '../src/engine/grouped.ts'
import { COPY_LIMIT, UPSERT_LIMIT } from './contenders.ts'
import { figuresOf, mebibytes, micros, type ShapeResult } from './figures.ts'
import { LIMIT_BATCH, LIMIT_CONNECTIONS } from './limits.ts'
import type { Machine } from './machine.ts'
import { type Cpu, type Measurement, median, quotients } from './measurement.ts'
import type { BenchOptions } from './options.ts'
import { SHAPES } from './shapes.ts'
import { verdicts } from './targets.ts'

export interface Report {
  readonly options: BenchOptions
  readonly machine: Machine
  readonly settings: Readonly<Record<string, string>>
  readonly results: readonly ShapeResult[]
}

/** @returns lines for stdout */
export function toTable(report: Report): string {
  const { options, machine, settings, results } = report
  const updates = `${Math.round(options.updatesRatio * 1000) / 10} % updates`
  const processes = options.processes === 1 ? '' : `, ${options.processes} processes`
  const measurements = results.flatMap(result => result.measurements)
  return [
    `${updates}, seed ${options.seed}, ${options.partitions} partitions${processes}; ` +
      `${options.rounds === 1 ? '1 round' : `medians of ${options.rounds} rounds (in brackets the lowest and the highest)`}`,
    `${machine.cores} cores (${machine.processor}), ${Math.round(machine.memoryBytes / 2 ** 30)} GiB, load before ` +
      `${machine.loadBefore.toFixed(1)}; Node ${machine.node}, PostgreSQL ${machine.postgres}, Kafka ${machine.kafka}, ` +
      `librdkafka ${machine.librdkafka}`,
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
    `${UPSERT_LIMIT}: PostgreSQL alone takes the rows of the topic by the upsert of the service; ${COPY_LIMIT}: by COPY, each`,
    `order once; both ${LIMIT_BATCH} orders a transaction, encoded beforehand, ${LIMIT_CONNECTIONS} connections`,
    'drain: the service, from its first assignment of partitions to the last commit at the broker',
    ...results.flatMap(result => ['', ...shapeLines(result)]),
    '',
    ...verdicts(shape => {
      const result = results.find(result => result.shape === shape)
      return result === undefined ? undefined : figuresOf(result, options)
    }),
    ...(measurements.some(({ cpu }) => cpu.postgres !== undefined) || measurements.length === 0
      ? []
      : ['CPU and memory: not available on this system (they are read from /proc)']),
    ...failureLines(results),
  ].join('\n')
}

function shapeLines(result: ShapeResult): string[] {
  const { shape, orders, measurements, further } = result
  const names = [...new Set(measurements.map(({ contender }) => contender))]
  const heads = [
    '',
    'orders/s',
    ...result.bases.map(base => `of ${base}`),
    ...['CPU of the client', 'of PostgreSQL', 'of the broker'],
    ...['WAL', 'peak RSS', 'records a batch', 'orders/s with start-up'],
  ]
  return [
    `${shape}: ${SHAPES[shape].about} (${whole(orders)} records)`,
    ...(names.length === 0 ? [] : aligned([heads, ...names.map(name => rowOf(name, result))])),
    ...Object.entries(further).map(
      ([name, value]) => `  ${name} ${typeof value === 'number' ? precise(value) : value}`,
    ),
  ]
}

function rowOf(name: string, { bases, measurements }: ShapeResult): string[] {
  const own = measurements.filter(({ contender }) => contender === name)
  const figures = (of: (measurement: Measurement) => number | undefined) => own.flatMap(one => of(one) ?? [])
  const cpu = (of: keyof Cpu) =>
    middle(
      figures(one => micros(one.cpu[of], one)),
      value => `${whole(value)} µs an order`,
    )
  return [
    name,
    spread(
      figures(one => one.ordersPerSecond),
      whole,
    ),
    ...bases.map(base =>
      name === base ? '1' : spread(quotients(measurements, name, base), value => value.toFixed(2)),
    ),
    ...[cpu('client'), cpu('postgres'), cpu('broker')],
    middle(
      figures(one => one.walBytesAnOrder),
      bytes => `${whole(bytes)} bytes an order`,
    ),
    middle(
      figures(one => mebibytes(one.peakMemoryBytes)),
      value => `${whole(value)} MiB`,
    ),
    middle(
      figures(one => one.recordsPerBatch),
      whole,
    ),
    middle(
      figures(one => one.secondsFromStart && one.orders / one.secondsFromStart),
      whole,
    ),
  ]
}

function failureLines(results: readonly ShapeResult[]): string[] {
  const lines = (of: (measurement: Measurement) => boolean) =>
    results.flatMap(({ shape, measurements }) =>
      measurements
        .filter(of)
        .flatMap(({ contender, round, failures }) =>
          failures.map(failure => `  ${shape}, round ${round}, ${contender}: ${failure}`),
        ),
    )
  const ours = [
    ...lines(({ rival }) => rival !== true),
    ...results.flatMap(({ shape, failures }) => failures.map(failure => `  ${shape}: ${failure}`)),
  ]
  const rivals = lines(({ rival }) => rival === true)
  return [
    ours.length === 0 ? 'rows, sums and ledger: as generated' : `WRONG:\n${ours.join('\n')}`,
    ...(rivals.length === 0 ? [] : [`wrong beside us:\n${rivals.join('\n')}`]),
  ]
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
  return grouped(Math.round(value))
}

function precise(value: number): string {
  return Math.abs(value) < 10 ? value.toFixed(2) : whole(value)
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows.map(row =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
  )
}
