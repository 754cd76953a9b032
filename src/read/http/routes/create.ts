import { type Request, type RequestHandler, type Response, Router } from 'express'
import type { Rejection } from '../../../engine/dead-letter.ts'
import { dispositionOf, RecordTooLargeError } from '../../../engine/errors.ts'
import { type HttpNames, pathOf, withArticle } from '../../../engine/http-names.ts'
import type { Clock } from '../../../engine/ports.ts'
import type { Origin } from '../../../engine/record.ts'
import { readBody } from '../../../http/body.ts'
import { type Problem, sendProblem } from '../../../http/problem.ts'
import type { RecordOutcome, RecordOutcomes } from '../../ports.ts'
import type { ValueCache } from '../../read-side.ts'
import type { StreamReading } from '../stream-reading.ts'

export interface CreateParts extends Pick<StreamReading, 'stream' | 'intake' | 'outcomes'> {
  readonly cache: Pick<ValueCache, 'drop'>
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>
  /** Ends the wait of every caller for its value to be stored. */
  readonly closing: AbortSignal
}

/** How long a caller waits for its value to be stored, in ms. */
const STORED_WITHIN_MS = 5_000
const FIRST_LOOK_AFTER_MS = 10
const LOOK_EVERY_MS = 200
/** Callers that wait at once: for each the store is queried a few times a second. Further ones are answered 202 at once. */
const MAX_WAITING = 100
const RETRY_AFTER_SECONDS = '5'

/**
 * `POST /ROUTE/create`: one value, as `application/json` or as the file of a form. It takes the same path as every record:
 * validated by the same rules, published, consumed, settled.
 * @param guard in front: who may, and how often
 */
export function createRoute(parts: CreateParts, guard: readonly RequestHandler[]): Router {
  const router = Router({ caseSensitive: true })
  const names = parts.stream.http
  let waiting = 0

  router.post(names.create, ...guard, async (req, res) => {
    // Also when the client goes away: an answer could not be delivered.
    const gone = new AbortController()
    res.once('close', () => gone.abort())
    const body = await readBody(req, parts.intake.maxBytes, names).catch(() => undefined)
    if (body === undefined) return
    if (!body.ok) return void sendProblem(req, res, body.problem)
    const verdict = parts.intake.judge(body.bytes)
    if (!verdict.ok) return void sendProblem(req, res, refusalOf(verdict.rejection, names))

    let origin: Origin
    try {
      origin = await parts.intake.publish(verdict.key, body.bytes)
    } catch (error) {
      if (error instanceof RecordTooLargeError) return void sendProblem(req, res, tooLargeForTopic(names))
      if (dispositionOf(error) !== 'retry') throw error
      return void sendProblem(req, res, kafkaAway(names))
    }
    const async = prefersAsync(req)
    const waits = !async && waiting < MAX_WAITING
    const outcome = waits ? await outcomeOf(verdict.key, origin, gone.signal) : PENDING
    if (gone.signal.aborted) return
    if (outcome.kind === 'overtaken') return void sendProblem(req, res, overtaken(verdict.key, names))
    if (outcome.kind === 'dead_lettered') return void sendProblem(req, res, setAside(outcome, names))
    answer(res, names, verdict.key, origin, { isStored: outcome.kind === 'stored', async })
  })
  return router

  /** What became of the record, as far as it is known in time. */
  async function outcomeOf(key: string, origin: Origin, gone: AbortSignal): Promise<RecordOutcome> {
    const { outcomes, cache, clock } = parts
    const given = AbortSignal.any([gone, parts.closing])
    const deadline = clock.monotonic() + STORED_WITHIN_MS
    waiting += 1
    try {
      for (let waitMs = FIRST_LOOK_AFTER_MS; ; waitMs = Math.min(waitMs * 2, LOOK_EVERY_MS)) {
        await clock.sleep(waitMs, given)
        if (given.aborted) return PENDING
        const isLast = clock.monotonic() > deadline
        const outcome = await lookUp(outcomes, key, origin)
        if (outcome.kind === 'pending') {
          if (isLast) return PENDING
          continue
        }
        // It may have been written by another process, and this one may remember an older version, or that there was none.
        cache.drop([key])
        return outcome
      }
    } finally {
      waiting -= 1
    }
  }
}

