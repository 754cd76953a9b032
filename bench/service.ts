/** The service as its users run it, a process of its own, and how long it takes to process the backlog. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type KafkaInspector, startInspector } from '#src/engine/kafka/inspector.ts'
import { partitionKey } from '#src/engine/record.ts'
import { startGuarded } from '#tools/demo/servers/guarded-process.ts'
import { logTail } from '#tools/demo/servers/machine.ts'
import type { Backlog } from './backlog.ts'
import type { Measurement } from './measurement.ts'
import { cpuSecondsOfTree, peakMemoryBytes } from './process-figures.ts'
import { type Servers, since } from './servers.ts'

export interface ServiceRun {
  /** The checkout whose `bin/holdfast serve` is started. */
  readonly checkout: string
  readonly databaseUrl: string
  readonly groupId: string
  /** Settings that differ from the defaults. */
  readonly settings: Readonly<Record<string, string>>
  /** Its log goes here. */
  readonly logFile: string
  /** Flags of Node. */
  readonly nodeFlags: readonly string[]
  /** The interval at which `/metrics` is fetched meanwhile. */
  readonly scrapeEveryMs: number | undefined
}

export type ServiceSpan = Pick<
  Measurement,
  'seconds' | 'cpu' | 'secondsFromStart' | 'cpuFromStart' | 'peakMemoryBytes' | 'failures'
>

const LOOK_EVERY_MS = 50
/** Without any progress for this long, the run fails. */
const STALLED_AFTER_MS = 60_000

/**
 * Starts the service, waits until the broker holds every partition's end as committed, and stops it.
 * The clock starts with the first assignment of partitions, which the service logs with the time; the end is seen up to
 * 50 ms late. Looking does not join the group.
 * @throws Error with the end of its log when it ends early or stands still
 */
export async function drainBacklog(servers: Servers, backlog: Backlog, run: ServiceRun): Promise<ServiceSpan> {
  await using inspector = await startInspector({ connection: servers.connection, groupId: run.groupId })
  const startedAt = Date.now()
  const service = await startGuarded({
    command: join(run.checkout, 'bin', 'holdfast'),
    args: ['serve'],
    // Runs in another folder, because a .env of the checkout holds the developer's settings and would be read from the working directory.
    cwd: dirname(run.logFile),
    env: {
      // The shim uses the first suitable Node on the PATH: this one.
      PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
      HOME: process.env.HOME ?? '',
      ...run.settings,
      NODE_OPTIONS: [...run.nodeFlags, run.settings.NODE_OPTIONS ?? ''].join(' ').trim(),
      KAFKA_BROKERS: servers.brokers,
      KAFKA_TOPIC: backlog.topic,
      KAFKA_DLQ_TOPIC: backlog.dlqTopic,
      KAFKA_GROUP_ID: run.groupId,
      DATABASE_URL: run.databaseUrl,
      HTTP_PORT: '0',
    },
    logFile: run.logFile,
    stopSignal: 'SIGTERM',
    graceMs: 30_000,
  })
  let scraping: NodeJS.Timeout | undefined
  try {
    const assignedAt = await watching(() => assignmentIn(run.logFile))
    scraping = run.scrapeEveryMs === undefined ? undefined : scrape(run.logFile, run.scrapeEveryMs)
    const serversBefore = servers.cpu()
    const clientBefore = cpuSecondsOfTree(service.pid)
    const endedAt = await watching(async progress => {
      const committed = await committedOffsets(inspector, backlog)
      progress(String(committed))
      return committed.every((offset, partition) => offset === backlog.ends[partition]) ? Date.now() : undefined
    })
    const cpuFromStart = cpuSecondsOfTree(service.pid)
    const cpu = { client: since(cpuFromStart, clientBefore), ...servers.cpu(serversBefore) }
    const peak = peakMemoryBytes(service.pid)
    await service.stop()
    const exit = await service.exited
    return {
      seconds: (endedAt - assignedAt) / 1000,
      secondsFromStart: (endedAt - startedAt) / 1000,
      cpu,
      cpuFromStart,
      peakMemoryBytes: peak,
      failures: exit === 0 ? [] : [`the service ended with ${exit}, see ${run.logFile}`],
    }
  } finally {
    clearInterval(scraping)
    await service.stop('SIGKILL')
  }

  /** Polls until the condition holds. */
  async function watching(
    look: (progress: (at: string) => void) => Promise<number | undefined> | number | undefined,
  ): Promise<number> {
    let last = ''
    let movedAt = performance.now()
    for (;;) {
      const found = await look(at => {
        if (at !== last) movedAt = performance.now()
        last = at
      })
      if (found !== undefined) return found
      const trouble = service.running ? 'stands still' : 'has ended'
      if (!service.running || performance.now() - movedAt > STALLED_AFTER_MS) {
        throw new Error(`the service ${trouble}; the end of ${run.logFile}:\n${logTail(run.logFile)}`)
      }
      await sleep(LOOK_EVERY_MS)
    }
  }
}

async function committedOffsets(inspector: KafkaInspector, { topic, ends }: Backlog): Promise<bigint[]> {
  const partitions = ends.map((_, partition) => ({ topic, partition }))
  const committed = await inspector.committed(partitions)
  const byKey = new Map(committed.map(position => [partitionKey(position), position.nextOffset]))
  return partitions.map(partition => byKey.get(partitionKey(partition)) ?? 0n)
}

/** Scrapes as Prometheus does. Failed scrapes are ignored, because they are not measured here. */
function scrape(logFile: string, everyMs: number): NodeJS.Timeout {
  const { url } = eventIn<{ url: string }>(logFile, 'http_started') ?? { url: '' }
  const once = () =>
    void fetch(`${url}/metrics`)
      .then(answer => answer.text())
      .catch(() => {})
  once()
  return setInterval(once, everyMs)
}

/** When the service was given partitions for the first time, in ms since the epoch. */
function assignmentIn(logFile: string): number | undefined {
  const assigned = eventIn<{ time: string }>(logFile, 'assigned')
  return assigned === undefined ? undefined : Date.parse(assigned.time)
}

/** The first line of the log that reports it. */
function eventIn<Line>(logFile: string, event: string): Line | undefined {
  const line = readFileSync(logFile, 'utf8')
    .split('\n')
    .find(line => line.includes(`"event":"${event}"`))
  return line === undefined ? undefined : (JSON.parse(line) as Line)
}
