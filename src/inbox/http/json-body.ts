import type { IncomingMessage } from 'node:http'
import { JSON_TYPE, readPlain } from '../../http/body.ts'
import type { Problem } from '../../http/problem.ts'

/** How a member of a JSON body is read: the value, or what it must be, as a sentence. */
type Reader<T> = (value: unknown) => { readonly value: T } | { readonly must: string }

/** Members of a JSON body: those with `?` in front may be left out. */
export type Members = Readonly<Record<string, Reader<unknown>>>

type ValueOf<R> = R extends Reader<infer T> ? T : never
export type Read<M extends Members> = { readonly [K in keyof M]: ValueOf<M[K]> }

const MAX_TEXT = 4096

export const text: Reader<string> = value =>
  isText(value, MAX_TEXT) ? { value } : { must: `be text of at most ${MAX_TEXT} characters` }

/** The reason is read by others later. */
export const reason: Reader<string> = value =>
  isText(value, MAX_TEXT) && value.trim() !== '' ? { value } : { must: 'say why, in text that is not empty' }

/** Its size is bounded by the body's, and by its reader. */
export const longText: Reader<string> = value => (typeof value === 'string' ? { value } : { must: 'be text' })

export const flag: Reader<boolean> = value => (typeof value === 'boolean' ? { value } : { must: 'be true or false' })

export function count(least: number, most: number): Reader<number> {
  return value =>
    typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
      ? { value }
      : { must: `be a whole number from ${least} to ${most}` }
}

export function above0(most: number): Reader<number> {
  return value =>
    typeof value === 'number' && value > 0 && value <= most
      ? { value }
      : { must: `be a number above 0, at most ${most}` }
}

/** May be left out, or null. */
export function optional<T>(reader: Reader<T>): Reader<T | undefined> {
  return value => (value === undefined || value === null ? { value: undefined } : reader(value))
}

export type JsonBody<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem }

/**
 * Reads a JSON object of these members and no others, so that a misspelt one is not passed over in silence. No body at all
 * is an object without members. Rejects when the client goes away in the middle.
 */
export async function readJson<const M extends Members>(
  req: IncomingMessage,
  members: M,
  maxBytes: number,
): Promise<JsonBody<Read<M>>> {
  const { 'content-type': type = '', 'content-encoding': encoding = 'identity' } = req.headers
  if (hasBody(req) && !(JSON_TYPE.test(type) && encoding === 'identity')) return refuse(NO_JSON_TYPE)
  const body = await readPlain(req, maxBytes, 'The body')
  if (!body.ok) return body
  let data: unknown = {}
  try {
    if (body.bytes.length > 0) data = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body.bytes))
  } catch {
    return refuse({ status: 400, code: 'bad_body', detail: 'The body is not JSON in UTF-8.' })
  }
  if (typeof data !== 'object' || data === null || Array.isArray(data)) {
    return refuse({ status: 400, code: 'bad_body', detail: 'The body must be a JSON object.' })
  }
  return take(data as Readonly<Record<string, unknown>>, members)
}

function take<M extends Members>(data: Readonly<Record<string, unknown>>, members: M): JsonBody<Read<M>> {
  const errors: { pointer: string; message: string }[] = []
  for (const name of Object.keys(data)) {
    if (Object.hasOwn(members, name)) continue
    errors.push({
      pointer: pointerTo(name),
      message: `is not known here; there are ${Object.keys(members).join(', ')}`,
    })
  }
  const values: Record<string, unknown> = {}
  for (const [name, read] of Object.entries(members)) {
    const result = read(Object.hasOwn(data, name) ? data[name] : undefined)
    if ('must' in result) errors.push({ pointer: pointerTo(name), message: `must ${result.must}` })
    else values[name] = result.value
  }
  if (errors.length === 0) return { ok: true, value: values as Read<M> }
  return refuse({
    status: 400,
    code: 'bad_body',
    detail: 'Members of the body cannot be used.',
    errors: errors.slice(0, 10),
  })
}

function pointerTo(name: string): string {
  return `/${name.slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1')}`
}

function isText(value: unknown, most: number): value is string {
  return typeof value === 'string' && value.length <= most && !value.includes('\0') && value.isWellFormed()
}

function hasBody(req: IncomingMessage): boolean {
  return req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0
}

function refuse(problem: Problem): { readonly ok: false; readonly problem: Problem } {
  return { ok: false, problem }
}

const NO_JSON_TYPE: Problem = {
  status: 415,
  code: 'unsupported_media_type',
  detail: 'Send the body as application/json in UTF-8.',
  headers: { Accept: 'application/json' },
}