const PENDING: RecordOutcome = { kind: 'pending' }

/** While the store is away the value is safe in Kafka, and will be stored: the caller gets 202 when the time is over. */
async function lookUp(outcomes: RecordOutcomes, key: string, origin: Origin): Promise<RecordOutcome> {
  try {
    return await outcomes.outcomeOf(key, origin)
  } catch (error) {
    if (dispositionOf(error) === 'retry') return PENDING
    throw error
  }
}

function answer(
  res: Response,
  names: HttpNames,
  key: string,
  origin: Origin,
  { isStored, async }: { isStored: boolean; async: boolean },
) {
  const body = Buffer.from(
    JSON.stringify({
      [names.keyField]: key,
      status: isStored ? 'stored' : 'accepted',
      topic: origin.topic,
      partition: origin.partition,
      offset: String(origin.offset),
    }),
  )
  res.writeHead(isStored ? 201 : 202, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
    // With 202, where it will be.
    Location: pathOf(names, key),
    ...(async ? { 'Preference-Applied': 'respond-async' } : {}),
  })
  res.end(body)
}

/** RFC 7240. */
function prefersAsync(req: Request): boolean {
  const prefer = req.headers.prefer
  const preferences = (Array.isArray(prefer) ? prefer.join(',') : (prefer ?? '')).split(',')
  return preferences.some(preference => /^\s*respond-async\s*(?:;|$)/i.test(preference))
}

function kafkaAway({ one }: HttpNames): Problem {
  return {
    status: 503,
    code: 'broker_unavailable',
    detail: `Kafka did not confirm the ${one}. Send it again in a few seconds: ${withArticle(one)} that arrives twice is stored once.`,
    headers: { 'Retry-After': RETRY_AFTER_SECONDS },
  }
}

function tooLargeForTopic({ one }: HttpNames): Problem {
  return {
    status: 413,
    code: 'too_large',
    detail: `The topic takes no record of this size: its max.message.bytes is smaller. Send a smaller ${one}.`,
  }
}

/** Whether it had been stored for a moment is not known; that it is not what is stored now is. */
function overtaken(key: string, names: HttpNames): Problem {
  return {
    status: 409,
    code: 'newer_version_stored',
    detail: `The ${names.one} was published, and a newer version of it is stored: what was sent is not what is stored now. Read the stored one before you send it again.`,
    headers: { Location: pathOf(names, key) },
  }
}

function setAside({ reason, error }: Extract<RecordOutcome, { kind: 'dead_lettered' }>, { one }: HttpNames): Problem {
  return {
    status: 422,
    code: reason,
    detail: `The ${one} was published, and then set aside as a dead letter (${reason}, ${error}): it is not stored. An operator can redrive it once the cause is fixed.`,
  }
}

function refusalOf({ reason, error, message, violations }: Rejection, { one }: HttpNames): Problem {
  if (reason === 'too_large') return { status: 413, code: reason, detail: sentence(message) }
  if (reason === 'schema_violation') {
    return {
      status: 422,
      code: reason,
      detail: `The ${one} is JSON, but breaks the rules below.`,
      errors: violations.map(({ pointer, message }) => ({ pointer, message })),
    }
  }
  return {
    status: 422,
    code: reason,
    detail: `${inWords(error, one)} ${sentence(message)}`.trim(),
    errors: [{ pointer: '', message }],
  }
}

/** For a person who has sent the wrong file. */
function inWords(error: string, one: string): string {
  switch (error) {
    case 'zero_bytes':
      return 'Nothing was sent.'
    case 'not_utf8':
      return `This is not text, but perhaps an image, a table or an archive: ${withArticle(one)} is JSON text in UTF-8.`
    case 'not_json':
      return `This is text, but not JSON: ${withArticle(one)} begins with "{" and ends with "}", and all names stand in double quotes.`
    default:
      return ''
  }
}

function sentence(message: string): string {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`
}
