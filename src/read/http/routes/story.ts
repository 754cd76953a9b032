import { type RequestHandler, type Response, Router } from 'express'
import { dispositionOf } from '../../../engine/errors.ts'
import { type Problem, sendProblem } from '../../../http/problem.ts'
import { streamNamed } from '../page-frame.ts'
import { type Story, type StoryReading, storyOf } from '../story.ts'

export interface StoryParts {
  readonly streams: readonly StoryReading[]
  /** Whether the caller of a guarded route is an operator. */
  readonly isAdmin: (res: Response) => boolean
}

/** `GET /view/story?stream=&key=`: where the record of a value stands and when it was stored; for operators its dead letters, too. */
export function storyRoute({ streams, isAdmin }: StoryParts, guard: readonly RequestHandler[]): Router {
  const router = Router({ caseSensitive: true })
  router.get('/view/story', ...guard, async (req, res) => {
    const reading = streamNamed(streams, req.query.stream)
    if (reading === undefined) return void sendProblem(req, res, NO_STREAM)
    const { key } = req.query
    const { codes, keyRule } = reading.stream.http
    if (typeof key !== 'string' || !reading.stream.isKey(key))
      return void sendProblem(req, res, { status: 400, code: codes.malformedKey, detail: keyRule })
    let story: Story
    try {
      story = await storyOf(reading, key, { isAdmin: isAdmin(res), isOnly: streams.length === 1 })
    } catch (error) {
      if (dispositionOf(error) !== 'retry') throw error
      return void sendProblem(req, res, STORE_AWAY)
    }
    const body = Buffer.from(JSON.stringify(story))
    res.writeHead(200, {
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': body.length,
      'Cache-Control': 'no-store',
    })
    res.end(body)
  })
  return router
}

const NO_STREAM: Problem = {
  status: 404,
  code: 'no_such_stream',
  detail: 'This service has no stream of this name; GET /streams lists them.',
}

const STORE_AWAY: Problem = {
  status: 503,
  code: 'store_unavailable',
  detail: 'The database cannot be reached just now. Try again in a few seconds.',
  headers: { 'Retry-After': '5' },
}
