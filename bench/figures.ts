/** What a run has found, by name: for programs, and for the targets. */
import { COPY_LIMIT, DRAIN, drainOf, UPSERT_LIMIT } from './contenders.ts'
import { type Measurement, median, quotients } from './measurement.ts'
import type { BenchOptions } from './options.ts'
import type { ShapeName } from './shapes.ts'

/** A shape as it was measured. */
export interface ShapeResult {
  readonly shape: ShapeName
  /** Records of its topic. */
  readonly orders: number
  /** Contenders that the others are divided by. */
  readonly bases: readonly string[]
  readonly measurements: readonly Measurement[]
  /** Figures that no contender has. */
  readonly further: Figures
  /** Errors besides those of contenders. */
  readonly failures: readonly string[]
}

/** By name. `undefined`: the machine does not report it. */
export type Figures = Readonly<Record<string, number | boolean | undefined>>

/** Medians over the rounds, and quotients round by round. CPU in µs an order, memory in MiB. */
export function figuresOf(result: ShapeResult, { against }: Pick<BenchOptions, 'against'>): Figures {
  const { measurements, further } = result
  const rate = (contender: string) => middle(measurements, contender, one => one.ordersPerSecond)
  const quotient = (contender: string, base: string) => medianOf(quotients(measurements, contender, base))
  const [before] = against
  return {
    drain_orders_per_second: rate(DRAIN),
    upsert_limit_orders_per_second: rate(UPSERT_LIMIT),
    copy_limit_orders_per_second: rate(COPY_LIMIT),
    drain_of_upsert_limit: quotient(DRAIN, UPSERT_LIMIT),
    drain_of_copy_limit: quotient(DRAIN, COPY_LIMIT),
    drain_of_before: before === undefined ? undefined : quotient(DRAIN, drainOf(before)),
    rss_mib: middle(measurements, DRAIN, one => mebibytes(one.peakMemoryBytes)),
    client_cpu_us: middle(measurements, DRAIN, one => micros(one.cpu.client, one)),
    pg_cpu_us: middle(measurements, DRAIN, one => micros(one.cpu.postgres, one)),
    wal_bytes_an_order: middle(measurements, DRAIN, one => one.walBytesAnOrder),
    records_a_batch: middle(measurements, DRAIN, one => one.recordsPerBatch),
    correct: isCorrect(result),
    ...further,
  }
}

/** Whether our own work is right; a rival's errors are its own. */
export function isCorrect({ measurements, failures }: ShapeResult): boolean {
  const ours = measurements.filter(({ rival }) => rival !== true)
  return [...failures, ...ours.flatMap(measurement => measurement.failures)].length === 0
}

/** The last run in a form that stays: the figures of `plain` at the top, those of the other shapes by their names. */
export function latestOf(
  results: readonly ShapeResult[],
  options: BenchOptions,
  run: { readonly measuredAt: string; readonly loadBefore: number },
): Readonly<Record<string, unknown>> {
  const { rounds, processes, partitions } = options
  const plain = results.find(({ shape }) => shape === 'plain')
  const others = results.filter(result => result !== plain)
  return {
    measured_at: run.measuredAt,
    load_before: run.loadBefore,
    ...{ orders: options.orders, rounds, partitions, processes },
    ...(plain === undefined ? {} : figuresOf(plain, options)),
    shapes: Object.fromEntries(others.map(result => [result.shape, figuresOf(result, options)])),
  }
}

export function mebibytes(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes / 2 ** 20
}

/** @returns µs an order */
export function micros(seconds: number | undefined, { orders }: Pick<Measurement, 'orders'>): number | undefined {
  return seconds === undefined ? undefined : (seconds * 1e6) / orders
}

function middle(
  measurements: readonly Measurement[],
  contender: string,
  of: (measurement: Measurement) => number | undefined,
): number | undefined {
  return medianOf(measurements.filter(one => one.contender === contender).flatMap(one => of(one) ?? []))
}

function medianOf(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : median(values)
}
