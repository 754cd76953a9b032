/**
 * OpenTelemetry's SDK. Nothing imports this file but by `import()`, and only when traces have somewhere to go: it takes half
 * a second and 50 MB.
 */

import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import { type DiagLogger, DiagLogLevel, diag, type Span } from '@opentelemetry/api'
import { PgInstrumentation } from '@opentelemetry/instrumentation-pg'
import { NodeSDK } from '@opentelemetry/sdk-node'
import { runningLifecycle } from '../engine/lifecycle.ts'
import type { Tell } from './tracing-warnings.ts'

/** A collector that does not answer is not waited for any longer than this when the process ends. */
const FLUSH_TIMEOUT_MS = 3_000
const WARNING_LENGTH = 300
/** Complained of at each start in a container, whose image has no id of a machine. All else of the resource is as it should be. */
const NO_MACHINE_ID = 'key "host.id"'

const LEVELS: Readonly<Record<string, DiagLogLevel>> = {
  none: DiagLogLevel.NONE,
  error: DiagLogLevel.ERROR,
  warn: DiagLogLevel.WARN,
  info: DiagLogLevel.INFO,
  debug: DiagLogLevel.DEBUG,
  verbose: DiagLogLevel.VERBOSE,
  all: DiagLogLevel.ALL,
}

export interface SdkOptions {
  /** Least level of its own messages, as OTEL_LOG_LEVEL says. Default: warnings and errors. */
  readonly level: string | undefined
  /** Whether statements of Postgres are followed. */
  readonly statements: boolean
}

/**
 * Starts it as the `OTEL_…` variables have it. What ended is exported in the background, from a queue of bounded length
 * (`OTEL_BSP_MAX_QUEUE_SIZE`): what does not fit, because the collector is slow or away, is dropped.
 */
export function startSdk({ level, statements }: SdkOptions, tell: Tell): { stop(): Promise<void> } {
  const options = { requireParentSpan: true, ignoreConnectSpans: true, requestHook: (span: Span) => dropMessages(span) }
  const instrumentations = statements ? [new PgInstrumentation(options)] : []
  const logLevel = LEVELS[level?.trim().toLowerCase() ?? ''] ?? DiagLogLevel.WARN
  diag.setLogger(logTo(tell), { logLevel, suppressOverrideMessage: true })
  const sdk = new NodeSDK({ instrumentations })
  sdk.start()
  // An import of an ES module does not pass where instrumentations wait for their library; this does, and the import that
  // comes later finds the same module.
  if (statements) createRequire(import.meta.url)('pg')

  const { stop } = runningLifecycle(async () => {
    const given = new AbortController()
    const flushed = sdk
      .shutdown()
      .catch((error: unknown) => tell('warn', `the last spans are lost: ${messageOf(error)}`))
    await Promise.race([flushed, sleep(FLUSH_TIMEOUT_MS, undefined, { signal: given.signal }).catch(() => {})])
    given.abort()
  })
  return { stop }
}

/** Postgres quotes the input in its messages; the code of the error, which is recorded as an event, is enough. */
function dropMessages(span: Span): void {
  const setStatus = span.setStatus.bind(span)
  span.setStatus = ({ code }) => setStatus({ code })
}

function logTo(tell: Tell): DiagLogger {
  const at =
    (level: 'warn' | 'debug') =>
    (message: string, ...rest: unknown[]) => {
      if (!message.includes(NO_MACHINE_ID)) tell(level, [message, ...rest].map(messageOf).join(' '))
    }
  return { error: at('warn'), warn: at('warn'), info: at('debug'), debug: at('debug'), verbose: at('debug') }
}

/** Errors of the exporter come as JSON text of all that they have. */
function messageOf(what: unknown): string {
  const text = what instanceof Error ? what.message : String(what)
  const message = /^\{.*"message":"((?:[^"\\]|\\.)*)"/s.exec(text)?.[1]
  return (message ?? text).slice(0, WARNING_LENGTH)
}
