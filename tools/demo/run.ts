import { randomInt } from 'node:crypto'
import { accessSync, constants, createWriteStream } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type App, ROLES, startApp } from '../../src/app.ts'
import { CommandFailed } from '../../src/cli/failure.ts'
import { onInterrupt } from '../../src/cli/interrupt.ts'
import { note, paint, print } from '../../src/cli/output.ts'
import { grouped, type Progress, startProgress } from '../../src/cli/progress.ts'
import { verifyStream } from '../../src/cli/proof.ts'
import { type PublishResult, publish } from '../../src/cli/publish.ts'
import { whyNot } from '../../src/cli/value-file.ts'
import { systemClock } from '../../src/clock.ts'
import { dispositionOf, UsageError } from '../../src/engine/errors.ts'
import { ensureTopics } from '../../src/engine/kafka/admin.ts'
import { type KafkaProducer, startProducer } from '../../src/engine/kafka/producer.ts'
import { migrate } from '../../src/engine/postgres/migrate.ts'
import { createPool } from '../../src/engine/postgres/pool.ts'
import {
  anyOrderUid,
  countsSince,
  readStreamCounts,
  type StreamCounts,
} from '../../src/engine/postgres/stream-counts.ts'
import { type Config, loadConfig } from '../../src/settings/config.ts'
import { loadStreams } from '../../src/settings/streams.ts'
import { createGenerator } from '../../src/streams/orders/generator.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { createOrderStream } from '../../test/support/order-stream.ts'
import { startDemoPrometheus } from './prometheus.ts'
import { addressLines, summaryOf } from './report.ts'
import { SetupError } from './servers/machine.ts'
import { keptFolder, openLog, temporaryFolder, writePrivate } from './servers/private-files.ts'
import { startStack } from './servers/stack.ts'
import { type DemoSettings, exportLine } from './settings.ts'
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
const SAMPLE = new URL('../../data/model.json', import.meta.url)
/** Without any progress for so long, what is still unsettled will not be settled. */
const STALLED_AFTER_MS = 60_000
const LOOK_EVERY_MS = 250

/** The whole system on this machine, from nothing to the proof. */
export async function runDemo(options: DemoOptions, traces: DemoTraces): Promise<void> {
  using interrupt = onInterrupt()
  const { signal } = interrupt
  const { json = false, settings } = options
  let progress: Progress | undefined
  /** What is starting, and later what should stay on the screen. */
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
    HTTP_PORT: process.env.HTTP_PORT ?? '0',
    // What was asked for is no storm: the partitions would be stopped, and the demo would wait for ever.
    ...(options.invalid < STORMY ? {} : { DLQ_STORM_RATIO: process.env.DLQ_STORM_RATIO ?? '0' }),
  }
  const config = loadConfig(env)
  say('migrating the database …')
  await migrate(config.postgres.url, 'up')
  const producer = parts.use(await startProducer({ connection: config.kafka, tracing: traces.tracing }))
  await ensureTopics(config.kafka, producer, {
    topic: config.kafka.topic,
    dlqTopic: config.kafka.dlqTopic,
    partitions: config.kafka.topicPartitions,
    replication: config.kafka.topicReplication,
  })
  const pool = createPool({ ...config.postgres, max: 1, name: 'demo' })
  parts.defer(() => pool.end())
  const stream = createOrderStream({ ...namesOf(config), maxBytes: config.recordMaxBytes })
  const read = () => readStreamCounts(pool, config.kafka.topic, config.kafka.groupId)
  const before = await read()

  const logFile = join(logDir, 'service.log')
  const logger = createLogger({
    levels: config.logLevels,
    to: createWriteStream(logFile, { fd: openLog(logFile) }),
    activeTrace: () => traces.tracing.active(),
  })
  traces.logTo(logger)
  say('starting the service …')
  const app = await startApp(config, await loadStreams(config, env), new Set(ROLES), logger, traces.tracing)
  parts.defer(stopApp)
  const failed = new AbortController()
  app.finished.catch(error => failed.abort(error))
  await ready(app, AbortSignal.any([signal, failed.signal]))
  throwFailure(failed.signal)
  if (signal.aborted) return
  // Nobody looks at it behind --json.
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
  const started = performance.now()
  const stuck = new AbortController()
  const ending = AbortSignal.any([
    signal,
    failed.signal,
    stuck.signal,
    ...(options.for === undefined ? [] : [AbortSignal.timeout(options.for)]),
  ])
  const [produced] = await Promise.all([
    options.produce ? generate(producer, config, options, ending, say).then(endIfStuck) : idle(ending),
    showProgress(app, counts, () => anyOrderUid(pool), progress, options, ending),
  ])
  throwFailure(failed.signal)
  // Produced is not settled: nothing is proven while records are on their way.
  const settledMs = await settleAll(app, counts, produced.produced, progress, failed.signal)
  throwFailure(failed.signal)
  await stopApp()
  const verify = (await verifyStream(config, stream)).result === 'ok' ? 'ok' : 'failed'
  progress.stop()
  const seconds = Math.max(settledMs - started, 1) / 1000
  print(summaryOf({ counts: await counts(), produced: produced.produced, seconds, verify }, json))
  if (produced.error !== undefined)
    throw new CommandFailed('the generator stopped: Kafka did not take its records', { cause: produced.error })
  if (verify === 'failed') throw new CommandFailed('the proof failed; "holdfast verify" names partition and offset')

  /** With --orders: what was not taken will never be settled, so that waiting for it would not end. */
  function endIfStuck(result: PublishResult): PublishResult {
    if (result.error !== undefined) stuck.abort()
    return result
  }

  /** The native client may never come back from a broker that is gone. Whoever watches our servers ends them with us. */
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
    // Fetched for the first time, say: it is not waited for.
    if (traceView === undefined) {
      void viewing.then(() => traceView !== undefined && say(`  Traces       ${paint('cyan', traceView)}\n`))
    }
  }
}

