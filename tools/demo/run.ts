import { randomInt } from 'node:crypto'
import { accessSync, constants, createWriteStream } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type pg from 'pg'
import { type App, ROLES, startApp } from '../../src/app.ts'
import { CommandFailed } from '../../src/cli/failure.ts'
import { onInterrupt } from '../../src/cli/interrupt.ts'
import { note, paint, print } from '../../src/cli/output.ts'
import { type Progress, startProgress } from '../../src/cli/progress.ts'
import { verifyStream } from '../../src/cli/proof.ts'
import { type PublishResult, publish, type RecordPublisher } from '../../src/cli/publish.ts'
import { whyNot } from '../../src/cli/value-file.ts'
import { systemClock } from '../../src/clock.ts'
import { UsageError } from '../../src/engine/errors.ts'
import { grouped } from '../../src/engine/grouped.ts'
import { withArticle } from '../../src/engine/http-names.ts'
import { ensureTopics } from '../../src/engine/kafka/admin.ts'
import { type KafkaProducer, startProducer } from '../../src/engine/kafka/producer.ts'
import { migrate } from '../../src/engine/postgres/migrate.ts'
import { projectMigrations } from '../../src/engine/postgres/migration-status.ts'
import { createPool, query } from '../../src/engine/postgres/pool.ts'
import { requireSupportedPooling } from '../../src/engine/postgres/pooling.ts'
import { readStreamCounts, type StreamCounts } from '../../src/engine/postgres/stream-counts.ts'
import type { Stream } from '../../src/engine/stream.ts'
import { createValueReader } from '../../src/read/postgres/value-reader.ts'
import { loadConfig } from '../../src/settings/config.ts'
import { loadStreams, type Streams } from '../../src/settings/streams.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { addCounts, countsSince, deadLettersOf, settledOf } from './counts.ts'
import { startDemoPrometheus } from './prometheus.ts'
import { addressLines, summaryOf } from './report.ts'
import { SetupError } from './servers/machine.ts'
import { keptFolder, openLog, temporaryFolder, writePrivate } from './servers/private-files.ts'
import { startStack } from './servers/stack.ts'
import { type DemoSettings, exportLine } from './settings.ts'
import { createEnds, type Ends, type Progressed, unlessAway, untilSettled } from './settled.ts'
import type { DemoTraces } from './traces.ts'

export interface DemoOptions {
  /** Milliseconds. */
  readonly for?: number
  readonly orders?: number
  /** Records a second. Without it as fast as they are acknowledged. */
  readonly rate?: number | undefined
  readonly invalid: number
  readonly data?: string
  readonly produce: boolean
  readonly json?: boolean
  readonly settings: DemoSettings
}

const UPDATES = 0.1
/** From this share of invalid records on they may be half of the last thousand of a partition. */
const STORMY = 0.4
/** What the search page of orders offers to try. */
const SAMPLE = new URL('../../data/model.json', import.meta.url)
const LOOK_EVERY_MS = 250

