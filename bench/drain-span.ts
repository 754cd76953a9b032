/** How long the service takes to work off topics. */
import { ask } from './database.ts'
import type { Work } from './measurement.ts'
import { cpuSecondsOfTree, peakMemoryBytes } from './process-figures.ts'
import { type Servers, since } from './servers.ts'
import { addressOf, assignedAt, type Consumed, type ServiceOptions, startService } from './service.ts'
import { type Watched, watchCommits, watching } from './watching.ts'

export interface DrainOptions extends ServiceOptions {
  /** How many processes share the partitions. */
  readonly processes: number
  /** Topics that it consumes besides orders. */
  readonly others?: readonly Consumed[]
  /** The interval at which `/metrics` is fetched meanwhile. */
  readonly scrapeEveryMs: number | undefined
}

/** The last of several processes may have partitions so late that no more than this share of the records is left. */
const TOO_LITTLE_LEFT = 0.5

export type DrainSpan = Omit<Work, 'contender' | 'recordsPerBatch'>

/**
 * Starts the service, waits until the broker holds every partition's end as committed, and stops it.
 * The clock starts with the first assignment of partitions, which the service logs with the time; the end is seen up to
 * 50 ms late. Of several processes it starts when each of them has partitions, and what was settled until then is not counted;
 * but when most of a topic was, all of it counts, from the first assignment on.
 * @throws Error with the end of its log when it ends early or stands still
 */
export async function drainBacklog(servers: Servers, options: DrainOptions): Promise<DrainSpan> {
  const topics = [options.orders, ...(options.others ?? [])]
  const records = recordsOfTopics(topics)
  await using commits = await watchCommits(servers, topics)
  const launch = { atMs: Date.now(), servers: servers.cpu(), client: 0, settled: 0 }
  const services: Watched[] = []
  let scraping: NodeJS.Timeout | undefined
  try {
    for (let i = 0; i < options.processes; i++) {
      const logFile = i === 0 ? options.logFile : options.logFile.replace(/\.log$/, `-${i + 1}.log`)
      services.push({ process: await startService(servers, { ...options, logFile }), logFile })
    }
    const assignedMs = await watching(services, () => firstAssignment(services))
    scraping = options.scrapeEveryMs === undefined ? undefined : scrape(options.logFile, options.scrapeEveryMs)
    const begin = await beginOf()
    const endedAt = await watching(services, async progress => {
      const open = await commits.open()
      progress(String(open))
      return open.length === 0 ? Date.now() : undefined
    })
    const cpuFromStart = cpuOf(services)
    const cpu = { client: since(cpuFromStart, begin.client), ...servers.cpu(begin.servers) }
    const peak = total(services, ({ process }) => peakMemoryBytes(process.pid))
    return {
      seconds: (endedAt - begin.atMs) / 1000,
      orders: records - begin.settled,
      ordersOfTurn: records,
      secondsFromStart: (endedAt - launch.atMs) / 1000,
      cpu,
      cpuFromStart,
      peakMemoryBytes: peak,
      failures: await stopAll(services),
    }

    async function beginOf() {
      const now = { servers: servers.cpu(), client: cpuOf(services) }
      if (services.length === 1) return { ...now, atMs: assignedMs, settled: 0 }
      const settled = await settledRecords(options.databaseUrl)
      if (records - settled < records * TOO_LITTLE_LEFT) return { ...launch, atMs: assignedMs }
      return { ...now, atMs: Date.now(), settled }
    }
  } finally {
    clearInterval(scraping)
    await Promise.all(services.map(({ process }) => process.stop('SIGKILL')))
  }
}

/** @returns which of them did not end in order */
export async function stopAll(services: readonly Watched[]): Promise<string[]> {
  const failures = services.map(async ({ process, logFile }) => {
    await process.stop()
    const exit = await process.exited
    return exit === 0 ? [] : [`the service ended with ${exit}, see ${logFile}`]
  })
  return (await Promise.all(failures)).flat()
}

/** When the first of them was given partitions, once each has been. */
function firstAssignment(services: readonly Watched[]): number | undefined {
  const times = services.map(({ logFile }) => assignedAt(logFile))
  const known = times.filter(time => time !== undefined)
  return known.length === times.length ? Math.min(...known) : undefined
}

async function settledRecords(databaseUrl: string): Promise<number> {
  const text = 'SELECT sum(next_offset) AS settled FROM holdfast.stream_progress'
  const [row] = await ask<{ settled: string | null }>(databaseUrl, text)
  return Number(row?.settled)
}

function recordsOfTopics(topics: readonly Consumed[]): number {
  return topics.flatMap(({ ends }) => ends).reduce((sum, end) => sum + Number(end), 0)
}

function cpuOf(services: readonly Watched[]): number | undefined {
  return total(services, ({ process }) => cpuSecondsOfTree(process.pid))
}

/** `undefined` where one of the figures is not known. */
function total<T>(values: readonly T[], of: (value: T) => number | undefined): number | undefined {
  return values.reduce((sum: number | undefined, value) => {
    const figure = of(value)
    return sum === undefined || figure === undefined ? undefined : sum + figure
  }, 0)
}

/** Scrapes as Prometheus does. Failed scrapes are ignored, because they are not measured here. */
function scrape(logFile: string, everyMs: number): NodeJS.Timeout {
  const url = addressOf(logFile) ?? ''
  const once = () =>
    void fetch(`${url}/metrics`)
      .then(answer => answer.text())
      .catch(() => {})
  once()
  return setInterval(once, everyMs)
}
