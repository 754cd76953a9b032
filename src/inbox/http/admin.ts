import type { IncomingMessage } from 'node:http'
import { type Request, type RequestHandler, type Response, Router } from 'express'
import { dispositionOf, StoreUnavailableError, StreamError } from '../../engine/errors.ts'
import { type Operator, operatorOf as operatorNamed, PauseRefusal } from '../../engine/operator.ts'
import type { Stream } from '../../engine/stream.ts'
import type { Caller } from '../../http/auth.ts'
import { type Problem, sendProblem } from '../../http/problem.ts'
import { refuseMethod } from '../../http/refuse-method.ts'
import type { Causes } from '../causes.ts'
import type { DeadLetterFilter, WrittenFilter } from '../filter.ts'
import { parseFilter } from '../filter-reader.ts'
import type { CheckedPage, DeadLetterRecords, DeadLetterStore, LetterQuery } from '../ports.ts'
import { RedriveRunningError, type Redrives } from '../redrive-ports.ts'
import { type LetterSearch, SearchTooLargeError } from '../search.ts'
import type { AutomaticRedrive, StoredStream } from '../stream-ports.ts'
import type { AdminFeed } from './admin-feed.ts'
import { type Bodies, type BodyName, readJson } from './json-body.ts'
import type { StreamOverview } from './stream-overview.ts'
import type { Timeline } from './timeline.ts'

/** What of a stream the routes of operators need. */
export type AdminStream = Pick<Stream, 'name' | 'judge' | 'mask' | 'isKey'>

/** What the routes of operators work on, for one stream. */
export interface AdminParts {
  readonly stream: AdminStream
  readonly letters: DeadLetterStore
  readonly causes: Causes
  readonly records: Pick<DeadLetterRecords, 'read'>
  /** Would those that match pass now? At most `limit` of them. */
  readonly check: (query: LetterQuery) => AsyncIterable<CheckedPage>
  readonly search: LetterSearch
  readonly redrives: Redrives
  readonly automatic: AutomaticRedrive
  readonly stored: Pick<StoredStream, 'pause' | 'liftPauses'>
  readonly overview: () => Promise<StreamOverview>
  readonly timeline: Timeline
  /** For how long the database has owed an answer, in ms; 0 while it answers. */
  readonly storeSilentMs: () => number
  /** As TRACE_URL has it; `undefined`: no page shows traces. */
  readonly traceUrl?: string | undefined
  /** Is notified of changes; closed with the server. */
  readonly feed: AdminFeed
}

/** In front of every route: who may, and how often. */
export interface AdminGuard {
  readonly read: readonly RequestHandler[]
  readonly write: readonly RequestHandler[]
  callerOf(res: Response): Caller | undefined
}

/** What the routes need to know besides: when to stop waiting for the database. */
export interface PatientGuard extends AdminGuard {
  readonly storeSilentMs: AdminParts['storeSilentMs']
}

const RETRY_AFTER = { 'Retry-After': '5' }
const MAX_BODY_BYTES = 64 * 1024
/** A selection of a thousand dead letters by their ids. In an address, HTTP's own limits come first. */
const MAX_FILTER_CHARACTERS = 32 * 1024

/** A refusal that a route throws, so that the way through it stays plain. */
export class Refusal extends Error {
  readonly problem: Problem
  constructor(problem: Problem) {
    super(problem.detail)
    this.problem = problem
  }
}

type Work<P> = (req: Request<P>, res: Response) => Promise<void>

export interface AdminRouter {
  readonly router: Router
  /** An address, and the methods that it takes; others are refused. Fixed addresses go before those with a parameter. */
  route<P = object>(
    path: string,
    work: { readonly get?: Work<P>; readonly post?: Work<P>; readonly patch?: Work<P> },
  ): void
}

export function createAdminRouter(guard: PatientGuard): AdminRouter {
  const router = Router({ caseSensitive: true })
  return {
    router,
    route(path, { get, post, patch }) {
      if (get !== undefined) router.get(path, ...guard.read, answering(whileStoreAnswers(get, guard.storeSilentMs)))
      if (post !== undefined) router.post(path, ...guard.write, answering(post))
      if (patch !== undefined) router.patch(path, ...guard.write, answering(patch))
      const takes = [get && 'GET, HEAD', post && 'POST', patch && 'PATCH']
      router.all(path, refuseMethod(takes.filter(Boolean).join(', ')))
    },
  }
}

/** While a request waits for the database, its availability is checked at about this interval. */
const LOOK_EVERY_MS = 500
const SILENT_MS = 3_000

/**
 * A question does not wait for a database that has fallen silent until its own time is over: who asks learns it within a few
 * seconds. A question that takes long while others are answered goes on. What writes is not cut short: whether it was done would
 * not be known.
 */
function whileStoreAnswers<P>(work: Work<P>, storeSilentMs: () => number): Work<P> {
  return async (req, res) => {
    let timer: NodeJS.Timeout | undefined
    const silence = new Promise<never>((_, reject) => {
      timer = setInterval(() => {
        const silentMs = storeSilentMs()
        if (silentMs < SILENT_MS) return
        reject(new StoreUnavailableError(`Postgres has not answered for ${Math.round(silentMs / 1000)} s`))
      }, LOOK_EVERY_MS)
    })
    const working = work(req, res)
    // A later result is ignored.
    working.catch(() => {})
    try {
      await Promise.race([working, silence])
    } finally {
      clearInterval(timer)
    }
  }
}

