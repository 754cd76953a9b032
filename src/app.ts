import { composeAdmin } from './app/admin.ts'
import { composeHealth } from './app/health.ts'
import { serveHttp, serveMetrics } from './app/http.ts'
import { composeInbox } from './app/inbox.ts'
import { openPublisher } from './app/intake.ts'
import { prepareJobs } from './app/jobs.ts'
import { composeNotify } from './app/notify.ts'
import { createPools } from './app/pools.ts'
import { notePresence } from './app/presence.ts'
import { keepCoherent } from './app/read.ts'
import { watchSecrets } from './app/secrets.ts'
import { createStartGate } from './app/start.ts'
import { composeStream, DRAIN_TIMEOUT_MS, type StreamUnit } from './app/stream.ts'
import { systemClock } from './clock.ts'
import type { Figures } from './engine/figures.ts'
import { runningLifecycle } from './engine/lifecycle.ts'
import { noteConsumerStart } from './engine/postgres/consumer-starts.ts'
import { projectMigrations, requireMigrated } from './engine/postgres/migration-status.ts'
import { requireSupportedPooling } from './engine/postgres/pooling.ts'
import { createTimelineStore } from './engine/postgres/timeline.ts'
import type { StreamStatus } from './engine/status.ts'
import { NO_TRACING, type Tracing } from './engine/tracing.ts'
import { startTimelineKeeper } from './engine/watch/timeline-keeper.ts'
import { readFigures } from './inbox/postgres/figures.ts'
import { createStreamSettlement } from './inbox/postgres/letter-settlement.ts'
import type { Config } from './settings/config.ts'
import type { Streams } from './settings/streams.ts'
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
  /** Where `/metrics` is: there as well, or on a port of its own. `undefined` where it is not served. */
  readonly metricsUrl: string | undefined
  /** Opens what needs the role `admin`; made at each start while API_KEYS names no key. */
  readonly adminKey: string | undefined
  /** Settles when the process has ended its work: rejects with what ended it, unless that was `stop()`. */
  readonly finished: Promise<void>
  /** Status of a stream by its name, default the first; `undefined` until this process consumes it. */
  status(stream?: string): StreamStatus | undefined
  /** Not ready, stop fetching, settle what is in flight, commit, leave the groups, close. Safe twice. */
  stop(): Promise<void>
}

/** Prometheus usually asks as often. */
const FIGURES_INTERVAL_MS = 15_000
/** How long a start waits for the notifications of other replicas. Without them, only the cache is less effective. */
const LISTEN_WAIT_MS = 2_000
const OPERATOR_POOL_MAX = 4

/**
 * Composes the process from its streams and starts it. Returns as soon as the API listens: what must be waited for (Postgres, Kafka,
 * the groups) is waited for in the background, and `/readyz` reports it. A failure of the process itself (a missing migration, a
 * wrong password) ends `finished` with the error. A stream that fails is tried again while another one runs; when the last one fails,
 * `finished` ends with its error, and a supervisor starts the process again.
 * @throws UsageError when the port cannot be listened on
 */
