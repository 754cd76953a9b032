import { askForKey, call } from '../api.js'

/** A request that failed: the message to show, and how the console may react. */
export class Failure extends Error {
  constructor(status, problem = {}) {
    const places = (problem.errors ?? []).map(({ pointer, message }) => `${pointer} ${message}`).join('; ')
    const words = problem.detail ?? WORDS[status] ?? `The service answered ${status}.`
    super(places === '' ? words : `${words} ${places}.`)
    this.status = status
    this.code = problem.code
    this.problem = problem
  }

  get title() {
    return TITLES[this.status] ?? (this.status >= 500 ? 'Something went wrong on the server' : 'This cannot be done')
  }

  /** Whether the same request may succeed on a retry. */
  get passes() {
    return [0, 429, 502, 503, 504].includes(this.status)
  }
}

const TITLES = {
  0: 'The service does not answer',
  401: 'A key is needed',
  403: 'This key may not do that',
  404: 'There is nothing here',
  429: 'Too many requests',
  503: 'Not available just now',
}
const WORDS = {
  0: 'It may be stopped, or the connection is down.',
  503: 'The database or the stream cannot be reached.',
}

let again = () => {}

/** @param {() => void} start what to do once a key was given */
export function onKey(start) {
  again = start
}

let stream

/** @param {string | undefined} name the stream that all requests name from now on; undefined: the only one, which needs no name */
export function useStream(name) {
  stream = name
}

/**
 * @param {string} path
 * @param {{ query?: object, body?: object, method?: string, signal?: AbortSignal }} [options] with a body it is a POST, unless `method` says otherwise
 * @throws Failure
 */
export async function ask(path, options = {}) {
  const response = await answerTo(path, options)
  return await response.json().catch(() => {
    throw new Failure(0)
  })
}

/**
 * Like `ask`, but returns the response without reading its body.
 * @param {string} path
 * @param {{ query?: object, body?: object, method?: string, signal?: AbortSignal, accept?: string }} [options]
 */
export async function answerTo(path, { query = {}, body, method = 'POST', signal, accept } = {}) {
  const given = Object.entries({ ...query, stream }).filter(([, value]) => value !== undefined)
  const search = given.length === 0 ? '' : `?${new URLSearchParams(given)}`
  const headers = accept && { headers: { Accept: accept } }
  const init = body === undefined ? { signal, ...headers } : { ...withJson(body), method, signal }
  let response
  try {
    response = await call(path + search, init, again)
  } catch (error) {
    if (signal?.aborted) throw error
    throw new Failure(0)
  }
  if (response.ok) return response
  const problem = await response.json().catch(() => ({}))
  if (response.status === 403)
    askForKey(true, again, 'This key may not do that. The console takes one with the role admin.')
  throw new Failure(response.status, problem)
}

function withJson(body) {
  return { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }
}
