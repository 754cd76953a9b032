import type { JsonSchema } from '../engine/definition.ts'
import { withArticle } from '../engine/http-names.ts'
import type { ReadStream } from '../read/http/stream-reading.ts'

/** What a schema of this stream is called among the document's components: `Returns`. */
export function componentName(stream: string): string {
  return stream.replace(/(?:^|[^A-Za-z0-9]+)([A-Za-z0-9]?)/g, (_, letter: string) => letter.toUpperCase())
}

/** Schemas of a stream's values, pages and receipts. */
export function schemasOf(stream: ReadStream): Readonly<Record<string, object>> {
  const name = componentName(stream.name)
  const { many, keyField } = stream.http
  return {
    [name]: embedded(stream.schema, name),
    [`${name}Page`]: {
      type: 'object',
      required: [many, 'next'],
      properties: {
        [many]: { type: 'array', items: reference(name) },
        next: { type: ['string', 'null'], description: '`cursor` of the next page; null: this is the last.' },
      },
    },
    [`${name}Receipt`]: {
      type: 'object',
      required: [keyField, 'status', 'topic', 'partition', 'offset'],
      properties: {
        [keyField]: { type: 'string' },
        status: { enum: ['stored', 'accepted'] },
        topic: { type: 'string' },
        partition: { type: 'integer' },
        offset: { type: 'string', pattern: '^[0-9]+$' },
      },
    },
  }
}

/** Paths of a stream that the document's file does not describe. */
export function pathsOf(stream: ReadStream): Readonly<Record<string, object>> {
  const { http, queries } = stream
  const paths: Record<string, object> = {
    [http.create]: { post: createOperation(stream) },
    [http.live]: { get: liveOperation(stream) },
  }
  if (queries.list !== undefined) paths[http.list] = { get: listOperation(stream, queries.list.by) }
  for (const [index, path] of http.paths.entries()) {
    paths[path.replace(/:(\w+)/, '{$1}')] = { get: valueOperation(stream, path, index) }
  }
  return paths
}

function valueOperation(stream: ReadStream, path: string, index: number): object {
  const { one } = stream.http
  const parameter = /:(\w+)/.exec(path)?.[1] ?? 'key'
  return operation(stream, `get${index === 0 ? '' : index + 1}`, `One ${one}`, {
    parameters: [
      { name: parameter, in: 'path', required: true, schema: { type: 'string' } },
      { name: 'If-None-Match', in: 'header', schema: { type: 'string' } },
    ],
    responses: {
      200: {
        description: `The ${one}, as it was sent.`,
        headers: { ETag: header, 'Cache-Control': header, 'Cache-Status': header },
        ...json(reference(componentName(stream.name))),
      },
      304: { description: 'The copy named by `If-None-Match` is the newest.', headers: { ETag: header } },
      400: shared('BadRequest'),
      404: { description: `There is no such ${one}.`, ...PROBLEM },
      503: shared('StoreAway'),
    },
  })
}

function listOperation(stream: ReadStream, by: readonly string[]): object {
  const date = { type: 'string', format: 'date-time' }
  const parameters = [
    ...by.map(name => ({ name, schema: { type: 'string', maxLength: 1024 } })),
    { name: 'from', schema: date, description: 'The earliest date that belongs to the list.' },
    { name: 'to', schema: date, description: 'The date before which the list ends.' },
    { name: 'limit', schema: { type: 'integer', minimum: 1, maximum: 100, default: 20 } },
    { name: 'cursor', schema: { type: 'string', maxLength: 512 }, description: '`next` of the page before.' },
  ]
  return operation(stream, 'list', 'Newest first', {
    parameters: parameters.map(parameter => ({ in: 'query', ...parameter })),
    responses: {
      200: { description: 'A page.', ...json(reference(`${componentName(stream.name)}Page`)) },
      400: shared('BadRequest'),
      503: shared('StoreAway'),
    },
  })
}