/** What is thrown and was foreseen becomes the answer. */
function answering<P>(work: Work<P>): RequestHandler {
  return async (req, res) => {
    try {
      await work(req as Request<P>, res)
    } catch (error) {
      // No caller is left for the answer.
      if (req.destroyed && !req.complete) return
      const problem = problemOf(error)
      if (problem === undefined || res.headersSent) throw error
      sendProblem(req, res, problem)
    }
  }
}

function problemOf(error: unknown): Problem | undefined {
  if (error instanceof Refusal) return error.problem
  if (error instanceof SearchTooLargeError) {
    return { status: 422, code: 'search_too_large', detail: sentence(error.message) }
  }
  if (error instanceof RedriveRunningError) {
    return { status: 409, code: 'replay_running', detail: sentence(error.message), running: error.running }
  }
  if (error instanceof PauseRefusal) {
    return { status: error.code === 'no_such_partition' ? 404 : 409, code: error.code, detail: sentence(error.message) }
  }
  if (dispositionOf(error) !== 'retry') return undefined
  const code = error instanceof StreamError ? error.code : 'unavailable'
  return { status: 503, code, detail: AWAY[code] ?? 'Try again in a few seconds.', headers: RETRY_AFTER }
}

const AWAY: Readonly<Record<string, string>> = {
  store_unavailable: 'Postgres cannot be reached just now. Try again in a few seconds.',
  broker_unavailable: 'Kafka, which holds the bytes, cannot be reached just now. Try again in a few seconds.',
}

export function sendJson(
  res: Response,
  status: number,
  value: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  // The answer was given without it.
  if (res.headersSent) return
  const body = Buffer.from(JSON.stringify(value))
  res.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
    ...headers,
  })
  res.end(body)
}

/** The body of a request. @throws Refusal when it does not fit the schema of that name */
export async function bodyOf<N extends BodyName>(
  req: IncomingMessage,
  name: N,
  maxBytes = MAX_BODY_BYTES,
): Promise<Bodies[N]> {
  const body = await readJson(req, name, maxBytes)
  if (!body.ok) throw new Refusal(body.problem)
  return body.value
}

/** @throws Refusal that names the column */
export function filterOf(text: string): WrittenFilter {
  if (text.length > MAX_FILTER_CHARACTERS) {
    throw new Refusal({
      status: 400,
      code: 'bad_filter',
      detail: `A filter has at most ${MAX_FILTER_CHARACTERS} characters.`,
      column: MAX_FILTER_CHARACTERS + 1,
    })
  }
  const parsed = parseFilter(text)
  if (parsed.ok) return parsed.filter
  const { column, message } = parsed
  throw new Refusal({ status: 400, code: 'bad_filter', detail: sentence(message), column })
}

/** Values that one request searches; the command line has no such limit. */
const MAX_SEARCHED = 100_000

/**
 * The filter as the database can answer it. A search in values ends when the client goes away.
 * @param by `undefined`: the audit log has it already, from the page before
 * @throws Refusal SearchTooLargeError
 */
export async function answerable(
  { search }: Pick<AdminParts, 'search'>,
  text: string,
  by: Operator | undefined,
  res: Response,
): Promise<DeadLetterFilter> {
  const { signal, done } = whileConnected(res)
  try {
    return await search.answerable(filterOf(text), { by, signal, maxRead: MAX_SEARCHED })
  } finally {
    done()
  }
}

/** Aborted once the client is gone. */
export function whileConnected(res: Response): { readonly signal: AbortSignal; readonly done: () => void } {
  const controller = new AbortController()
  const { socket } = res.req
  const gone = () => controller.abort()
  socket.once('close', gone)
  return { signal: controller.signal, done: () => socket.off('close', gone) }
}

/** One parameter of the query; a form sends the fields that were left empty, too. @throws Refusal when it stands twice */
export function parameter(req: Request<object>, name: string): string | undefined {
  const value = req.query[name]
  if (Array.isArray(value)) throw badQuery(`${name} may be given only once.`)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** @throws Refusal */
export function limitOf(
  req: Request<object>,
  { preset, most }: { readonly preset: number; readonly most: number },
): number {
  const given = parameter(req, 'limit')
  if (given === undefined) return preset
  const limit = /^\d{1,9}$/.test(given) ? Number(given) : 0
  if (limit < 1 || limit > most) throw badQuery(`limit must be a whole number from 1 to ${most}.`)
  return limit
}

export function badQuery(detail: string): Refusal {
  return new Refusal({ status: 400, code: 'bad_query', detail })
}

/** For the audit log. */
export function operatorOf(guard: AdminGuard, res: Response, because: string | undefined): Operator {
  return operatorNamed(guard.callerOf(res)?.name ?? 'unknown', because)
}

export function sentence(message: string): string {
  const start = `${message.charAt(0).toUpperCase()}${message.slice(1)}`
  return /[.?!]$/.test(start) ? start : `${start}.`
}
