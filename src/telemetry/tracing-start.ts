import { NO_TRACING, type Tracing } from '../engine/tracing.ts'
import type { Tell } from './tracing-warnings.ts'

/** What `process.env` is. */
type Environment = Record<string, string | undefined>

interface Service {
  readonly name: string
  readonly version: string
  /** Whether its statements are followed, too: then `pg` must not be imported yet. */
  readonly statements: boolean
}

export interface RunningTracing extends AsyncDisposable {
  readonly tracing: Tracing
  /** Exports what is left, within a bound. Safe twice. */
  stop(): Promise<void>
}

/**
 * Starts tracing where it is wanted; elsewhere nothing of OpenTelemetry is loaded. Mistakes in the variables are reported, and
 * is no reason not to work.
 * @param env `process.env` itself: the SDK reads it, so what is unset there is set to our defaults
 * @param service what it is called in a viewer, unless OTEL_SERVICE_NAME says otherwise
 */
export async function startTracing(env: Environment, service: Service, tell: Tell): Promise<RunningTracing> {
  if (!tracingIsWanted(env)) return running(NO_TRACING, async () => {})
  Object.assign(env, tracingDefaults(env, service))
  // The SDK would write to stdout, which is the log's, or a command's result.
  const { OTEL_LOG_LEVEL: level } = env
  delete env.OTEL_LOG_LEVEL
  try {
    const [{ startSdk }, { createTracing }] = await Promise.all([import('./tracing-sdk.ts'), import('./tracing.ts')])
    const { stop } = startSdk({ level, statements: service.statements }, tell)
    return running(createTracing(service.version), stop)
  } catch (error) {
    tell('warn', `no traces: ${error instanceof Error ? error.message : String(error)}`)
    return running(NO_TRACING, async () => {})
  }
}

function running(tracing: Tracing, stop: () => Promise<void>): RunningTracing {
  return { tracing, stop, [Symbol.asyncDispose]: stop }
}

/**
 * Whether traces go anywhere: OTLP has an endpoint, and nothing says otherwise. An empty variable is an unset one, as
 * OpenTelemetry has it.
 */
export function tracingIsWanted(env: Readonly<Environment>): boolean {
  const endpoint = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT
  const disabled = env.OTEL_SDK_DISABLED?.trim().toLowerCase() === 'true'
  return Boolean(endpoint) && !disabled && env.OTEL_TRACES_EXPORTER?.trim() !== 'none'
}

/** What of OpenTelemetry's own variables is unset and should be otherwise than its SDK would have it. */
export function tracingDefaults(
  env: Readonly<Environment>,
  service: Pick<Service, 'name' | 'version'>,
): Readonly<Record<string, string>> {
  const resource = env.OTEL_RESOURCE_ATTRIBUTES ?? ''
  const named = Boolean(env.OTEL_SERVICE_NAME) || /(?:^|,)\s*service\.name\s*=/.test(resource)
  const versioned = /(?:^|,)\s*service\.version\s*=/.test(resource)
  const defaults: Record<string, string> = {
    // Metrics are for Prometheus to fetch, and logs go to stdout.
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_LOGS_EXPORTER: 'none',
    // Neither the user's name nor the words of the command line; attributes from the environment come last, and take precedence.
    OTEL_NODE_RESOURCE_DETECTORS: 'host,os,serviceinstance,env',
    // Statements that write four tables are too long to be readable.
    OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: '1024',
    ...(named ? {} : { OTEL_SERVICE_NAME: service.name }),
  }
  const unset = Object.entries(defaults).filter(([name]) => !env[name])
  const added = versioned
    ? []
    : [['OTEL_RESOURCE_ATTRIBUTES', [resource, `service.version=${service.version}`].filter(Boolean).join()]]
  return Object.fromEntries([...unset, ...added])
}
