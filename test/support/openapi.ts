import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { fullFormats } from 'ajv-formats/dist/formats.js'
import { openapiDocument } from '#src/http/openapi-document.ts'
import { orderStream } from './http-parts.ts'

interface Ref {
  readonly $ref: string
}
interface Header {
  readonly required?: boolean
  readonly schema: object
}
interface ResponseSpec {
  readonly headers?: Readonly<Record<string, Header>>
  readonly content?: Readonly<Record<string, { readonly schema: object }>>
}
interface Operation {
  readonly responses: Readonly<Record<string, ResponseSpec | Ref>>
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly responses: Readonly<Record<string, ResponseSpec>> }
}

const document = openapiDocument([orderStream]) as unknown as Document
const ajv = new Ajv2020({ strict: false, formats: { 'date-time': fullFormats['date-time'], email: fullFormats.email } })
ajv.addSchema({ ...document, $id: 'openapi' })
const compiled = new Map<object, ValidateFunction>()

/** Files of the pages: served, and no part of the API. */
const FILES = /^\/(?:(?:docs|console)\/)?[A-Za-z0-9_-]+\.(?:js|css|svg|html)$|^\/admin$/

/**
 * Holds an answer against the OpenAPI document: its status, content type, headers and body.
 * @throws Error saying in what it differs
 */
export async function expectDocumented(method: string, url: URL, response: Response): Promise<void> {
  const { pathname } = url
  if (FILES.test(pathname) && pathname !== '/openapi.json') return
  const where = `${method} ${pathname} -> ${response.status}`
  const spec = specOf(method, pathname, response.status)
  if (spec === undefined) throw new Error(`${where} is not documented`)
  for (const [name, header] of Object.entries(spec.headers ?? {})) {
    const value = response.headers.get(name)
    if (value === null) {
      if (header.required) throw new Error(`${where} lacks the header ${name}`)
    } else if (!validatorOf(header.schema)(value)) throw new Error(`${where}: the header ${name} is ${value}`)
  }
  const type = response.headers.get('content-type')
  const content = Object.entries(spec.content ?? {})
  if (content.length === 0) {
    if (type !== null) throw new Error(`${where}: there should be no body, and it is ${type}`)
    return
  }
  const media = content.find(([documented]) => withoutCharset(documented) === withoutCharset(type ?? ''))?.[1]
  if (media === undefined) throw new Error(`${where}: its content type ${type} is not documented`)
  if (method === 'HEAD' || type?.includes('json') !== true || type.includes('ndjson')) return
  const validate = validatorOf(media.schema)
  if (!validate(await response.clone().json())) {
    throw new Error(`${where}: the body differs: ${ajv.errorsText(validate.errors)}`)
  }
}

function specOf(method: string, path: string, status: number): ResponseSpec | undefined {
  const item = Object.entries(document.paths).find(([template]) => matches(template, path))?.[1]
  const { responses } = document.components
  if (item === undefined) {
    // What Express cannot decode has no address at all.
    if (status === 400) return responses.BadRequest
    return status === 404 ? { content: problemContent() } : undefined
  }
  const operation = item[method === 'HEAD' ? 'get' : method.toLowerCase()]
  if (operation === undefined) return status === 405 ? responses.MethodNotAllowed : undefined
  const found = operation.responses[status] ?? (status === 500 ? operation.responses.default : undefined)
  if (found === undefined || !('$ref' in found)) return found
  return responses[found.$ref.split('/').at(-1) ?? '']
}

/** Fixed addresses come before those with a parameter in the document, as they do in the server. */
function matches(template: string, path: string): boolean {
  if (template === path) return true
  if (!template.includes('{') || path === '/orders/create' || path === '/orders/live') return false
  return new RegExp(`^${template.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(path)
}

function problemContent() {
  return { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } }
}

function validatorOf(schema: object): ValidateFunction {
  const known = compiled.get(schema)
  if (known !== undefined) return known
  const validate = ajv.compile(absolute(schema))
  compiled.set(schema, validate)
  return validate
}

/** References inside the document, made to work outside of it. */
function absolute(schema: object): object {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/components/', '"openapi#/components/'))
}

function withoutCharset(type: string): string {
  return type.replace(/; *charset=utf-8$/i, '').toLowerCase()
}
