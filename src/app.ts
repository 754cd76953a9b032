import { createHash, randomBytes } from 'node:crypto'
import { composeAdmin } from './app-admin.ts'
import { composeDesk } from './app-desk.ts'
import { composeIntake } from './app-intake.ts'
import { composeJobs, JOB_CONNECTIONS } from './app-jobs.ts'
import { composeReadSide } from './app-read.ts'
import { createStartGate } from './app-start.ts'
import { runStream } from './app-stream.ts'
import { systemClock } from './clock.ts'
import type { Config } from './config.ts'
import type { ApiKey } from './core/access.ts'
import { dispositionOf, StoreMisconfiguredError, StoreUnavailableError } from './core/errors.ts'
import type { Figures } from './core/figures.ts'
import { livenessOf, readinessOf } from './core/health.ts'
import type { HealthCheck, HealthResult, PoolName, PoolStatus, StreamStatus } from './core/status.ts'
import { NO_TRACING, type Tracing } from './core/tracing.ts'
import type { Pipeline } from './engine/run/pipeline.ts'
import type { AdminParts } from './http/admin.ts'
import { startHttp, startMetricsServer } from './http/server.ts'
import { createOrderJudge, type Order } from './orders/order.ts'
import { noteConsumerStart } from './postgres/consumer-starts.ts'
import { createDeadLetterIndex } from './postgres/dead-letter-index.ts'
import { purgeSettled } from './postgres/dead-letter-purge.ts'
import { readFigures } from './postgres/figures.ts'
import { migrationUnderWay, missingMigrations, requireFitDatabase } from './postgres/migrate.ts'
import { createPool, poolStatus } from './postgres/pool.ts'
import { createSettlementStore } from './postgres/settlement.ts'
import { createStartBook } from './postgres/start-book.ts'
import { createOrderStream, orderTables } from './streams/orders/stream.ts'
import type { Logger } from './telemetry/logger.ts'
import { createMetrics } from './telemetry/metrics.ts'
import { createObserver } from './telemetry/observer.ts'
import { type Sampler, startSampler } from './telemetry/sampler.ts'
import { VERSION } from './version.ts'

export const ROLES = ['consumer', 'api', 'jobs'] as const
export type Role = (typeof ROLES)[number]

export interface App extends AsyncDisposable {
  /** Where the read API listens; `undefined` without the role `api`. */
  readonly url: string | undefined
  /** Where `/metrics` is: there as well, or on a port of its own. `undefined` where nobody serves it. */
  readonly metricsUrl: string | undefined
  /** Opens what needs the role `admin`; made at each start while API_KEYS names no key. */
  readonly adminKey: string | undefined
  /** Settles when the stream has ended: rejects with what ended it, unless that was `stop()`. */
  readonly finished: Promise<void>
  status(): StreamStatus | undefined
  /** Not ready, stop fetching, settle what is in flight, commit, leave the group, close. Safe twice. */
  stop(): Promise<void>
}

/** How long a partition that another consumer waits for may go on settling what is in flight. */
const DRAIN_TIMEOUT_MS = 10_000
const POSTGRES_CHECK_INTERVAL_MS = 2_000
/** Prometheus usually asks as often. */
const FIGURES_INTERVAL_MS = 15_000
/** How long a start waits to hear of other replicas. Without that, only the cache is of less use. */
const LISTEN_WAIT_MS = 2_000
const BAD_KEYS_PER_MINUTE = 20
const DESK_POOL_MAX = 4
const DAY_MS = 86_400_000
/** The only stream so far. */
const STREAM = 'orders'
/** Of one turn, which comes each hour. */
const PURGE_LIMIT = 100_000

/**
 * Wires the parts together and starts them. Returns as soon as the API listens: what must be waited for (Postgres,
 * Kafka, the group) is waited for in the background, and `/readyz` says for what. A start that cannot succeed (a missing
 * migration, a wrong password) ends `finished` with the error.
 * @throws UsageError when the port cannot be listened on
 */
