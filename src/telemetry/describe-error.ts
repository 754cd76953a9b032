import { StreamError, UsageError } from '../engine/errors.ts'

/** An error as it may be logged. */
export interface ErrorDescription {
  readonly type: string
  readonly message?: string
  /** Our stable code, an errno name or a SQLSTATE. */
  readonly code?: string
  readonly sql_state?: string
  readonly cause?: ErrorDescription
  /** Only the frames, for unexpected errors. */
  readonly stack?: string
}

/** Deep enough for adapter -> library -> socket; and a cycle of causes ends. */
const MAX_CAUSES = 4

/**
 * What of an error may be logged: never order data. Our own errors promise a payload-free message. The messages of
 * Postgres (`invalid input syntax for type bigint: "…"`), of `JSON.parse`, and of Node about an argument (`Received type
 * string ('…')`, `Received 79_161_234_567`) quote the input, so only their type and code are logged; `detail` and other fields that a library adds are
 * never read.
 */
export function describeError(error: unknown, depth = 0): ErrorDescription {
  if (!(error instanceof Error)) return { type: typeof error }
  const code = textProperty(error, 'code')
  const sqlState = textProperty(error, 'sqlState')
  const ours = error instanceof StreamError || error instanceof UsageError
  const stack = ours || depth > 0 ? undefined : framesOf(error)
  return {
    type: error.name,
    ...(quotesInput(error) ? {} : { message: error.message }),
    ...(code === undefined ? {} : { code }),
    ...(sqlState === undefined ? {} : { sql_state: sqlState }),
    ...(error.cause === undefined || depth >= MAX_CAUSES ? {} : { cause: describeError(error.cause, depth + 1) }),
    ...(stack === undefined ? {} : { stack }),
  }
}

function quotesInput(error: Error): boolean {
  // pg's DatabaseError is recognised by its fields, so that this module need not import the library.
  const fromPostgres = 'severity' in error && 'routine' in error
  const aboutArgument = /^ERR_(INVALID_|OUT_OF_RANGE$)/.test(textProperty(error, 'code') ?? '')
  return fromPostgres || aboutArgument || error instanceof SyntaxError
}

/** The stack without its first lines, which repeat the message. */
function framesOf(error: Error): string | undefined {
  const frames = error.stack?.split('\n').filter(line => /^\s+at /.test(line))
  return frames === undefined || frames.length === 0 ? undefined : frames.map(line => line.trim()).join('\n')
}

function textProperty(error: Error, name: string): string | undefined {
  const value: unknown = Reflect.get(error, name)
  return typeof value === 'string' ? value : undefined
}
