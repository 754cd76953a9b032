import type { IncomingMessage } from 'node:http'
import { fileURLToPath } from 'node:url'
import express, { type Express, type RequestHandler, type Response } from 'express'
import { UsageError } from '../engine/errors.ts'
import { RESERVED_ROUTES } from '../engine/http-names.ts'
import type { Clock } from '../engine/ports.ts'
import type { HealthCheck } from '../engine/status.ts'
import { NO_TRACING, type RequestTracing } from '../engine/tracing.ts'
import type { AdminParts } from '../inbox/http/admin.ts'
import { adminRoutes } from '../inbox/http/routes/admin.ts'
import { consoleRoute } from '../inbox/http/routes/console.ts'
import { createHotPath } from '../read/http/hot-path.ts'
import { createRoute } from '../read/http/routes/create.ts'
import { foundRoute } from '../read/http/routes/found.ts'
import { homeRoute } from '../read/http/routes/home.ts'
import { listRoute } from '../read/http/routes/list.ts'
import { liveRoutes } from '../read/http/routes/live.ts'
import { storyRoute } from '../read/http/routes/story.ts'
import { streamsRoute } from '../read/http/routes/streams.ts'
import { valueRoutes } from '../read/http/routes/values.ts'
import { viewRoutes } from '../read/http/routes/view.ts'
import type { ReadStream, StreamReading } from '../read/http/stream-reading.ts'
import { loadRows, loadViews, type RowCells, type ValueView } from '../read/http/value-views.ts'
import type { HttpRefusal, ReadObserver } from '../read/read-side.ts'
import { includesRole } from '../settings/access.ts'
import { addressOf } from './address.ts'
import { type Auth, type AuthOptions, createAuth } from './auth.ts'
import type { ConnectionLimits } from './connections.ts'
import { fixedJsonRoute } from './fixed-json.ts'
import { createGuard, type Limits } from './guard.ts'
import { createHostGate, type HostGate, requireHost } from './host-gate.ts'
import { type Lifecycle, type Listener, startListener } from './listener.ts'
import { failed, timed } from './observed.ts'
import { openapiDocument } from './openapi-document.ts'
import { pageFiles } from './page-files.ts'
import { sendProblem } from './problem.ts'
import { refuseMethod } from './refuse-method.ts'
import { docsRoutes } from './routes/docs.ts'
import { healthRoutes } from './routes/health.ts'
import { type MetricsPage, metricsRoute } from './routes/metrics.ts'
import { runbookRoutes } from './routes/runbooks.ts'
import { securityHeaders } from './security-headers.ts'
import { prefersPage, sendNotFoundPage } from './state-pages.ts'
import { limitWork, WORK_LIMITS, type WorkLimits } from './work-limit.ts'

export interface HttpOptions {
  readonly host: string
  /** 0 takes a free one: see `url` of the result. */
  readonly port: number
  /** Names that it answers to besides its own and those of the loopback interface. */
  readonly allowedHosts: readonly string[]
  readonly auth: AuthOptions
  readonly limits: Limits
  /** Default: {@link WORK_LIMITS}. */
  readonly work?: Partial<WorkLimits> | undefined
  /** Default: {@link CONNECTION_LIMITS}. */
  readonly connections?: Partial<ConnectionLimits> | undefined
  /** At least one; the first is the one of pages that name none. */
  readonly streams: readonly StreamReading[]
  /** What operators work with, for each stream; without it there is nothing below `/admin/`. */
  readonly admin?: readonly AdminParts[] | undefined
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>
  /** Checks of `/livez` and of `/readyz`. */
  readonly live: readonly HealthCheck[]
  readonly ready: readonly HealthCheck[]
  /** `undefined` where it is served by a listener of its own. */
  readonly metrics: MetricsPage | undefined
  readonly observer: ReadObserver
  /** Default: requests are not traced. */
  readonly tracing?: RequestTracing
  /** How long requests under way may take at a close before their connections are cut. Default: 5,000. */
  readonly drainTimeoutMs?: number
}

export type HttpServer = Listener