export async function startApp(
  config: Config,
  roles: ReadonlySet<Role>,
  logger: Logger,
  tracing: Tracing = NO_TRACING,
): Promise<App> {
  const clock = systemClock
  const stopping = new AbortController()
  const self = { id: crypto.randomUUID(), version: VERSION }
  let pipeline: Pipeline | undefined
  let jobs: AsyncDisposable | undefined
  let stoppingSinceMs: number | undefined
  const pools: (() => PoolStatus)[] = []
  let figures: Sampler<Figures> | undefined
  let postgres: HealthResult = { ok: false, reason: 'not asked yet', since: clock.now() }

  const metrics = createMetrics({
    version: VERSION,
    activeTrace: () => tracing.active(),
    streamStatus: () => pipeline?.status(),
    cacheStats: () => read.cache.stats(),
    pools: () => pools.map(status => status()),
    figures: () => figures?.latest(),
    checks: () => ({ live, ready: checks }),
  })
  const observer = createObserver({ logger, metrics, tracing })
  const gate = createStartGate({ retry: config.retry, observer, clock, signal: stopping.signal })
  const onKafkaWarning = (text: string) => observer.observe({ kind: 'kafka_warning', text })

  // Each kind of work has connections of its own, so that none starves another. The parts unwind in reverse order.
  await using parts = new AsyncDisposableStack()
  // Last of all: what was held back of repeated lines.
  parts.use(observer)
  const lanesPool = openPool('lanes', config.postgres.poolMax)
  const readPool = openPool('read', config.postgres.poolMax)
  const notifyAs = config.cache.coherence === 'notify' ? crypto.randomUUID() : undefined
  const store = createSettlementStore<Order>({
    pool: lanesPool,
    stream: STREAM,
    tables: orderTables,
    notifyAs,
    replayMax: config.replayMax,
  })
  const checkStore = createSettlementStore<Order>({ pool: openPool('check', 1), stream: STREAM, tables: orderTables })
  const read = parts.use(
    composeReadSide({
      config,
      pool: readPool,
      openPool,
      notifyAs,
      serves: roles.has('api'),
      writes: () => pipeline !== undefined,
      lagRecords,
      observer,
      clock,
    }),
  )

  const checks: HealthCheck[] = [
    gate.check,
    { name: 'postgres', check: () => postgres },
    ...(roles.has('consumer') ? readinessOf(() => pipeline?.status()) : []),
    {
      name: 'shutdown',
      check: () =>
        stoppingSinceMs === undefined ? { ok: true } : { ok: false, reason: 'shutting down', since: stoppingSinceMs },
    },
  ]
  const live = livenessOf(() => pipeline?.status(), { stuckAfterMs: config.stuckAfterMs, now: clock.now })
  const { topic, dlqTopic, groupId } = config.kafka
  const stream = createOrderStream({ topic, dlqTopic, groupId, maxBytes: config.recordMaxBytes })
  const judge = createOrderJudge({ maxBytes: config.recordMaxBytes })
  const startJobs = roles.has('jobs') ? openJobs() : undefined
  const adminKey = roles.has('api') && config.http.apiKeys.length === 0 ? newKey() : undefined
  const { host: metricsHost, port: metricsPort } = config.metrics
  let metricsUrl: string | undefined
  if (metricsPort !== undefined) {
    const { allowedHosts } = config.http
    const options = { host: metricsHost, port: metricsPort, allowedHosts, live, ready: checks, metrics, observer }
    const { url } = parts.use(await startMetricsServer(options))
    observer.observe({ kind: 'metrics_started', url })
    metricsUrl = url
  }
  const http = roles.has('api')
    ? parts.use(
        await startHttp({
          host: config.http.host,
          port: config.http.port,
          allowedHosts: config.http.allowedHosts,
          auth: {
            keys: [...config.http.apiKeys, ...(adminKey === undefined ? [] : [toApiKey(adminKey)])],
            keyless: config.http.keyless,
          },
          limits: { writesPerMinute: config.http.writesPerMinute, badKeysPerMinute: BAD_KEYS_PER_MINUTE },
          streams: [
            {
              stream,
              cache: read.cache,
              catalog: read.catalog,
              outcomes: read.outcomes,
              feed: read.feed,
              deadLetters: createDeadLetterIndex(readPool, stream.name),
              intake: parts.use(composeIntake({ config, judge, onKafkaWarning, clock, tracing })),
            },
          ],
          admin: openAdmin(),
          clock,
          live,
          ready: checks,
          metrics: metricsPort === undefined ? metrics : undefined,
          observer,
          tracing,
        }),
      )
    : undefined

  const work = run()
  // Whoever awaits `finished` is told; before that nobody may be looking yet.
  work.catch(() => {})
  void watchPostgres()
  const resources = parts.move()

  let stopped: Promise<void> | undefined
  async function stop(): Promise<void> {
    stoppingSinceMs = clock.now()
    stopping.abort()
    // Each lets go of what it has in hand, at the same time.
    const jobsStopped = jobs?.[Symbol.asyncDispose]()
    await pipeline?.stop(Math.min(DRAIN_TIMEOUT_MS, config.shutdownTimeoutMs / 2))
    await work.catch(() => {})
    await jobsStopped
    await resources.disposeAsync()
  }
  function stopOnce(): Promise<void> {
    stopped ??= stop()
    return stopped
  }

  return {
    url: http?.url,
    metricsUrl: metricsUrl ?? http?.url,
    adminKey,
    finished: work,
    status: () => pipeline?.status(),
    stop: stopOnce,
    [Symbol.asyncDispose]: stopOnce,
  }

  async function run(): Promise<void> {
    await gate.until('Postgres', async () => {
      await requireMigrations()
      if (roles.has('consumer')) await noteConsumerStart(readPool, { ...self, agoMs: performance.now() })
    })
    if (read.listener !== undefined)
      await Promise.race([read.listener.connected, clock.sleep(LISTEN_WAIT_MS, stopping.signal)])
    if (stopping.signal.aborted) return
    using sampler = startSampler({
      read: () => readFigures(readPool, STREAM),
      clock,
      intervalMs: FIGURES_INTERVAL_MS,
      onFailure: error => observer.observe({ kind: 'figures_unknown', error }),
    })
    figures = sampler
    const warming = read.warm(stopping.signal)
    jobs = startJobs?.()
    if (roles.has('consumer')) await consume()
    else gate.open()
    await warming
    // A stop that came while the cache was warmed is told no second time.
    if (!roles.has('consumer') && !stopping.signal.aborted)
      await new Promise<void>(resolve => stopping.signal.addEventListener('abort', () => resolve()))
  }

  /** @returns what starts them in the background: nothing else waits for them */
  function openJobs(): () => AsyncDisposable {
    const pool = openPool('jobs', JOB_CONNECTIONS)
    const keepDays = config.deadLetterRetentionDays
    // What they do of themselves they do as an operator would.
    const { replays, automatic, records } = parts.use(composeDesk(config, pool, { name: STREAM, judge }))
    return () =>
      composeJobs({
        stream: STREAM,
        kafka: config.kafka,
        pool,
        records,
        observer,
        onKafkaWarning,
        clock,
        tracing,
        shutdownTimeoutMs: config.shutdownTimeoutMs,
        scheduled: {
          desk: replays,
          automatic,
          automaticDelaysMs: config.automaticRedrive.delaysMs,
          purge: keepDays === 0 ? undefined : () => purgeSettled(pool, STREAM, keepDays * DAY_MS, PURGE_LIMIT),
        },
      })
  }

  async function consume(): Promise<void> {
    await runStream({
      config,
      gate,
      store,
      startBook: createStartBook(lanesPool),
      judge,
      onSettled: read.onSettled,
      onPipeline(started) {
        pipeline = started
      },
      observer,
      onKafkaWarning,
      tracing,
      clock,
      drainTimeoutMs: DRAIN_TIMEOUT_MS,
      signal: stopping.signal,
    })
  }

  /** Of our partitions, as far as it is known. */
  function lagRecords(): number {
    return pipeline?.status().partitions.reduce((sum, partition) => sum + (partition.lagRecords ?? 0), 0) ?? 0
  }

  /** On connections of its own: a long question of an operator keeps no reader waiting. */
  function openAdmin(): AdminParts {
    const desk = parts.use(composeDesk(config, openPool('desk', DESK_POOL_MAX), { name: STREAM, judge }))
    return composeAdmin({
      config,
      desk,
      status: () => pipeline?.status(),
      consumes: roles.has('consumer'),
      ready: checks,
      judge,
      clock,
      onFeedError: error => observer.observe({ kind: 'http_failed', route: '/admin/events', traceId: '', error }),
    })
  }

  async function requireMigrations(): Promise<void> {
    await requireFitDatabase(readPool)
    const missing = await missingMigrations(readPool)
    if (missing.length > 0) {
      if (await migrationUnderWay(readPool)) throw new StoreUnavailableError('migrations are being applied')
      throw new StoreMisconfiguredError(
        `the database lacks ${missing.length === 1 ? 'the migration' : 'the migrations'} ${missing.join(', ')}`,
        { remedy: 'run: holdfast migrate up' },
      )
    }
  }

  /** Asked at intervals, so that readiness also knows of an outage while no record arrives. */
  async function watchPostgres(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await checkStore.probe()
        postgres = { ok: true, since: postgres.ok ? (postgres.since ?? clock.now()) : clock.now() }
      } catch (error) {
        if (dispositionOf(error) === 'retry') pipeline?.storeAway(error)
        const reason = error instanceof Error ? error.message : String(error)
        postgres = { ok: false, reason, since: postgres.ok ? clock.now() : (postgres.since ?? clock.now()) }
      }
      await clock.sleep(POSTGRES_CHECK_INTERVAL_MS, stopping.signal)
    }
  }

  function openPool(name: PoolName, max: number, statementTimeoutMs = config.postgres.statementTimeoutMs) {
    const onLent = (seconds: number) => metrics.observe('pg_pool_wait_seconds', { pool: name }, seconds)
    const pool = createPool({ url: config.postgres.url, max, name, statementTimeoutMs, onLent })
    pools.push(() => poolStatus(name, pool))
    parts.defer(() => pool.end())
    return pool
  }
}

/** As many bits as the hash that is kept of it: nobody guesses one. */
function newKey(): string {
  return randomBytes(32).toString('base64url')
}

function toApiKey(key: string): ApiKey {
  return { name: 'made-at-start', role: 'admin', sha256: createHash('sha256').update(key).digest('hex') }
}
