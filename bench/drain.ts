/**
 * `make bench`: how fast the service processes a topic, compared with how fast PostgreSQL alone writes the same rows.
 * What is measured and how to read it: bench/README.md.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describeConfig } from '#src/settings/config.ts'
import { type Backlog, produceBacklog } from './backlog.ts'
import { ask, bookFailures, differences, freshDatabase, recordsPerBatch, tallyOf } from './database.ts'
import { encodeBacklog, runLimit } from './limit.ts'
import type { Measurement } from './measurement.ts'
import { readOptions } from './options.ts'
import { describeMachine, type Report, toTable } from './report.ts'
import { type Servers, startServers } from './servers.ts'
import { drainBacklog } from './service.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const RESULTS = join(ROOT, 'bench', 'results')

/** The settings that determine throughput; shown with every result. */
const SHOWN_SETTINGS = [
  'BATCH_MAX_RECORDS',
  'BATCH_MAX_BYTES',
  'BATCH_LINGER_MS',
  'PG_POOL_MAX',
  'CACHE_MAX_BYTES',
  'KAFKA_CONFIG',
]

const LIMIT = 'limit'
const DRAIN = 'drain'
const WITHOUT_METRICS = 'drain, no metrics'
/** A usual scrape interval of Prometheus. */
const SCRAPE_EVERY_MS = 15_000

interface Contender {
  readonly name: string
  /** @param run names what it leaves behind: database, group, log. */
  readonly work: (
    databaseUrl: string,
    run: string,
  ) => Promise<Omit<Measurement, 'contender' | 'round' | 'ordersPerSecond'>>
}

// Measured before the bench itself causes any load.
const loadBefore = loadavg()[0] ?? 0
const options = readOptions(process.argv.slice(2))
const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-')
mkdirSync(RESULTS, { recursive: true })
const report = await measure()
writeFileSync(join(RESULTS, `drain-${stamp}.json`), `${JSON.stringify(report, null, 2)}\n`)
console.log(options.json ? JSON.stringify(report) : toTable(report))
process.exitCode = report.measurements.every(({ failures }) => failures.length === 0) ? 0 : 1

async function measure(): Promise<Report> {
  const dataDir = options.keep ? mkdtempSync(join(tmpdir(), 'holdfast-bench-')) : undefined
  if (dataDir !== undefined) say(`the servers keep their data in ${dataDir}`)
  await using servers = await startServers({ dataDir, log: say })
  const [version] = await ask<{ server_version: string }>(servers.postgres.url, 'SHOW server_version')
  const machine = describeMachine(version?.server_version ?? 'unknown', loadBefore)

  say(`producing ${options.orders} orders`)
  const backlog = await produceBacklog(servers.connection, options)
  const contenders = contendersFor(servers, backlog)

  const measurements: Measurement[] = []
  for (let round = 1; round <= options.rounds; round++) {
    // The order alternates, so that a machine which becomes faster or slower meanwhile favours no contender.
    for (const { name, work } of round % 2 === 1 ? contenders : contenders.toReversed()) {
      const run = `bench_${round}_${contenders.findIndex(contender => contender.name === name)}`
      await using database = await freshDatabase(servers.postgres, run, options.keep)
      const span = await work(database.url, run)
      const ordersPerSecond = options.orders / span.seconds
      measurements.push({ contender: name, round, ordersPerSecond, ...span })
      say(`round ${round} of ${options.rounds}, ${name}: ${Math.round(ordersPerSecond)} orders/s`)
    }
  }
  const settings = Object.fromEntries(
    describeConfig(process.env).flatMap(({ name, value }) =>
      SHOWN_SETTINGS.includes(name) && value !== '' ? [[name, value]] : [],
    ),
  )
  return { options, machine, settings, limit: LIMIT, drain: DRAIN, measurements }
}

function contendersFor(servers: Servers, backlog: Backlog): Contender[] {
  const given = givenSettings()
  const queues = encodeBacklog(backlog)
  return [
    {
      name: LIMIT,
      async work(databaseUrl) {
        const span = await runLimit(databaseUrl, servers, queues)
        // It trims no items, so an order that has grown shorter keeps its last ones: items are not compared.
        const failures = differences(await tallyOf(databaseUrl), backlog.expected, [
          'orders',
          'deliveries',
          'payments',
          'amount',
        ])
        const untold = { secondsFromStart: undefined, cpuFromStart: undefined, peakMemoryBytes: undefined }
        return { ...span, ...untold, recordsPerBatch: backlog.orders / queues.flat().length, failures }
      },
    },
    service(DRAIN, ROOT, given),
    ...options.variants.map(({ name, settings }) => service(`${DRAIN}, ${name}`, ROOT, { ...given, ...settings })),
    ...(options.withoutMetrics ? [service(WITHOUT_METRICS, ROOT, given)] : []),
    ...options.against.map(checkout => service(`${DRAIN} of ${basename(checkout)}`, checkout, given)),
  ]

  function service(name: string, checkout: string, settings: Readonly<Record<string, string>>): Contender {
    return {
      name,
      async work(databaseUrl, run) {
        const logFile = join(RESULTS, `drain-${stamp}-${run}.log`)
        const profile = ['--cpu-prof', `--cpu-prof-dir=${RESULTS}`, `--cpu-prof-name=drain-${stamp}-${run}.cpuprofile`]
        const span = await drainBacklog(servers, backlog, {
          checkout,
          databaseUrl,
          groupId: run,
          settings,
          logFile,
          nodeFlags: [
            ...(options.profile ? profile : []),
            ...(name === WITHOUT_METRICS ? [`--import=${new URL('without-metrics.ts', import.meta.url).href}`] : []),
          ],
          scrapeEveryMs: options.withoutMetrics ? SCRAPE_EVERY_MS : undefined,
        })
        const tally = differences(await tallyOf(databaseUrl), backlog.expected, [
          'orders',
          'deliveries',
          'payments',
          'items',
          'amount',
          'totalPrice',
        ])
        return {
          ...span,
          recordsPerBatch: await recordsPerBatch(databaseUrl, run),
          failures: [...span.failures, ...tally, ...(await bookFailures(databaseUrl, run, backlog))],
        }
      },
    }
  }
}

/** Settings of the service that were set in the environment of the bench: `PG_POOL_MAX=6 make bench`. */
function givenSettings(): Record<string, string> {
  return Object.fromEntries(
    describeConfig(process.env).flatMap(({ name, origin }) => {
      const value = process.env[name]
      return origin === 'environment' && value !== undefined ? [[name, value]] : []
    }),
  )
}

/** Progress is for stderr: stdout is the result. */
function say(line: string): void {
  console.error(`bench: ${line}`)
}
