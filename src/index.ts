/** What a project imports as `holdfast`. */
import type { App, Role } from './app.ts'
import type { StreamDefinition } from './engine/definition.ts'
import { ConfigError } from './engine/errors.ts'
import { loadConfig } from './settings/config.ts'
import { loadDefinitions, prepareStreams } from './settings/streams.ts'
import { createLogger } from './telemetry/logger.ts'

export {
  type ColumnDefinition,
  defineConfig,
  defineStream,
  type HoldfastConfig,
  type JsonSchema,
  type Pointer,
  type StreamDefinition,
  type TableDefinition,
  type ValueOf,
} from './engine/definition.ts'
export type { StreamStatus } from './engine/status.ts'
export type { Role }

export interface HoldfastOptions {
  /** Default: those of the project's `holdfast.config.ts`, or orders alone. */
  readonly streams?: readonly StreamDefinition[]
  /** The settings by their names: `{ KAFKA_BROKERS: 'broker:9092' }`. What is absent has its default. Default: `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Default: all. */
  readonly roles?: readonly Role[]
}

/** A service within this process. */
export interface Holdfast extends AsyncDisposable {
  /** Where the API listens; `undefined` without the role `api`. */
  readonly url: string | undefined
  /** Opens what needs the role `admin`; made at each start while API_KEYS names no key. */
  readonly adminKey: string | undefined
  /** Settles when the service has ended: rejects with what ended it, unless that was `stop()`. */
  readonly finished: Promise<void>
  /** Status of a stream by its name, default the first; `undefined` until this process consumes it. */
  readonly status: App['status']
  /** Settles what is in flight, commits, leaves the groups and closes. Safe twice. */
  readonly stop: () => Promise<void>
}

/**
 * Starts the service within this process: what `holdfast serve` does, without its process. Returns as soon as the API listens; what
 * must be waited for is waited for in the background, and `/readyz` reports it. Signals, exit codes and traces are the caller's;
 * the log goes to stdout.
 * @throws ConfigError with every mistake of the settings, of the definitions, or of the roles
 * @throws UsageError when the port cannot be listened on
 */
export async function startHoldfast(options: HoldfastOptions = {}): Promise<Holdfast> {
  const { env = process.env, roles } = options
  const config = loadConfig(env)
  const streams = prepareStreams(options.streams ?? (await loadDefinitions(config)), config, env)
  // Only here, because a file that defines a stream imports this module, too, and needs no client of Kafka and Postgres for that.
  const { ROLES, startApp } = await import('./app.ts')
  const logger = createLogger({ levels: config.logLevels, colour: false, activeTrace: () => undefined })
  requireRoles(roles, ROLES)
  const app = await startApp(config, streams, new Set(roles ?? ROLES), logger)
  // The caller may read it late or never; without this an end would be an unhandled rejection.
  app.finished.catch(() => {})
  const { url, adminKey, finished } = app
  const stop = () => app.stop()
  return { url, adminKey, finished, status: stream => app.status(stream), stop, [Symbol.asyncDispose]: stop }
}

/** A process without a role would start, and do nothing. @throws ConfigError */
function requireRoles(roles: unknown, known: readonly string[]): void {
  if (roles === undefined) return
  const of = `of ${known.join(', ')}`
  if (!Array.isArray(roles) || roles.length === 0)
    throw new ConfigError([`roles must be a list with at least one ${of}`])
  const mistaken = roles.filter(role => !known.includes(role))
  if (mistaken.length > 0) throw new ConfigError(mistaken.map(role => `roles: ${JSON.stringify(role)} is none ${of}`))
}
