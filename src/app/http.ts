import { createHash, randomBytes } from 'node:crypto'
import type { Clock } from '../engine/ports.ts'
import type { HealthCheck } from '../engine/status.ts'
import type { Tracing } from '../engine/tracing.ts'
import { startHttp, startMetricsServer } from '../http/server.ts'
import type { AdminParts } from '../inbox/http/admin.ts'
import type { ReadObserver } from '../read/read-side.ts'
import type { ApiKey } from '../settings/access.ts'
import type { Config } from '../settings/config.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Reading } from './read.ts'

export interface HttpParts {
  readonly config: Config
  /** At least one. */
  readonly readings: readonly Reading[]
  readonly admin: readonly AdminParts[]
  readonly live: readonly HealthCheck[]
  readonly ready: readonly HealthCheck[]
  readonly metrics: Metrics
  readonly observer: ReadObserver
  readonly tracing: Tracing
  readonly clock: Clock
}

export interface Served extends AsyncDisposable {
  readonly url: string
  /** Opens what needs the role `admin`; `undefined` where API_KEYS names the keys. */
  readonly adminKey: string | undefined
}

const BAD_KEYS_PER_MINUTE = 20

/** The API of all streams. @throws UsageError when its port cannot be listened on */
export async function serveHttp(parts: HttpParts): Promise<Served> {
  const { config, readings, admin, metrics } = parts
  const { host, port, allowedHosts, apiKeys, currentKeys, keyless, writesPerMinute } = config.http
  const adminKey = apiKeys.length === 0 ? newKey() : undefined
  const listener = await startHttp({
    ...parts,
    streams: readings,
    host,
    port,
    allowedHosts,
    auth: { keys: adminKey === undefined ? currentKeys : [toApiKey(adminKey)], keyless },
    limits: { writesPerMinute, badKeysPerMinute: BAD_KEYS_PER_MINUTE },
    admin,
    metrics: config.metrics.port === undefined ? metrics : undefined,
  })
  return { url: listener.url, adminKey, [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose]() }
}

/** `/metrics` and the probes on a port of their own; `undefined` where METRICS_PORT is not set. @throws UsageError */
export async function serveMetrics(
  parts: Pick<HttpParts, 'config' | 'live' | 'ready' | 'metrics' | 'observer'>,
): Promise<(AsyncDisposable & { readonly url: string }) | undefined> {
  const { host, port } = parts.config.metrics
  if (port === undefined) return undefined
  const { allowedHosts } = parts.config.http
  const listener = await startMetricsServer({ ...parts, host, port, allowedHosts })
  parts.observer.observe({ kind: 'metrics_started', url: listener.url })
  return listener
}

/** As many bits as the hash that is kept of it, so that it cannot be guessed. */
function newKey(): string {
  return randomBytes(32).toString('base64url')
}

function toApiKey(key: string): ApiKey {
  return { name: 'made-at-start', role: 'admin', sha256: createHash('sha256').update(key).digest('hex') }
}
