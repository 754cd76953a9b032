import { expect, it } from 'vitest'
import { COPY_LIMIT, DRAIN, drainOf, UPSERT_LIMIT } from '../../../bench/contenders.ts'
import { figuresOf, latestOf, type ShapeResult } from '../../../bench/figures.ts'
import type { Measurement } from '../../../bench/measurement.ts'
import { readOptions } from '../../../bench/options.ts'
import { toTable } from '../../../bench/report.ts'

it('divides within a round only, then takes the median of the quotients', () => {
  // The machine grew four times as slow in the second round: 0.5, 0.4 and 0.6 of the limit all the same.
  const table = tableOf([
    ...round(1, { upsert: 20_000, copy: 40_000, drain: 10_000 }),
    ...round(2, { upsert: 5_000, copy: 10_000, drain: 2_000 }),
    ...round(3, { upsert: 20_000, copy: 40_000, drain: 12_000 }),
  ])
  expect(table).toContain('0.50 (0.40 to 0.60)')
  expect(table).toContain('drain / upsert limit: 0.50; floor 0.85: missed, aim 1.10: missed')
  expect(table).toContain('drain / copy limit: 0.25; floor 0.50: missed, aim 0.65: missed')
})

it('says which targets are reached', () => {
  const table = tableOf(round(1, { upsert: 10_000, copy: 20_000, drain: 9_000 }))
  expect(table).toContain('drain / upsert limit: 0.90; floor 0.85: reached, aim 1.10: missed')
  expect(table).toContain('peak memory at full drain: 300 MiB; floor 300: reached, aim 200: missed')
  expect(table).toContain('CPU of the service: 50 µs an order; floor 40: missed, aim 28: missed')
  expect(table).toContain('CPU of PostgreSQL: 80 µs an order; floor 58: missed, aim 46: missed')
  expect(table).toContain('records a batch under a backlog: 990; floor 900: reached, aim 990: reached')
})

it('says what is wrong, of whom and when', () => {
  const [upsert, copy, drain] = round(2, { upsert: 10_000, copy: 20_000, drain: 5_000 }) as Measurement[]
  const wrong = { ...drain, failures: ['items: 7 in the tables, 8 generated'] } as Measurement
  const table = tableOf([upsert as Measurement, copy as Measurement, wrong])
  expect(table).toContain('WRONG:\n  plain, round 2, drain: items: 7 in the tables, 8 generated')
  expect(table).not.toContain('as generated')
})

it('tells errors of a rival from ours', () => {
  const measurements = round(1, { upsert: 10_000, copy: 20_000, drain: 5_000 })
  const rival = {
    ...(measurements[2] as Measurement),
    contender: 'theirs',
    rival: true,
    failures: ['amount: 1, not 2'],
  }
  const table = tableOf([...measurements, rival])
  expect(table).toContain('rows, sums and ledger: as generated')
  expect(table).toContain('wrong beside us:\n  plain, round 1, theirs: amount: 1, not 2')
  expect(figuresOf(aResult([...measurements, rival]), { against: [] })).toHaveProperty('correct', true)
})

it('does without CPU and memory where the machine does not report them', () => {
  const measurements = round(1, { upsert: 10_000, copy: 20_000, drain: 5_000 }).map(measurement => ({
    ...measurement,
    cpu: { client: undefined, postgres: undefined, broker: undefined },
    peakMemoryBytes: undefined,
  }))
  expect(tableOf(measurements)).toContain('CPU and memory: not available')
  const latest = JSON.parse(JSON.stringify(latestOf([aResult(measurements)], readOptions([]), RUN))) as object
  expect(latest).not.toHaveProperty('rss_mib')
})

it('names the figures of the last run, medians and quotients', () => {
  const before = round(1, { upsert: 1, copy: 1, drain: 4_000 })[2] as Measurement
  const result = aResult([
    ...round(1, { upsert: 20_000, copy: 40_000, drain: 10_000 }),
    { ...before, contender: drainOf('/there/base') },
  ])
  const options = readOptions(['--against', '/there/base', '--shape', 'plain', '--shape', 'skew'])
  expect(latestOf([result, { ...result, shape: 'skew' }], options, RUN)).toMatchObject({
    ...{ measured_at: '2026-03-01T10:20:30Z', load_before: 0.1, orders: 200_000, rounds: 1 },
    ...{
      drain_orders_per_second: 10_000,
      upsert_limit_orders_per_second: 20_000,
      copy_limit_orders_per_second: 40_000,
    },
    ...{ drain_of_upsert_limit: 0.5, drain_of_copy_limit: 0.25, drain_of_before: 2.5 },
    ...{ rss_mib: 300, client_cpu_us: 50, pg_cpu_us: 80, records_a_batch: 990, correct: true },
    shapes: { skew: { drain_of_upsert_limit: 0.5 } },
  })
})

const RUN = { measuredAt: '2026-03-01T10:20:30Z', loadBefore: 0.1 }
const ORDERS = 100_000
const NAMES = { upsert: UPSERT_LIMIT, copy: COPY_LIMIT, drain: DRAIN } as const

function round(number: number, rates: Readonly<Record<keyof typeof NAMES, number>>): Measurement[] {
  return Object.entries(rates).map(([name, ordersPerSecond]) => ({
    contender: NAMES[name as keyof typeof NAMES],
    round: number,
    orders: ORDERS,
    ordersPerSecond,
    seconds: ORDERS / ordersPerSecond,
    secondsFromStart: name === 'drain' ? ORDERS / ordersPerSecond + 1 : undefined,
    cpu: { client: 5, postgres: 8, broker: 0.2 },
    cpuFromStart: 6,
    peakMemoryBytes: name === 'drain' ? 300 * 2 ** 20 : undefined,
    recordsPerBatch: 990,
    failures: [],
  }))
}

function aResult(measurements: readonly Measurement[]): ShapeResult {
  return { shape: 'plain', orders: ORDERS, bases: [UPSERT_LIMIT, COPY_LIMIT], measurements, further: {}, failures: [] }
}

function tableOf(measurements: readonly Measurement[]): string {
  return toTable({
    options: readOptions(['--orders', String(ORDERS)]),
    machine: {
      ...{ cores: 2, processor: 'a processor', memoryBytes: 8 * 2 ** 30, loadBefore: 0.1 },
      ...{ node: '24.0.0', postgres: '18.0', kafka: '4.0.0', librdkafka: '2.0.0' },
    },
    settings: { PG_POOL_MAX: '4' },
    results: [aResult(measurements)],
  })
}
