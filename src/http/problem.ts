import { randomBytes } from 'node:crypto'
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import type { DeadLetterHint } from '../engine/dead-letter-hint.ts'
import { traceIdOf } from '../engine/trace-context.ts'
import type { Redrive } from '../inbox/redrive-ports.ts'

/** What went wrong with a request: RFC 9457, with members of our own. Never holds order data. */
export interface Problem {
  readonly status: number
  /** Stable, snake_case: what a program should look at. */
  readonly code: string
  /** What happened and what to do, for a person. */
  readonly detail: string
  readonly headers?: Readonly<Record<string, string>>
  /** For operators only: where the order went instead, and the address of it in the console. */
  readonly deadLetter?: (DeadLetterHint & { readonly url: string }) | undefined
  /** Where a filter cannot be understood, in characters from 1. */
  readonly column?: number
  /** The redrive that is under way instead. */
  readonly running?: Redrive
  /** Places in what was sent that are wrong. Default: none that could be named. */
  readonly errors?: readonly { readonly pointer: string; readonly message: string }[]
}

/**
 * Answers with `application/problem+json`. The type is `about:blank`, as RFC 9457 has it for problems that the status
 * already names; `code` distinguishes ours. @returns the trace id in the answer, to be logged with the cause
 */
export function sendProblem(req: IncomingMessage, res: ServerResponse, problem: Problem): string {
  const traceId = traceOf(req)
  const body = Buffer.from(
    JSON.stringify({
      type: 'about:blank',
      title: STATUS_CODES[problem.status] ?? 'Error',
      status: problem.status,
      code: problem.code,
      detail: problem.detail,
      errors: problem.errors ?? [],
      ...(problem.column === undefined ? {} : { column: problem.column }),
      ...(problem.running === undefined ? {} : { running: problem.running }),
      ...(problem.deadLetter === undefined ? {} : { dead_letter: problem.deadLetter }),
      trace_id: traceId,
    }),
  )
  res.writeHead(problem.status, {
    'Content-Type': 'application/problem+json',
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
    ...problem.headers,
  })
  res.end(body)
  return traceId
}

/** The trace that the request belongs to (W3C `traceparent`: the caller's, or our own span's), else an id made for this answer. */
function traceOf(req: IncomingMessage): string {
  const header = req.headers.traceparent
  return (typeof header === 'string' ? traceIdOf(header) : undefined) ?? randomBytes(16).toString('hex')
}