function liveOperation(stream: ReadStream): object {
  const { one } = stream.http
  return operation(stream, 'watch', 'What is stored, as it is stored', {
    description: `Server-sent events: \`${one}\`, its key; \`more\`, how many were stored besides those shown. Role read.`,
    responses: {
      200: {
        description: 'Events, until either side goes away.',
        content: { 'text/event-stream; charset=utf-8': { schema: { type: 'string' } } },
      },
      503: { description: 'As many watch as this process serves.', headers: { 'Retry-After': header }, ...PROBLEM },
    },
  })
}

function createOperation(stream: ReadStream): object {
  const { one, fileField } = stream.http
  const receipt = json(reference(`${componentName(stream.name)}Receipt`))
  const file = { type: 'string', contentMediaType: 'application/json' }
  const problem = (description: string) => ({ description, ...PROBLEM })
  return operation(stream, 'create', `Send ${withArticle(one)} in`, {
    description: `Validated like a record, published to the topic \`${stream.topic}\`, and stored like every other. Role write.`,
    parameters: [
      { name: 'Prefer', in: 'header', schema: { type: 'string' }, description: '`respond-async`: do not wait.' },
    ],
    requestBody: {
      required: true,
      content: {
        ...json(reference(componentName(stream.name))).content,
        'multipart/form-data': {
          schema: { type: 'object', required: [fileField], properties: { [fileField]: file } },
        },
      },
    },
    responses: {
      201: { description: 'Stored.', headers: { Location: header }, ...receipt },
      202: { description: 'Published, and not stored yet: it will be.', headers: { Location: header }, ...receipt },
      400: problem('The form could not be read, or holds no file, or several.'),
      409: { ...problem('Published, and a newer version is stored.'), headers: { Location: header } },
      413: problem('Too many bytes.'),
      415: { ...problem('Neither JSON nor a form.'), headers: { Accept: header } },
      422: problem(
        'Not valid, and not published (`errors` names the rules); or published, and set aside as a dead letter.',
      ),
      503: { ...problem('Kafka did not confirm it. Sending it again is safe.'), headers: { 'Retry-After': header } },
    },
  })
}

/** @param what distinguishes the operation among those of the stream */
function operation(
  stream: ReadStream,
  what: string,
  summary: string,
  rest: { readonly responses: object; readonly [member: string]: unknown },
): object {
  return {
    tags: [stream.name],
    operationId: `${what}${componentName(stream.name)}`,
    summary,
    description: 'Role read.',
    ...rest,
    responses: {
      ...rest.responses,
      401: shared('KeyRequired'),
      403: shared('Forbidden'),
      421: shared('HostNotAllowed'),
      429: shared('TooManyRequests'),
      default: shared('InternalError'),
    },
  }
}

const header = { required: false, schema: { type: 'string' } }
const PROBLEM = { content: { 'application/problem+json': { schema: reference('Problem') } } }

function json(schema: object): { readonly content: Readonly<Record<string, object>> } {
  return { content: { 'application/json': { schema } } }
}

function reference(name: string): { readonly $ref: string } {
  return { $ref: `#/components/schemas/${name}` }
}

function shared(name: string): { readonly $ref: string } {
  return { $ref: `#/components/responses/${name}` }
}

/** A schema as a part of the document: references within it lead to where it stands now. */
function embedded(schema: JsonSchema, name: string): object {
  const { $schema: _dialect, $id: _name, ...rest } = schema
  return moved(rest) as object

  function moved(part: unknown): unknown {
    if (Array.isArray(part)) return part.map(moved)
    if (typeof part !== 'object' || part === null) return part
    return Object.fromEntries(
      Object.entries(part).map(([key, value]) =>
        key === '$ref' && typeof value === 'string' && value.startsWith('#')
          ? [key, `#/components/schemas/${name}${value.slice(1)}`]
          : [key, moved(value)],
      ),
    )
  }
}