function namesOf({ kafka: { topic, dlqTopic, groupId } }: Config) {
  return { topic, dlqTopic, groupId }
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

/** Resolves when the group has given the service its partitions; when it never does, the signal ends the wait. */
async function ready(app: App, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && !(app.status()?.member && app.status()?.state === 'running')) {
    await systemClock.sleep(50, signal)
  }
}

async function generate(
  producer: KafkaProducer,
  config: Config,
  options: DemoOptions,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<PublishResult> {
  const generator = createGenerator({ seed: randomInt(2 ** 32), invalidRatio: options.invalid, updatesRatio: UPDATES })
  const topic = config.kafka.topic
  // The search page offers the sample order; with --orders there are exactly that many, all generated.
  const sample = options.orders === undefined ? await readFile(SAMPLE) : undefined
  function* records() {
    if (sample !== undefined)
      yield { topic, key: Buffer.from(JSON.parse(sample.toString()).order_uid), value: sample, headers: [] }
    for (let sent = 0; options.orders === undefined || sent < options.orders; sent++) {
      const { key, value } = generator.next()
      yield { topic, key, value, headers: [] }
    }
  }
  const parts = { publisher: producer, clock: systemClock, ratePerSecond: options.rate, signal }
  if (options.orders !== undefined) return await publish(records(), parts)
  const onFailure = (error: unknown) =>
    say(`Kafka did not take the generator's records (${firstLineOf(error)}); it goes on with new ones`)
  return await publish(records(), { ...parts, onFailure })
}

async function idle(signal: AbortSignal): Promise<PublishResult> {
  while (!signal.aborted) await systemClock.sleep(1_000, signal)
  return { produced: 0, failed: 0, seconds: 0 }
}

/** Until the generator's end comes, from either side. */
async function showProgress(
  app: App,
  counts: () => Promise<StreamCounts>,
  example: () => Promise<string | undefined>,
  progress: Progress,
  options: DemoOptions,
  signal: AbortSignal,
): Promise<void> {
  let shownOne = options.json === true
  let done = 0
  while (!signal.aborted) {
    const now = await unlessAway(counts())
    if (now !== undefined) done = settledOf(now)
    progress.update({ done, total: options.orders, text: describe(now, app) })
    const uid = shownOne || !now?.written ? undefined : await unlessAway(example())
    if (uid !== undefined) {
      shownOne = true
      progress.log(`  An order     ${paint('cyan', `${app.url}/?uid=${uid}`)}\n`)
    }
    if (options.orders !== undefined && done >= options.orders) return
    await systemClock.sleep(LOOK_EVERY_MS, signal)
  }
}

/** @returns when the last record was seen settled, as `performance.now()` */
async function settleAll(
  app: App,
  counts: () => Promise<StreamCounts>,
  produced: number,
  progress: Progress,
  failed: AbortSignal,
): Promise<number> {
  let last = 0
  let lastAt = performance.now()
  for (;;) {
    const now = await unlessAway(counts())
    const done = now === undefined ? last : settledOf(now)
    if (done !== last) {
      last = done
      lastAt = performance.now()
    }
    progress.update({ done, total: produced, text: describe(now, app) })
    if (done >= produced || failed.aborted) return performance.now()
    if (performance.now() - lastAt > STALLED_AFTER_MS) {
      throw new CommandFailed(
        `${grouped(produced - done)} of ${grouped(produced)} records are still not settled, and nothing moves`,
      )
    }
    await systemClock.sleep(50)
  }
}

function settledOf({ written, superseded, stale, duplicate, dead_lettered }: StreamCounts): number {
  return written + superseded + stale + duplicate + Object.values(dead_lettered).reduce((sum, n) => sum + n, 0)
}

/**
 * Postgres may be stopped on purpose, to see what happens: the service waits for it, and so does who looks on.
 * @returns nothing while it is away
 */
async function unlessAway<R>(look: Promise<R>): Promise<R | undefined> {
  try {
    return await look
  } catch (error) {
    if (dispositionOf(error) !== 'retry') throw error
    return undefined
  }
}

function describe(counts: StreamCounts | undefined, app: App): string {
  if (counts === undefined) return 'Postgres is away: the stream waits'
  const lag = (app.status()?.partitions ?? []).reduce((sum, { lagRecords }) => sum + (lagRecords ?? 0), 0)
  const dead = Object.values(counts.dead_lettered).reduce((sum, n) => sum + n, 0)
  return `written ${grouped(counts.written)}, dead-lettered ${grouped(dead)}, lag ${grouped(lag)}`
}

function firstLineOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
}

function throwFailure(failed: AbortSignal): void {
  if (failed.aborted) throw failed.reason
}
