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

export type DrainSpan = Omit<Work, 'contender' | 'recordsPerBatch'>

/**
 * Starts the service, waits until the broker holds every partition's end as committed, and stops it.
 * The clock starts with the first assignment of partitions, which the service logs with the time; the end is seen up to
 * 50 ms late. Of several processes it starts when each of them has partitions, and what was settled until then is not counted.
 * @throws Error with the end of its log when it ends early or stands still
 */
export async function drainBacklog(servers: Servers, options: DrainOptions): Promise<DrainSpan> {
  const topics = [options.orders, ...(options.others ?? [])]
  await using commits = await watchCommits(servers, topics)
  const startedAt = Date.now()
  const services: Watched[] = []
  let scraping: NodeJS.Timeout | undefined
  try {
    for (let i = 0; i < options.processes; i++) {
      const logFile = i === 0 ? options.logFile : options.logFile.replace(/\.log$/, `-${i + 1}.log`)
      services.push({ process: await startService(servers, { ...options, logFile }), logFile })
    }
    const firstAt = await watching(services, () => allAssignedAt(services))
    const alone = services.length === 1
    const settledBefore = alone ? 0 : await settledRecords(options.databaseUrl)
    const beganAt = alone ? firstAt : Date.now()
    scraping = options.scrapeEveryMs === undefined ? undefined : scrape(options.logFile, options.scrapeEveryMs)
    const serversBefore = servers.cpu()
    const clientBefore = cpuOf(services)
    const endedAt = await watching(services, async progress => {
      const open = await commits.open()
      progress(String(open))
      return open.length === 0 ? Date.now() : undefined
    })
    const cpuFromStart = cpuOf(services)
    const cpu = { client: since(cpuFromStart, clientBefore), ...servers.cpu(serversBefore) }
    const peak = total(services, ({ process }) => peakMemoryBytes(process.pid))
    return {
      seconds: (endedAt - beganAt) / 1000,
      orders: recordsOfTopics(topics) - settledBefore,
      ordersOfTurn: recordsOfTopics(topics),
      secondsFromStart: (endedAt - startedAt) / 1000,
      cpu,
      cpuFromStart,
      peakMemoryBytes: peak,
      failures: await stopAll(services),
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

/** When the last of them was given partitions for the first time. */
function allAssignedAt(services: readonly Watched[]): number | undefined {
  const times = services.map(({ logFile }) => assignedAt(logFile))
  const known = times.filter(time => time !== undefined)
  return known.length === times.length ? Math.max(...known) : undefined
}

async function settledRecords(databaseUrl: string): Promise<number> {
  const text = 'SELECT sum(next_offset) AS settled FROM stream_progress'
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
