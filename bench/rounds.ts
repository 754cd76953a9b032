/** Contenders that take turns. */
import { fileURLToPath } from 'node:url'
import { ask, freshDatabase } from './database.ts'
import type { Measurement, Work } from './measurement.ts'
import type { BenchOptions } from './options.ts'
import type { Servers } from './servers.ts'

/** This checkout. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** What every measurement of a run has at hand. */
export interface Bench {
  readonly options: BenchOptions
  readonly servers: Servers
  /** Names the files of this run. */
  readonly stamp: string
  /** Progress, for people. */
  readonly say: (line: string) => void
}

export interface Contender {
  readonly name: string
  /** Makes the tables of an empty database. */
  readonly prepare: (databaseUrl: string) => Promise<void>
  /** @param run names what it leaves behind: database, group, log. */
  readonly work: (databaseUrl: string, run: string) => Promise<readonly Work[]>
}

/**
 * In each round every contender has its turn, on a fresh database.
 * @param shape names the runs
 */
export async function takeTurns(bench: Bench, shape: string, contenders: readonly Contender[]): Promise<Measurement[]> {
  const { options, servers, say } = bench
  const measurements: Measurement[] = []
  for (let round = 1; round <= options.rounds; round++) {
    // The order alternates, so that a machine which becomes faster or slower meanwhile favours no contender.
    for (const contender of round % 2 === 1 ? contenders : contenders.toReversed()) {
      const run = `bench_${shape.replaceAll('-', '_')}_${round}_${contenders.indexOf(contender)}`
      await using database = await freshDatabase(servers.postgres, run, { ...options, prepare: contender.prepare })
      const walBefore = await walPosition(database.url)
      const works = await contender.work(database.url, run)
      const walBytes = (await walPosition(database.url)) - walBefore
      for (const work of works) {
        const { orders, seconds, ordersOfTurn = orders } = work
        const walBytesAnOrder = works.length === 1 ? walBytes / ordersOfTurn : undefined
        const measurement = { ...work, round, ordersPerSecond: orders / seconds, walBytesAnOrder }
        measurements.push(measurement)
        const wrong = work.failures.length === 0 ? '' : `; WRONG: ${work.failures.join('; ')}`
        const rate = `${Math.round(measurement.ordersPerSecond)} orders/s${wrong}`
        say(`${shape}, round ${round} of ${options.rounds}, ${work.contender}: ${rate}`)
      }
    }
  }
  return measurements
}

/** Bytes since the server was made. */
async function walPosition(databaseUrl: string): Promise<number> {
  const text = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') AS position"
  const [row] = await ask<{ position: string }>(databaseUrl, text)
  return Number(row?.position)
}
