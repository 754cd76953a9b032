import { describe, expect, it } from 'vitest'
import { type Measurement, median } from '../../../bench/measurement.ts'
import { readOptions } from '../../../bench/options.ts'
import { type Report, toTable } from '../../../bench/report.ts'

describe('median', () => {
  it('is the middle one, or the mean of the middle two', () => {
    expect(median([9, 1, 4])).toBe(4)
    expect(median([9, 1, 4, 2])).toBe(3)
    expect(() => median([])).toThrow(RangeError)
  })
})

describe('the table', () => {
  it('divides within a round only, then takes the median of the quotients', () => {
    // The machine grew four times as slow in the second round: 0.5, 0.4 and 0.6 of the limit all the same.
    const table = toTable(
      aReport([
        ...round(1, { limit: 20_000, drain: 10_000 }),
        ...round(2, { limit: 5_000, drain: 2_000 }),
        ...round(3, { limit: 20_000, drain: 12_000 }),
      ]),
    )
    expect(table).toContain('0.50 (0.40 to 0.60)')
    expect(table).toContain('drain / limit: 0.50, target at least 0.4: reached')
  })

  it('holds the highest memory of all rounds against the target', () => {
    const [, drain] = round(1, { limit: 10_000, drain: 3_000 })
    const high = { ...drain, peakMemoryBytes: 400e6 } as Measurement
    const table = toTable(aReport([...round(1, { limit: 10_000, drain: 3_000 }), high]))
    expect(table).toContain('peak RSS: 400 MB, target below 400 MB: missed')
    expect(table).toContain('0.30, target at least 0.4: missed')
  })

  it('says what is wrong, of whom and when', () => {
    const [limit, drain] = round(2, { limit: 10_000, drain: 5_000 })
    const wrong = { ...drain, failures: ['items: 7 in the tables, 8 generated'] } as Measurement
    const table = toTable(aReport([limit as Measurement, wrong]))
    expect(table).toContain('WRONG:\n  round 2, drain: items: 7 in the tables, 8 generated')
    expect(table).not.toContain('as generated')
  })

  it('does without CPU and memory where the machine does not tell', () => {
    const untold = round(1, { limit: 10_000, drain: 5_000 }).map(measurement => ({
      ...measurement,
      cpu: { client: undefined, postgres: undefined, broker: undefined },
      peakMemoryBytes: undefined,
    }))
    expect(toTable(aReport(untold))).toContain('CPU and memory: not available')
  })
})

describe('flags', () => {
  it('take another contender by its settings', () => {
    const { variants, updatesRatio, orders } = readOptions([
      ...['--updates', '5%', '--orders', '1000'],
      ...['--variant', 'PG_POOL_MAX=6 KAFKA_CONFIG=queued.max.messages.kbytes=4096', '--variant', 'BATCH_LINGER_MS=20'],
    ])
    expect({ updatesRatio, orders }).toEqual({ updatesRatio: 0.05, orders: 1000 })
    expect(variants.map(({ settings }) => settings)).toEqual([
      { PG_POOL_MAX: '6', KAFKA_CONFIG: 'queued.max.messages.kbytes=4096' },
      { BATCH_LINGER_MS: '20' },
    ])
  })
})

function round(number: number, rates: Readonly<Record<'limit' | 'drain', number>>): Measurement[] {
  return Object.entries(rates).map(([contender, ordersPerSecond]) => ({
    contender,
    round: number,
    ordersPerSecond,
    seconds: 100_000 / ordersPerSecond,
    secondsFromStart: contender === 'limit' ? undefined : 100_000 / ordersPerSecond + 1,
    cpu: { client: 5, postgres: 8, broker: 0.2 },
    cpuFromStart: 6,
    peakMemoryBytes: contender === 'limit' ? undefined : 300e6,
    recordsPerBatch: 900,
    failures: [],
  }))
}

function aReport(measurements: readonly Measurement[]): Report {
  return {
    options: readOptions(['--orders', '100000']),
    machine: {
      ...{ cores: 2, processor: 'a processor', memoryBytes: 8 * 2 ** 30, loadBefore: 0.1 },
      ...{ node: '24.0.0', postgres: '18.0', kafka: '4.0.0', librdkafka: '2.0.0' },
    },
    settings: { PG_POOL_MAX: '4' },
    limit: 'limit',
    drain: 'drain',
    measurements,
  }
}
