import { createServer, type Server } from 'node:http'
import { isIPv6 } from 'node:net'
import { fileURLToPath } from 'node:url'
import express, { type ErrorRequestHandler, type Express, type Request, type RequestHandler } from 'express'
import helmet from 'helmet'
import { UsageError } from '../core/errors.ts'
import type { ReadObserver, ValueCache } from '../core/read-side.ts'
import type { HealthCheck } from '../core/status.ts'
import { sendProblem } from './problem.ts'
import { healthRoutes } from './routes/health.ts'
import { orderRoutes } from './routes/orders.ts'

export interface HttpOptions {
  readonly host: string
  /** 0 takes a free one: see `url` of the result. */
  readonly port: number
  readonly cache: ValueCache
  /** Checks of `/livez` and of `/readyz`. */
  readonly live: readonly HealthCheck[]
  readonly ready: readonly HealthCheck[]
  /** The page for `/metrics`. */
  readonly metrics: { readonly contentType: string; render(): Promise<string> }
  readonly observer: ReadObserver
  /** How long requests under way may take at a close before their connections are cut. Default: 5,000. */
  readonly drainTimeoutMs?: number
}

export interface HttpServer extends AsyncDisposable {
  /** As a person would open it: `http://127.0.0.1:8081`. */
  readonly url: string
  readonly port: number
  /** Takes no new request, answers those under way, and cuts what is left at the drain timeout. Safe twice. */
  close(): Promise<void>
}

const DRAIN_TIMEOUT_MS = 5_000
/** A client that sends its headers slowly holds a connection no longer than this. */
const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
/** Longer than the 60 s of common load balancers: the side that closes first must not be ours, or requests get lost. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000
const MAX_CONNECTIONS = 2_000
const WEB = fileURLToPath(new URL('../../web/', import.meta.url))

/** @throws UsageError when the port or host cannot be listened on */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  let closing: Promise<void> | undefined
  const server = createServer()
  const app = createHttpApp(options, () => {
    // A kept-alive connection that becomes idle while we close would hold the close up.
    if (closing !== undefined) setImmediate(() => server.closeIdleConnections())
  })
  server.on('request', app)
  server.headersTimeout = HEADERS_TIMEOUT_MS
  server.requestTimeout = REQUEST_TIMEOUT_MS
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS
  server.maxConnections = MAX_CONNECTIONS

  const port = await listen(server, options.host, options.port)
  const url = `http://${displayHost(options.host)}:${port}`
  options.observer.observe({ kind: 'http_started', url })

  async function drain(): Promise<void> {
    const closed = new Promise<void>(resolve => server.close(() => resolve()))
    server.closeIdleConnections()
    const timer = setTimeout(() => server.closeAllConnections(), options.drainTimeoutMs ?? DRAIN_TIMEOUT_MS)
    await closed
    clearTimeout(timer)
  }
  function close(): Promise<void> {
    closing ??= drain()
    return closing
  }
  return { url, port, close, [Symbol.asyncDispose]: close }
}

/** @param onDone called after each request, however it ended */
function createHttpApp(options: HttpOptions, onDone: () => void): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.enable('case sensitive routing')
  app.set('query parser', 'simple')

  app.use(timed(options.observer, onDone))
  app.use(
    helmet({
      contentSecurityPolicy: {
        useDefaults: false,
        directives: {
          defaultSrc: ["'none'"],
          scriptSrc: ["'self'"],
          styleSrc: ["'self'"],
          connectSrc: ["'self'"],
          imgSrc: ["'self'", 'data:'],
          baseUri: ["'none'"],
          formAction: ["'self'"],
          frameAncestors: ["'none'"],
        },
      },
    }),
  )
  app.use(orderRoutes(options.cache))
  app.use(healthRoutes(options))
  app.get('/metrics', async (_req, res) => {
    const page = await options.metrics.render()
    res.writeHead(200, { 'Content-Type': options.metrics.contentType, 'Cache-Control': 'no-store' })
    res.end(page)
  })
  // One by one: a list would make one route, whose path is no label.
  for (const path of ['/order', '/order/:uid', '/orders/:uid', '/livez', '/readyz', '/metrics'])
    app.all(path, refuseMethod)
  app.use(express.static(WEB, { cacheControl: false, setHeaders: res => res.setHeader('Cache-Control', 'no-cache') }))
  app.use((req, res) => {
    sendProblem(req, res, { status: 404, code: 'not_found', detail: 'There is nothing at this address.' })
  })
  app.use(failed(options.observer))
  return app
}

const refuseMethod: RequestHandler = (req, res) => {
  sendProblem(req, res, {
    status: 405,
    code: 'method_not_allowed',
    detail: 'This address can only be read.',
    headers: { Allow: 'GET, HEAD' },
  })
}

function timed(observer: ReadObserver, onDone: () => void): RequestHandler {
  return (req, res, next) => {
    const startedMs = performance.now()
    res.once('close', () => {
      observer.observe({
        kind: 'http_served',
        method: req.method,
        route: routeOf(req, res.statusCode),
        // 499: the client went away first (a convention of nginx).
        status: res.writableFinished ? res.statusCode : 499,
        seconds: (performance.now() - startedMs) / 1000,
      })
      onDone()
    })
    next()
  }
}

/** The pattern that matched, never the path: a closed set. */
function routeOf(req: Request, status: number): string {
  const route: unknown = req.route
  if (typeof route === 'object' && route !== null && 'path' in route) {
    if (typeof route.path === 'string') return route.path
    return 'unmatched'
  }
  return status < 400 ? 'static' : 'unmatched'
}

/** The last resort: what Express refused, and what nobody foresaw. */
function failed(observer: ReadObserver): ErrorRequestHandler {
  return (error: unknown, req, res, _next) => {
    if (res.headersSent) {
      res.destroy()
      return
    }
    const status = refusalOf(error)
    if (status !== undefined) {
      sendProblem(req, res, { status, code: 'bad_request', detail: 'The request could not be understood.' })
      return
    }
    const traceId = sendProblem(req, res, {
      status: 500,
      code: 'internal_error',
      detail: 'Something went wrong on our side. The log has the cause under this trace_id.',
    })
    observer.observe({ kind: 'http_failed', route: routeOf(req, 500), traceId, error })
  }
}

/** Express marks what the client did wrong (a path that cannot be decoded, say) with a status below 500. */
function refusalOf(error: unknown): number | undefined {
  const status = error instanceof Error && 'status' in error ? error.status : undefined
  return typeof status === 'number' && status >= 400 && status < 500 ? status : undefined
}

async function listen(server: Server, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    const refused = (error: NodeJS.ErrnoException) => reject(explain(error, host, port))
    server.once('error', refused)
    server.listen({ host, port }, () => {
      server.off('error', refused)
      resolve()
    })
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : port
}

function explain(error: NodeJS.ErrnoException, host: string, port: number): Error {
  switch (error.code) {
    case 'EADDRINUSE':
      return new UsageError(
        `Port ${port} on ${host} is in use by another program. Stop it, or choose another port with HTTP_PORT (0 takes a free one).`,
        { cause: error },
      )
    case 'EACCES':
      return new UsageError(`Port ${port} may not be opened by this user. Choose one above 1023 with HTTP_PORT.`, {
        cause: error,
      })
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new UsageError(
        `${host} is not an address of this machine. Set HTTP_HOST to one of its own, or 127.0.0.1.`,
        {
          cause: error,
        },
      )
    default:
      return error
  }
}

/** Nobody can open `0.0.0.0` in a browser everywhere, and an IPv6 address stands in brackets. */
function displayHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost'
  return isIPv6(host) ? `[${host}]` : host
}
