import type { IncomingMessage } from 'node:http'
import type { ErrorObject, ValidateFunction } from 'ajv/dist/2020.js'
import type { Lift } from '../../engine/operator.ts'
import { messageOf } from '../../engine/values/messages.ts'
import { escapeSegment } from '../../engine/values/pointer.ts'
import { newAjv } from '../../engine/values/violations.ts'
import { JSON_TYPE, readPlain } from '../../http/body.ts'
import { readOpenapiFile } from '../../http/openapi-file.ts'
import type { Problem } from '../../http/problem.ts'
import type { SettableState } from '../causes.ts'
import type { LetterSort } from '../ports.ts'
import type { RedriveTarget } from '../redrive-ports.ts'

/**
 * The bodies that operators send, as TypeScript sees them, by the names of their schemas in `schemas/openapi.json`. That document alone
 * decides what is accepted.
 */
export interface Bodies {
  readonly CheckRequest: {
    readonly q: string
    readonly limit?: number
    readonly sort?: LetterSort
    readonly cursor?: string
  }
  readonly ReplayRequest: {
    readonly q: string
    readonly dry_run?: boolean
    readonly to?: RedriveTarget
    readonly rate?: number
    readonly limit?: number
    readonly only_passing?: boolean
    readonly edit?: string
    readonly canary?: number
    readonly max_failures?: number
    readonly yield_above?: number
    readonly because?: string
  }
  readonly DiscardRequest: { readonly q: string; readonly because: string; readonly dry_run?: boolean }
  readonly RestoreRequest: { readonly action: string; readonly because?: string }
  readonly CauseChange: {
    readonly state?: SettableState
    readonly snooze_seconds?: number
    readonly snooze_more?: number
    readonly owner?: string
    readonly note?: string
    readonly because?: string
  }
  readonly SteerRequest: { readonly because?: string }
  readonly ResumeReplayRequest: {
    readonly rate?: number
    readonly max_failures?: number
    readonly yield_above?: number
    readonly because?: string
  }
  readonly PauseRequest: { readonly partition?: number; readonly because: string }
  readonly ResumeRequest: { readonly partition?: number; readonly lift?: Lift; readonly because: string }
  readonly AutomaticRedriveRequest: { readonly on: boolean; readonly because?: string }
}
export type BodyName = keyof Bodies

export type JsonBody<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem }

interface ObjectSchema {
  readonly required?: readonly string[]
  readonly properties: Readonly<Record<string, object>>
}

interface BodyRules {
  readonly schema: ObjectSchema
  readonly check: ValidateFunction
}

const MAX_ERRORS = 10
/** Maximum length of a member's name that an error repeats. */
const MAX_NAME = 64
/** The pattern of a text that must not be blank, which reads badly as it stands. */
const NOT_BLANK = '\\S'

/**
 * Reads a JSON object and validates it by its schema in the OpenAPI document, which allows no other members: a misspelt one is
 * reported. An optional member may also be null. A request without a body counts as an object without members.
 * Rejects when the client disconnects before the end of the body.
 */
export async function readJson<N extends BodyName>(
  req: IncomingMessage,
  name: N,
  maxBytes: number,
): Promise<JsonBody<Bodies[N]>> {
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
  return validate(data, name)
}

function validate<N extends BodyName>(data: object, name: N): JsonBody<Bodies[N]> {
  const { schema, check } = rulesOf(name)
  const { required = [], properties } = schema
  const value = Object.fromEntries(
    Object.entries(data).filter(
      ([member, given]) => given !== null || required.includes(member) || !Object.hasOwn(properties, member),
    ),
  )
  if (check(value)) return { ok: true, value: value as Bodies[N] }
  const errors = (check.errors ?? []).slice(0, MAX_ERRORS).map(error => toError(error, Object.keys(properties)))
  return refuse({ status: 400, code: 'bad_body', detail: 'Members of the body cannot be used.', errors })
}

function toError(error: ErrorObject, known: readonly string[]): { readonly pointer: string; readonly message: string } {
  const { keyword, params, instancePath } = error
  const at = (member: unknown) => `${instancePath}/${escapeSegment(String(member).slice(0, MAX_NAME))}`
  if (keyword === 'required') return { pointer: at(params.missingProperty), message: 'is missing' }
  if (keyword === 'additionalProperties') {
    return { pointer: at(params.additionalProperty), message: `is not known here; there are ${known.join(', ')}` }
  }
  const isBlank = keyword === 'pattern' && params.pattern === NOT_BLANK
  return { pointer: instancePath, message: isBlank ? 'must not be blank' : messageOf(error) }
}

let compile: ((name: BodyName) => BodyRules) | undefined
const compiled = new Map<BodyName, BodyRules>()

/** Compiled when a body of that name comes for the first time. */
function rulesOf(name: BodyName): BodyRules {
  compile ??= createCompiler()
  const rules = compiled.get(name) ?? compile(name)
  compiled.set(name, rules)
  return rules
}

function createCompiler(): (name: BodyName) => BodyRules {
  const { components } = readOpenapiFile()
  const ajv = newAjv({ allErrors: true, ownProperties: true })
  ajv.addVocabulary(['components'])
  ajv.addSchema({ $id: 'openapi', components })
  return name => {
    const check = ajv.getSchema(`openapi#/components/schemas/${name}`)
    if (check === undefined) throw new Error(`schemas/openapi.json has no schema ${name}`)
    return { schema: components.schemas[name] as ObjectSchema, check }
  }
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