const READ_ONLY = [
  '/',
  '/streams',
  '/view',
  '/view/list',
  '/view/story',
  '/docs',
  '/admin',
  '/admin/runbooks',
  '/openapi.json',
  '/livez',
  '/readyz',
]
const WEB = fileURLToPath(new URL('../../web/', import.meta.url))

/** @throws UsageError when the port or host cannot be listened on, or two streams would have the same address */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const { tracing = NO_TRACING } = options
  const streams = options.streams.map(({ stream }) => stream)
  requireOwnPaths(streams)
  const views = await loadViews(streams)
  const rows = await loadRows(streams)
  const gate = createHostGate({ ...options, setting: 'HTTP_ALLOWED_HOSTS' })
  const listener = await startListener({
    host: options.host,
    port: options.port,
    settings: { host: 'HTTP_HOST', port: 'HTTP_PORT' },
    handler(lifecycle) {
      const auth = createAuth(options.auth, gate)
      const app = createHttpApp({ ...options, tracing, views, rows }, auth, gate, lifecycle)
      const answered = createHotPath({ ...options, tracing, auth, gate, onDone: lifecycle.onDone })
      return (req, res) =>
        tracing.serve(req, () => {
          if (!answered(req, res)) app(req, res)
        })
    },
    onRefused: reason => options.observer.observe({ kind: 'http_refused', reason, address: undefined }),
    connections: options.connections,
    drainTimeoutMs: options.drainTimeoutMs,
  })
  const { keyless } = options.auth
  options.observer.observe({ kind: 'http_started', url: listener.url, keyless, names: gate.names })
  return listener
}

function createHttpApp(
  options: HttpOptions & {
    tracing: RequestTracing
    views: ReadonlyMap<string, ValueView>
    rows: ReadonlyMap<string, RowCells>
  },
  auth: Auth,
  gate: HostGate,
  { onDone, closing }: Lifecycle,
): Express {
  const onRefused = refusalsTo(options.observer)
  const guard = createGuard(auth, options.limits, onRefused)
  const work = { ...WORK_LIMITS, ...options.work }
  const limited = (most: number) => limitWork(most, reason => onRefused(reason))
  const app = newExpress()
  app.use(timed(options.observer, options.tracing, onDone))
  app.use(securityHeaders())
  app.use(requireHost(gate, req => onRefused('host_not_allowed', req)))

  const mayRead = guard.require('read')
  const reads = [mayRead, limited(work.read)]
  const readsPages = [...reads, limited(work.pages)]
  const writes = [guard.require('write'), guard.limitWrites, limited(work.write)]
  const isAdmin = (res: Response) => {
    const caller = guard.callerOf(res)
    return caller !== undefined && includesRole(caller.role, 'admin')
  }
  for (const reading of options.streams) {
    const { stream, feed } = reading
    app.use(createRoute({ ...reading, clock: options.clock, closing }, writes))
    app.all(stream.http.create, refuseMethod('POST'))
    app.use(listRoute(reading, readsPages))
    closing.addEventListener('abort', () => feed.close())
    // The feed bounds its watchers itself.
    app.use(liveRoutes(reading, [mayRead]))
    app.use(valueRoutes({ ...reading, isAdmin, isOnly: options.streams.length === 1 }, reads))
  }
  if (options.admin !== undefined) {
    for (const { feed } of options.admin) closing.addEventListener('abort', () => feed.close())
    const read = [guard.require('admin'), limited(work.admin)]
    const write = [...read, guard.limitWrites]
    app.use(adminRoutes(options.admin, { read, write, callerOf: guard.callerOf }))
  }
  const streams = options.streams.map(({ stream }) => stream)
  app.use(viewRoutes({ ...options, isAdmin }, auth, readsPages))
  app.use(foundRoute(options, auth, readsPages))
  app.use(storyRoute({ streams: options.streams, isAdmin }, reads))
  app.use(streamsRoute(streams))
  app.use(homeRoute(streams))
  app.use(docsRoutes())
  app.use(consoleRoute())
  app.use(runbookRoutes())
  app.use(fixedJsonRoute('/openapi.json', openapiDocument(streams)))
  app.use(['/livez', '/readyz'], guard.limitBadKeys)
  // Strangers learn whether it works, but not why not.
  app.use(healthRoutes({ ...options, mayKnowWhy: req => gate.knows(req) && auth.check(req, 'read').ok, pages: true }))
  if (options.metrics !== undefined) {
    app.use(metricsRoute(options.metrics))
    app.all('/metrics', refuseMethod('GET, HEAD'))
  }
  // One by one: a list would make one route, whose path is no label.
  for (const path of [...streams.flatMap(readOnlyPaths), ...READ_ONLY]) app.all(path, refuseMethod('GET, HEAD'))
  app.use(pageFiles(WEB))
  app.use((req, res, next) => {
    if (req.method === 'GET' && prefersPage(req)) sendNotFoundPage(res)
    else next()
  })
  app.use(notFound)
  app.use(failed(options.observer))
  return app
}