/** Runs the whole system on this machine, from an empty start to the verified result. */
export async function runDemo(options: DemoOptions, traces: DemoTraces): Promise<void> {
  using interrupt = onInterrupt()
  const { signal } = interrupt
  const { json = false, settings } = options
  let progress: Progress | undefined
  /** Prints the steps of the start, and later the lines that stay on the screen. */
  const say = (line: string) => {
    if (progress !== undefined) progress.log(line)
    else if (!json) note(line)
  }
  const dataDir = options.data === undefined ? undefined : folder(resolve(options.data))
  const logDir = dataDir ?? temporaryFolder('demo')

  await using parts = new AsyncDisposableStack()
  parts.defer(() => progress?.stop())
  parts.use(traces)
  let traceView: string | undefined
  const viewing = traces.startViewer(say).then(page => {
    traceView = page
  })
  const { kafkaBrokers, databaseUrl } = settings
  const stack = parts.use(await startStack({ kafkaBrokers, databaseUrl, dataDir, log: say }))
  if (signal.aborted) return
  const env = {
    ...process.env,
    KAFKA_BROKERS: stack.kafkaBrokers,
    DATABASE_URL: stack.databaseUrl,
    // It belongs to the database that the environment names.
    ...(databaseUrl === undefined ? { DATABASE_DIRECT_URL: '' } : {}),
    HTTP_PORT: process.env.HTTP_PORT ?? '0',
    // Requested invalid records must not trigger the storm guard: it would pause the partitions, and the demo would never end.
    ...(options.invalid < STORMY ? {} : { DLQ_STORM_RATIO: process.env.DLQ_STORM_RATIO ?? '0' }),
  }
  const config = loadConfig(env)
  say('migrating the database …')
  const streams = await loadStreams(config, env)
  // The name that was typed is of DATABASE_URL: no other database may be migrated.
  await requireSupportedPooling(config.postgres)
  await migrate(config.postgres.direct.url, 'up', {
    schema: config.postgres.schema,
    project: projectMigrations(process.cwd()),
    beside: false,
  })
  const producer = parts.use(await startProducer({ connection: config.kafka, tracing: traces.tracing }))
  const { topicPartitions: partitions, topicReplication: replication } = config.kafka
  for (const { topic, dlqTopic } of streams) {
    await ensureTopics(config.kafka, producer, { topic, dlqTopic, partitions, replication })
  }
  const pool = createPool({ ...config.postgres, max: 1, name: 'demo' })
  parts.defer(() => pool.end())
  const read = async () =>
    addCounts(await Promise.all(streams.map(({ topic, groupId }) => readStreamCounts(pool, topic, groupId))))
  const before = await read()

  const logFile = join(logDir, 'service.log')
  const logger = createLogger({
    levels: config.logLevels,
    to: createWriteStream(logFile, { fd: openLog(logFile) }),
    activeTrace: () => traces.tracing.active(),
  })
  traces.logTo(logger)
  say('starting the service …')
  const app = await startApp(config, streams, new Set(ROLES), logger, traces.tracing)
  parts.defer(stopApp)
  const failed = new AbortController()
  app.finished.catch(error => failed.abort(error))
  await ready(app, streams, AbortSignal.any([signal, failed.signal]))
  throwFailure(failed.signal)
  if (signal.aborted) return
  // With --json no user looks at it.
  const prometheus = json ? 'not started' : await startDemoPrometheus(app.metricsUrl ?? '', dataDir)
  if (typeof prometheus !== 'string') parts.use(prometheus)
  const keyFile = app.adminKey === undefined ? undefined : join(logDir, 'admin-key')
  if (keyFile !== undefined) {
    writePrivate(keyFile, `${app.adminKey}\n`)
    // The next start makes another key.
    parts.defer(() => rm(keyFile, { force: true }))
  }
  announce()
  progress = startProgress({ label: 'settled', silent: json })

  const counts = async () => countsSince(await read(), before)
  const shown: Describe = now => describe(now, app, streams)
  const started = performance.now()
  const ending = AbortSignal.any([
    signal,
    failed.signal,
    ...(options.for === undefined ? [] : [AbortSignal.timeout(options.for)]),
  ])
  const ends = createEnds()
  const generated = new AbortController()
  const [produced] = await Promise.all([
    (options.produce ? generate(noting(producer, ends), streams, options, ending, say) : idle(ending)).finally(() =>
      generated.abort(),
    ),
    showProgress(shown, counts, example, progress, options, AbortSignal.any([ending, generated.signal])),
  ])
  throwFailure(failed.signal)
  // Produced is not settled: nothing is proven while records are on their way.
  const settledMs = await untilSettled({
    ...{ ends, produced: produced.produced, readCounts: counts, failed: failed.signal, clock: systemClock },
    readProgress: async () => (await Promise.all(streams.map(stream => readProgress(pool, stream)))).flat(),
    show: (done, now) => progress?.update({ done, total: produced.produced, text: shown(now) }),
  })
  throwFailure(failed.signal)
  await stopApp()
  const verify = (await provenAll()) ? 'ok' : 'failed'
  progress.stop()
  const seconds = Math.max(settledMs - started, 1) / 1000
  print(summaryOf({ counts: await counts(), produced: produced.produced, seconds, verify }, json))
  if (produced.error !== undefined)
    throw new CommandFailed('the generator stopped: Kafka did not take its records', { cause: produced.error })
  if (verify === 'failed') throw new CommandFailed('the proof failed; "holdfast verify" names partition and offset')

  async function provenAll(): Promise<boolean> {
    const proofs = await Promise.all(streams.map(stream => verifyStream(config, stream, { full: true })))
    return proofs.every(({ result }) => result === 'ok')
  }

  /** Where the newest value is shown, and what it is. */
  async function example(): Promise<readonly [label: string, url: string] | undefined> {
    for (const { name, queries, http } of streams) {
      for await (const { key } of createValueReader(pool, queries).newest(1)) {
        const article = withArticle(http.one)
        const label = `${article.charAt(0).toUpperCase()}${article.slice(1)}`
        return [label, `${app.url}/view?${new URLSearchParams({ stream: name, key })}`]
      }
    }
    return undefined
  }

  /** The native client may never come back from a broker that is gone. The watchers stop the servers when this process ends. */
  async function stopApp(): Promise<void> {
    const watchdog = setTimeout(() => {
      note(
        `not stopped within SHUTDOWN_TIMEOUT_MS (${config.shutdownTimeoutMs} ms), as when Kafka is gone: ending at once`,
      )
      process.kill(process.pid, 'SIGKILL')
    }, config.shutdownTimeoutMs)
    try {
      await app.stop()
    } finally {
      clearTimeout(watchdog)
    }
  }

  function announce(): void {
    const { url = '', adminKey: admin_key = null } = app
    const servers = { kafka: stack.kafkaBrokers, database: stack.databaseUrl }
    if (json) {
      print(JSON.stringify({ ready: true, url, ...servers, admin_key, pid: process.pid }))
      return
    }
    const started = { KAFKA_BROKERS: stack.kafka?.brokers, DATABASE_URL: stack.postgres?.url }
    const addresses = {
      url,
      metricsUrl: `${app.metricsUrl}/metrics`,
      ...servers,
      prometheus,
      traces: traceView,
      adminKey: admin_key,
      keyFile,
      logFile,
      exports: exportLine(started, settings),
      endsByItself: options.for !== undefined || options.orders !== undefined,
    }
    for (const line of addressLines(addresses)) say(line)
    // The viewer may still be downloading, so the demo does not wait for it.
    if (traceView === undefined) {
      void viewing.then(() => traceView !== undefined && say(`  Traces       ${paint('cyan', traceView)}\n`))
    }
  }
}