export async function startApp(
  config: Config,
  streams: Streams,
  roles: ReadonlySet<Role>,
  logger: Logger,
  tracing: Tracing = NO_TRACING,
): Promise<App> {
  const clock = systemClock
  const lifecycle = runningLifecycle(async () => {
    health.stopping()
    // All release what they hold, at the same time.
    const drainMs = Math.min(DRAIN_TIMEOUT_MS, config.shutdownTimeoutMs / 2)
    await Promise.all([jobs?.[Symbol.asyncDispose](), ...units.map(({ engine }) => engine?.stop(drainMs))])
    await work.catch(() => {})
    await resources.disposeAsync()
  })
  const signal = lifecycle.stopping
  const self = { id: crypto.randomUUID(), version: VERSION }
  const consumes = roles.has('consumer')
  const serves = roles.has('api')
  let figures: Sampler<ReadonlyMap<string, Figures>> | undefined
  let jobs: AsyncDisposable | undefined

  const metrics = createMetrics({
    version: VERSION,
    streams,
    activeTrace: () => tracing.active(),
    states: () =>
      units.map(({ stream, engine, reading }) => ({
        stream: stream.name,
        status: engine?.status(),
        cache: reading.cache.stats(),
        figures: figures?.latest()?.get(stream.name),
      })),
    pools: () => pools.statuses(),
    checks: () => ({ live: health.live, ready: health.ready }),
  })
  const observer = createObserver({ logger, metrics, tracing })
  const onKafkaWarning = (text: string) => observer.observe({ kind: 'kafka_warning', text })
  const gate = createStartGate({ retry: config.retry, observer, clock, signal })

  // Disposed of in reverse order: the observer last of all, because it may hold back repeated lines.
  await using parts = new AsyncDisposableStack()
  parts.use(observer)
  parts.use(watchSecrets({ config, observer }))
  const pools = parts.use(createPools(config, (pool, s) => metrics.observe('pg_pool_wait_seconds', { pool }, s)))
  const readPool = pools.open('read', config.postgres.poolMax)
  const publisher = parts.use(openPublisher({ config, onKafkaWarning, tracing }))
  const notifyAs = config.cache.coherence === 'notify' ? self.id : undefined
  const units: readonly StreamUnit[] = streams.map(stream =>
    composeStream({
      config,
      stream,
      streams: streams.length,
      pools,
      readPool,
      publisher,
      notifyAs,
      consumes,
      serves,
      mayResume: () => units.some(({ engine }) => engine?.failed === false),
      observer: observer.of(stream.name),
      tracing,
      clock,
      signal,
    }),
  )
  const listener =
    notifyAs !== undefined && serves
      ? parts.use(
          keepCoherent({
            pools,
            self: notifyAs,
            readings: units.map(({ reading }) => reading),
            writes,
            observer,
            clock,
          }),
        )
      : undefined
  const health = composeHealth({ config, gate, units, clock })
  const startJobs = roles.has('jobs')
    ? prepareJobs({ config, units, pools, resources: parts, observer, onKafkaWarning, notifyAs, clock, tracing })
    : undefined
  const metricsServer = parts.use((await serveMetrics({ ...health, config, metrics, observer })) ?? null)
  const http = serves
    ? parts.use(
        await serveHttp({
          ...health,
          config,
          readings: units.map(({ reading }) => reading),
          admin: prepareAdmin(),
          metrics,
          observer,
          tracing,
          clock,
        }),
      )
    : undefined

  const work = run()
  // `finished` reports the failure; until then nothing may be waiting for it.
  work.catch(() => {})
  const [first] = streams
  const checkStore = createStreamSettlement({ pool: pools.open('check', 1), stream: first.name, tables: first.tables })
  void health.watchPostgres(() => checkStore.probe(), signal)
  const resources = parts.move()

  return {
    url: http?.url,
    metricsUrl: metricsServer?.url ?? http?.url,
    adminKey: http?.adminKey,
    finished: work,
    status: (name = first.name) => units.find(({ stream }) => stream.name === name)?.engine?.status(),
    stop: lifecycle.stop,
    [Symbol.asyncDispose]: lifecycle.stop,
  }

  async function run(): Promise<void> {
    await using presence = new AsyncDisposableStack()
    await gate.until('Postgres', async () => {
      await requireSupportedPooling(config.postgres)
      const missing = await requireMigrated(readPool, projectMigrations(process.cwd()))
      if (missing.length > 0) observer.observe({ kind: 'migrations_missing', names: missing })
      if (consumes) await noteConsumerStart(readPool, { ...self, agoMs: performance.now() })
      // The last of them, because all are tried again when one fails.
      presence.use(await notePresence({ pool: readPool, id: self.id, roles, observer, clock }))
    })
    if (listener !== undefined) await Promise.race([listener.connected, clock.sleep(LISTEN_WAIT_MS, signal)])
    if (signal.aborted) return
    using sampler = startSampler({
      read: async () =>
        new Map(await Promise.all(streams.map(async ({ name }) => [name, await readFigures(readPool, name)] as const))),
      clock,
      intervalMs: FIGURES_INTERVAL_MS,
      onFailure: error => observer.observe({ kind: 'figures_unknown', error }),
    })
    figures = sampler
    await using _timeline = consumes ? keepTimeline() : undefined
    const warming = Promise.all(units.map(({ reading }) => reading.warm(signal)))
    jobs = startJobs?.()
    await using _notify = notifies()
    gate.open()
    if (consumes) await Promise.all(units.map(({ engine }) => engine?.run()))
    await warming
    if (!consumes && !signal.aborted) await new Promise(resolve => signal.addEventListener('abort', resolve))
  }

  /** Only reading takes no part in it. */
  function notifies(): AsyncDisposable | undefined {
    const looks = roles.has('jobs')
    if (!consumes && !looks) return undefined
    return composeNotify({ config, units, pools, looks, ownUrl: () => http?.url, observer, clock })
  }

  function keepTimeline(): AsyncDisposable {
    return startTimelineKeeper({
      recorders: units.map(({ timeline }) => timeline),
      store: createTimelineStore(readPool, self.id),
      clock,
      onFailure: error => observer.observe({ kind: 'timeline_unwritten', error }),
    })
  }

  /** Whether a stream of this process has begun to write. */
  function writes(): boolean {
    return units.some(({ engine }) => engine?.status() !== undefined)
  }

  /** On connections of their own: an operator's long query keeps no reader waiting. */
  function prepareAdmin() {
    const pool = pools.open('operators', OPERATOR_POOL_MAX)
    return units.map(({ stream, engine }) =>
      composeAdmin({
        config,
        stream,
        inbox: parts.use(composeInbox(config, stream, pool)),
        status: () => engine?.status(),
        consumes,
        ready: health.ready,
        clock,
        onFeedError: error => observer.observe({ kind: 'http_failed', route: '/admin/events', traceId: '', error }),
      }),
    )
  }
}