/** Addresses of a stream that take no other method. Fixed ones go before those with a parameter. */
function readOnlyPaths({ http }: ReadStream): string[] {
  const byQuery = http.query === undefined ? [] : [http.query.path]
  return [...byQuery, http.list, http.live, ...http.paths]
}

/** @throws UsageError that names each stream whose address is taken, and by what */
function requireOwnPaths(streams: readonly ReadStream[]): void {
  const taken = new Map([...RESERVED_ROUTES].map(route => [`/${route}`, 'a page of the service']))
  const problems: string[] = []
  for (const stream of streams) {
    const { paths, query, list } = stream.http
    const starts = [...paths, ...(query === undefined ? [] : [query.path]), list].map(
      path => /^\/[^/]*/.exec(path)?.[0] ?? path,
    )
    for (const start of new Set(starts)) {
      const owner = taken.get(start)
      if (owner !== undefined) problems.push(`the stream ${stream.name} wants ${start}, which is ${owner}`)
      taken.set(start, `of the stream ${stream.name}`)
    }
  }
  if (problems.length > 0)
    throw new UsageError(`Addresses collide: ${problems.join('; ')}. Give the stream another "route".`)
}

export interface MetricsServerOptions
  extends Pick<HttpOptions, 'host' | 'port' | 'allowedHosts' | 'live' | 'ready' | 'observer' | 'drainTimeoutMs'> {
  readonly metrics: MetricsPage
}

/** `/metrics` and the probes with their details, for those who may reach this port and need no key. */
export async function startMetricsServer(options: MetricsServerOptions): Promise<Listener> {
  const gate = createHostGate({ ...options, setting: 'HTTP_ALLOWED_HOSTS' })
  return await startListener({
    host: options.host,
    port: options.port,
    settings: { host: 'METRICS_HOST', port: 'METRICS_PORT' },
    handler({ onDone }) {
      const app = newExpress()
      app.use(timed(options.observer, NO_TRACING, onDone))
      app.use(securityHeaders())
      app.use(requireHost(gate, req => refusalsTo(options.observer)('host_not_allowed', req)))
      app.use(healthRoutes({ ...options, mayKnowWhy: req => !gate.isLocal || gate.knows(req) }))
      app.use(metricsRoute(options.metrics))
      app.use(notFound)
      app.use(failed(options.observer))
      return app
    },
    onRefused: reason => options.observer.observe({ kind: 'http_refused', reason, address: undefined }),
    drainTimeoutMs: options.drainTimeoutMs,
  })
}

/**
 * Express without its own additions. There are no CORS headers either: pages of other origins have no business
 * here. Nor is an answer compressed (but for the files of the pages): that is the work of a proxy, which also ends TLS.
 */
function newExpress(): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.enable('case sensitive routing')
  app.set('query parser', 'simple')
  return app
}

/** @param req whose address the log should name */
function refusalsTo(observer: ReadObserver) {
  return (reason: HttpRefusal, req?: IncomingMessage) =>
    observer.observe({ kind: 'http_refused', reason, address: req === undefined ? undefined : addressOf(req) })
}

const notFound: RequestHandler = (req, res) => {
  sendProblem(req, res, { status: 404, code: 'not_found', detail: 'There is nothing at this address.' })
}
