/** Who works off a topic of orders: PostgreSQL alone, the service, its variants, other checkouts, rivals. */
import { basename, join } from 'node:path'
import { describeConfig } from '#src/settings/describe.ts'
import type { Backlog } from './backlog.ts'
import {
  deadLetterFailures,
  differences,
  FIGURES_WITHOUT_ITEMS,
  ledgerFailures,
  recordsPerBatch,
  tallyOf,
} from './checks.ts'
import { migrated } from './database.ts'
import { drainBacklog } from './drain-span.ts'
import { encodeLimits, runCopyLimit, runUpsertLimit } from './limits.ts'
import { type Bench, type Contender, ROOT } from './rounds.ts'
import type { Servers } from './servers.ts'
import { runCommand, type ServiceOptions } from './service.ts'

export const UPSERT_LIMIT = 'upsert limit'
export const COPY_LIMIT = 'copy limit'
export const DRAIN = 'drain'
const WITHOUT_METRICS = 'drain, no metrics'
/** A usual scrape interval of Prometheus. */
const SCRAPE_EVERY_MS = 15_000

/** Name of the contender that runs the service of another checkout. */
export function drainOf(checkout: string): string {
  return `${DRAIN} of ${basename(checkout)}`
}

export function limitContenders({ servers }: Bench, backlog: Backlog): Contender[] {
  const limits = encodeLimits(backlog)
  const limit = (name: string, work: LimitRun, batches: number, orders: number): Contender => ({
    name,
    prepare: migrated,
    async work(databaseUrl) {
      const span = await work(databaseUrl, servers, limits)
      const failures = differences(await tallyOf(databaseUrl), backlog.expected, FIGURES_WITHOUT_ITEMS)
      return [{ contender: name, ...span, recordsPerBatch: orders / batches, failures }]
    },
  })
  const { upsert, copy } = limits
  return [
    limit(UPSERT_LIMIT, runUpsertLimit, upsert.queues.flat().length, upsert.orders),
    limit(COPY_LIMIT, runCopyLimit, copy.queues.flat().length, copy.orders),
  ]
}

type LimitRun = typeof runUpsertLimit

/** The service as it is, and as the options want it besides. */
export function serviceContenders(bench: Bench, backlog: Backlog): Contender[] {
  const { variants, withoutMetrics, against } = bench.options
  const given = givenSettings()
  return [
    serviceContender(bench, backlog, { name: DRAIN }),
    ...variants.map(({ name, settings }) =>
      serviceContender(bench, backlog, { name: `${DRAIN}, ${name}`, settings: { ...given, ...settings } }),
    ),
    ...(withoutMetrics ? [serviceContender(bench, backlog, { name: WITHOUT_METRICS })] : []),
    ...against.map(checkout => serviceContender(bench, backlog, { name: drainOf(checkout), checkout })),
  ]
}

/** What the service itself finds: `holdfast verify`. */
async function proofFailures(servers: Servers, service: ServiceOptions): Promise<string[]> {
  try {
    await runCommand(servers, service, ['verify'])
    return []
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    return [`holdfast verify: ${(stdout + stderr).trim() || String(error)}`]
  }
}

export interface ServiceContender {
  readonly name: string
  /** Default: this checkout. */
  readonly checkout?: string
  /** Default: those of the environment. */
  readonly settings?: Readonly<Record<string, string>>
  /** Default: as the options say. */
  readonly processes?: number
}

export function serviceContender(bench: Bench, backlog: Backlog, contender: ServiceContender): Contender {
  const { servers, options } = bench
  const { name, checkout, processes = options.processes } = contender
  return {
    name,
    async prepare(databaseUrl) {
      if (checkout === undefined) return await migrated(databaseUrl)
      // Its own tables: a later migration may have renamed what it knows.
      await runCommand(servers, serviceOptions(bench, backlog, databaseUrl, 'bench_migrate', contender), [
        'migrate',
        'up',
      ])
    },
    async work(databaseUrl, run) {
      const service = serviceOptions(bench, backlog, databaseUrl, run, contender)
      const scrapeEveryMs = options.withoutMetrics ? SCRAPE_EVERY_MS : undefined
      const span = await drainBacklog(servers, { ...service, processes, scrapeEveryMs })
      const failures = [
        ...span.failures,
        ...differences(await tallyOf(databaseUrl), backlog.expected),
        ...(await ledgerFailures(databaseUrl, run, { ...backlog, times: 1 })),
        ...(await deadLetterFailures(databaseUrl, backlog)),
        ...(await proofFailures(servers, service)),
      ]
      return [{ contender: name, ...span, recordsPerBatch: await recordsPerBatch(databaseUrl, run), failures }]
    },
  }
}

/**
 * @param run names the group
 * @param as names log and profile
 */
export function serviceOptions(
  { options, stamp }: Bench,
  { topic, dlqTopic, ends }: Pick<Backlog, 'topic' | 'dlqTopic' | 'ends'>,
  databaseUrl: string,
  run: string,
  { name, checkout = ROOT, settings = givenSettings() }: ServiceContender,
  as = run,
): ServiceOptions {
  const file = `drain-${stamp}-${as}`
  const profile = ['--cpu-prof', `--cpu-prof-dir=${options.results}`, `--cpu-prof-name=${file}.cpuprofile`]
  return {
    ...{ checkout, databaseUrl, settings },
    orders: { topic, dlqTopic, ends, groupId: run },
    logFile: join(options.results, `${file}.log`),
    nodeFlags: [
      ...(options.profile ? profile : []),
      ...(name === WITHOUT_METRICS ? [`--import=${new URL('without-metrics.ts', import.meta.url).href}`] : []),
    ],
  }
}

/** Settings of the service that were set in the environment of the bench: `PG_POOL_MAX=6 make bench`. */
export function givenSettings(): Record<string, string> {
  return Object.fromEntries(
    describeConfig(process.env).flatMap(({ name, origin }) => {
      const value = process.env[name]
      return origin === 'environment' && value !== undefined ? [[name, value]] : []
    }),
  )
}