/** @throws UsageError when it is not there and cannot be made, may not be written to, or is not ours alone */
function folder(path: string): string {
  try {
    keptFolder(path)
    accessSync(path, constants.W_OK)
    return path
  } catch (error) {
    if (error instanceof SetupError) throw new UsageError(`--data: ${error.message}`)
    throw new UsageError(`--data ${path} cannot be used: ${whyNot(error)}`)
  }
}

/** Resolves when each group has given the service its partitions; when one never does, the signal ends the wait. */
async function ready(app: App, streams: Streams, signal: AbortSignal): Promise<void> {
  const runs = ({ name }: Stream) => app.status(name)?.member === true && app.status(name)?.state === 'running'
  while (!signal.aborted && !streams.every(runs)) {
    await systemClock.sleep(50, signal)
  }
}

function* sampleFor(streams: Streams, value: Buffer) {
  for (const { topic, http, judge } of streams) {
    if (http.sample === undefined || judge({ key: null, value }).key !== http.sample) continue
    yield { topic, key: Buffer.from(http.sample), value, headers: [] }
  }
}

/** The streams take turns; the sample goes to the one whose search page offers it. */
async function generate(
  publisher: RecordPublisher,
  streams: Streams,
  options: DemoOptions,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<PublishResult> {
  const seed = randomInt(2 ** 32)
  const sources = streams.map(({ topic, createGenerator }) => {
    return { topic, generator: createGenerator({ seed, invalidRatio: options.invalid, updatesRatio: UPDATES }) }
  })
  // With --orders there are exactly that many, all generated.
  const sample = options.orders === undefined ? await readFile(SAMPLE) : undefined
  function* records() {
    if (sample !== undefined) yield* sampleFor(streams, sample)
    for (let sent = 0; ; ) {
      for (const { topic, generator } of sources) {
        if (sent === options.orders) return
        sent += 1
        const { key, value } = generator.next()
        yield { topic, key, value, headers: [] }
      }
    }
  }
  const parts = { publisher, clock: systemClock, ratePerSecond: options.rate, signal }
  if (options.orders !== undefined) return await publish(records(), parts)
  const onFailure = (error: unknown) =>
    say(`Kafka did not take the generator's records (${firstLineOf(error)}); it goes on with new ones`)
  return await publish(records(), { ...parts, onFailure })
}

/** @param ends hears where each record that was acknowledged stands */
function noting(producer: KafkaProducer, ends: Ends): RecordPublisher {
  return { produce: async record => ends.note(record.topic, await producer.produce(record)) }
}

async function readProgress(pool: pg.Pool, { topic, groupId }: Stream): Promise<Progressed[]> {
  const rows = await query<{ partition: number; next_offset: string }>(pool, {
    text: 'SELECT partition, next_offset FROM holdfast.stream_progress WHERE topic = $1 AND group_id = $2',
    values: [topic, groupId],
  })
  return rows.map(row => ({ topic, partition: row.partition, nextOffset: BigInt(row.next_offset) }))
}

async function idle(signal: AbortSignal): Promise<PublishResult> {
  while (!signal.aborted) await systemClock.sleep(1_000, signal)
  return { produced: 0, failed: 0, seconds: 0 }
}

type Describe = (counts: StreamCounts | undefined) => string

/** Until the generator has ended. */
async function showProgress(
  describe: Describe,
  counts: () => Promise<StreamCounts>,
  example: () => Promise<readonly [label: string, url: string] | undefined>,
  progress: Progress,
  options: DemoOptions,
  signal: AbortSignal,
): Promise<void> {
  let shownOne = options.json === true
  let done = 0
  while (!signal.aborted) {
    const now = await unlessAway(counts())
    if (now !== undefined) done = settledOf(now)
    progress.update({ done, total: options.orders, text: describe(now) })
    const found = shownOne || !now?.written ? undefined : await unlessAway(example())
    if (found !== undefined) {
      shownOne = true
      progress.log(`  ${found[0].padEnd(12)} ${paint('cyan', found[1])}\n`)
    }
    await systemClock.sleep(LOOK_EVERY_MS, signal)
  }
}

function describe(counts: StreamCounts | undefined, app: App, streams: Streams): string {
  if (counts === undefined) return 'Postgres is away: the service waits'
  const partitions = streams.flatMap(({ name }) => app.status(name)?.partitions ?? [])
  const lag = partitions.reduce((sum, { lagRecords }) => sum + (lagRecords ?? 0), 0)
  return `written ${grouped(counts.written)}, dead-lettered ${grouped(deadLettersOf(counts))}, lag ${grouped(lag)}`
}

function firstLineOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
}

function throwFailure(failed: AbortSignal): void {
  if (failed.aborted) throw failed.reason
}
