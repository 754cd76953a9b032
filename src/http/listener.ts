import { createServer, type RequestListener, type Server } from 'node:http'
import { isIPv6 } from 'node:net'
import { UsageError } from '../engine/errors.ts'
import { runningLifecycle } from '../engine/lifecycle.ts'
import type { HttpRefusal } from '../read/read-side.ts'
import { boundConnections, CONNECTION_LIMITS, type ConnectionLimits } from './connections.ts'
import { type Problem, sendProblem } from './problem.ts'

export interface ListenerOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Names of the settings that the two come from, for the message that names what to change. */
  readonly settings: { readonly host: string; readonly port: string }
  readonly handler: (lifecycle: Lifecycle) => RequestListener
  /** Is called for connections that were closed or refused, with the reason. */
  readonly onRefused: (cause: HttpRefusal) => void
  /** Default: {@link CONNECTION_LIMITS}. */
  readonly connections?: Partial<ConnectionLimits> | undefined
  /** How long requests under way may take at a close before their connections are cut. Default: 5,000. */
  readonly drainTimeoutMs?: number | undefined
}

export interface Lifecycle {
  /** To be called after each request, however it ended. */
  readonly onDone: () => void
  /** Aborts when the listener begins to close: what waits or streams should come to its end. */
  readonly closing: AbortSignal
}

export interface Listener extends AsyncDisposable {
  /** As a person would open it: `http://127.0.0.1:8081`. */
  readonly url: string
  readonly port: number
  /** Takes no new request, answers those under way, and cuts what is left at the drain timeout. Safe twice. */
  close(): Promise<void>
}

const DRAIN_TIMEOUT_MS = 5_000
/** A client that sends its headers slowly holds a connection no longer than this. */
const HEADERS_TIMEOUT_MS = 10_000
/** From the first byte to the last of the body; the answer may take longer. */
const REQUEST_TIMEOUT_MS = 30_000
/** Longer than the 60 s of common load balancers: the side that closes first must not be ours, or requests get lost. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000
const MAX_HEADER_BYTES = 16 * 1024
/** How often Node looks for connections that have asked nothing within those times. By default it does twice a minute. */
const CHECK_INTERVAL_MS = 1_000

const PROBES_ONLY: Problem = {
  status: 503,
  code: 'too_many_connections',
  detail: 'As many connections are at work as this process takes. Try again in a moment.',
  headers: { 'Retry-After': '1', Connection: 'close' },
}

/** An HTTP server with bounds on whatever a client could stretch. @throws UsageError when it cannot listen there */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const { host } = options
  const lifecycle = runningLifecycle(drain)
  const closing = lifecycle.stopping
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
  })
  const connections = boundConnections(server, { ...CONNECTION_LIMITS, ...options.connections }, options.onRefused)
  const handler = options.handler({
    closing,
    onDone() {
      // A kept-alive connection that becomes idle while we close would hold the close up.
      if (closing.aborted) setImmediate(() => server.closeIdleConnections())
    },
  })
  server.on('request', (req, res) => {
    if (connections.mayAsk(req)) return handler(req, res)
    options.onRefused('busy')
    sendProblem(req, res, PROBES_ONLY)
  })
  server.headersTimeout = HEADERS_TIMEOUT_MS
  server.requestTimeout = REQUEST_TIMEOUT_MS
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS

  const port = await listen(server, options)

  async function drain(): Promise<void> {
    const ended = new Promise<void>(resolve => server.close(() => resolve()))
    server.closeIdleConnections()
    const timer = setTimeout(() => server.closeAllConnections(), options.drainTimeoutMs ?? DRAIN_TIMEOUT_MS)
    await ended
    clearTimeout(timer)
  }
  const close = lifecycle.stop
  return { url: `http://${displayHost(host)}:${port}`, port, close, [Symbol.asyncDispose]: close }
}

async function listen(server: Server, options: ListenerOptions): Promise<number> {
  const { host, port } = options
  await new Promise<void>((resolve, reject) => {
    const refused = (error: NodeJS.ErrnoException) => reject(explain(error, options))
    server.once('error', refused)
    server.listen({ host, port }, () => {
      server.off('error', refused)
      resolve()
    })
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : port
}

function explain(error: NodeJS.ErrnoException, { host, port, settings }: ListenerOptions): Error {
  const refusal = refusalOf(error.code)
  return refusal === undefined ? error : new UsageError(refusal, { cause: error })

  function refusalOf(code: string | undefined): string | undefined {
    switch (code) {
      case 'EADDRINUSE':
        return `Port ${port} on ${host} is in use by another program, perhaps an earlier holdfast. Stop it, or choose another port with ${settings.port} (0 takes a free one).`
      case 'EACCES':
        return `Port ${port} may not be opened by this user. Choose one above 1023 with ${settings.port}.`
      case 'EADDRNOTAVAIL':
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
        return `${host} is not an address of this machine. Set ${settings.host} to one of its own, or 127.0.0.1.`
      default:
        return undefined
    }
  }
}

/** Not every browser can open `0.0.0.0`, and an IPv6 address stands in brackets. */
function displayHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost'
  return isIPv6(host) ? `[${host}]` : host
}
