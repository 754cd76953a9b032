import { ConfigError, StreamError, UsageError } from '../engine/errors.ts'
import { visible } from '../engine/visible.ts'
import { parseLogLevels } from '../settings/log-levels.ts'
import { paint } from './output.ts'

/** The command did not do (all of) what was asked. The message is shown as it is. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed'
  /** 1: nothing was done, or it failed. 3: a part was done. 4: what was asked for could not be found out. */
  readonly exitCode: 1 | 3 | 4
  constructor(message: string, options: { readonly exitCode?: 1 | 3 | 4; readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.exitCode = options.exitCode ?? 1
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return 2
  return error instanceof CommandFailed ? error.exitCode : 1
}

/** What to do, by the codes of `engine/errors.ts`. */
const ADVICE: Readonly<Record<string, string>> = {
  broker_unavailable:
    'Check that Kafka runs at KAFKA_BROKERS and speaks KAFKA_SECURITY_PROTOCOL; "holdfast demo" and "docker compose up" start one.',
  broker_fatal: 'Check the KAFKA_* settings ("holdfast config" shows them) and the rights of this user.',
  store_unavailable: 'Check that Postgres runs at DATABASE_URL; "holdfast demo" and "docker compose up" start one.',
}

/** Errors whose message was written for people, from modules that need not be imported just to name them. */
const READABLE: ReadonlySet<string> = new Set(['SetupError', 'CommandFailed'])

/** What happened, why, and what to do. A stack is added only with LOG_LEVEL=debug or trace. */
export function failureLines(error: unknown, env: { readonly LOG_LEVEL?: string | undefined }): string[] {
  const lines = explain(error)
  const verbose = ['debug', 'trace'].includes(parseLogLevels(env.LOG_LEVEL ?? '')?.level ?? '')
  if (verbose && error instanceof Error) return [...lines, ...stacks(error)]
  return lines
}

function explain(error: unknown): string[] {
  const mark = paint('red', 'error:')
  if (error instanceof ConfigError) {
    const [one, ...others] = error.problems
    if (others.length === 0) return [`${mark} ${one}`]
    return [`${mark} ${error.problems.length} ${error.subject}`, ...error.problems.map(line => `  ${line}`)]
  }
  if (error instanceof UsageError) return [`${mark} ${error.message}`]
  if (error instanceof StreamError) return [`${mark} ${error.what}`, ...because(error), ...advice(error)]
  if (error instanceof Error && READABLE.has(error.name)) {
    const { cause } = error
    return [
      `${mark} ${error.message}`,
      ...because(error, cause),
      ...(cause instanceof StreamError ? advice(cause) : []),
    ]
  }
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return [`${mark} unexpected: ${what}`, ...because(error), '  LOG_LEVEL=debug shows where it comes from.']
}

/**
 * The causes that add something: libraries repeat the same message.
 * @param advised the cause whose advice follows on a line of its own
 */
function because(error: unknown, advised?: unknown): string[] {
  const lines: string[] = []
  let said = error instanceof Error ? error.message : ''
  for (let cause = causeOf(error), depth = 0; cause !== undefined && depth < 4; cause = causeOf(cause), depth++) {
    const message = messageOf(cause, cause === advised)
    if (message !== '' && !said.includes(message)) lines.push(`  because ${visible(message)}`)
    said += message
  }
  return lines
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined
}

function messageOf(cause: unknown, adviceFollows = false): string {
  // Node reports a refused connection to a name with several addresses as an AggregateError without a message.
  if (cause instanceof AggregateError && cause.message === '')
    return cause.errors.map(error => messageOf(error)).join(', ')
  if (adviceFollows && cause instanceof StreamError) return cause.what
  return cause instanceof Error ? cause.message : ''
}

function advice(error: StreamError): string[] {
  const line = error.remedy === undefined ? ADVICE[error.code] : capitalized(error.remedy)
  return line === undefined ? [] : [`  ${line}`]
}

function capitalized(text: string): string {
  return /^[a-z]+ /.test(text) ? `${text.charAt(0).toUpperCase()}${text.slice(1)}.` : `${text}.`
}

function stacks(error: Error): string[] {
  const { cause } = error
  return [error.stack ?? String(error), ...(cause instanceof Error ? ['caused by', ...stacks(cause)] : [])]
}
