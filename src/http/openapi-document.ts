import type { JsonSchema } from '../engine/definition.ts'
import type { ReadStream } from '../read/http/stream-reading.ts'
import { readOpenapiFile, readSchemaFile } from './openapi-file.ts'
import { componentName, pathsOf, schemasOf } from './openapi-stream.ts'

type Operation = Readonly<Record<string, unknown>> & { readonly tags?: readonly string[] }
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>

export interface OpenapiDocument {
  readonly info: { readonly version: string }
  readonly tags: readonly { readonly name: string }[]
  readonly paths: Paths
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

/** Tags of what belongs to no stream. Any other tag is the name of the stream that it describes. */
const OF_NO_STREAM: ReadonlySet<string> = new Set(['streams', 'operators', 'pages', 'operations'])

/**
 * The document of this API for these streams: `schemas/openapi.json` without the paths of streams that are not here, and with paths
 * and schemas for those that it does not describe. The file's references to other files become parts of the document.
 */
export function openapiDocument(streams: readonly ReadStream[]): OpenapiDocument {
  const file = readOpenapiFile() as OpenapiDocument
  const written = new Set(file.tags.map(({ name }) => name).filter(name => !OF_NO_STREAM.has(name)))
  const here = new Set(streams.map(({ name }) => name))
  const made = streams.filter(({ name }) => !written.has(name))

  const isHere = (tag: string) => OF_NO_STREAM.has(tag) || here.has(tag)
  const kept = Object.entries(file.paths).filter(([, item]) =>
    Object.values(item).every(({ tags = [] }) => tags.every(isHere)),
  )
  const paths: Paths = { ...Object.fromEntries(kept), ...Object.assign({}, ...made.map(pathsOf)) }
  const schemas: Record<string, object> = {
    ...Object.fromEntries(Object.entries(file.components.schemas).map(([name, schema]) => [name, inlined(schema)])),
    ...Object.assign({}, ...made.map(schemasOf)),
  }
  const tags = [
    ...file.tags.filter(({ name }) => isHere(name)),
    ...made.map(({ name, http }) => ({
      name,
      description: `Each ${http.one} is described by the schema ${componentName(name)}.`,
    })),
  ]
  const document = { ...file, tags, paths, components: { ...file.components, schemas } }
  return kept.length === Object.keys(file.paths).length ? document : withoutUnused(document)
}

/** A schema that stands in a file of its own goes by its place in the document, and speaks the document's dialect (which is the same). */
function inlined(schema: object): object {
  const ref = '$ref' in schema ? schema.$ref : undefined
  if (typeof ref !== 'string' || !/^[a-z.-]+\.json$/.test(ref)) return schema
  const { $schema: _dialect, $id: _name, ...rest } = readSchemaFile(ref) as JsonSchema
  return rest
}

/** Leaves out the schemas that nothing refers to any more. */
function withoutUnused(document: OpenapiDocument): OpenapiDocument {
  let schemas = document.components.schemas
  for (;;) {
    const text = JSON.stringify({ ...document, components: { ...document.components, schemas } })
    const used = Object.entries(schemas).filter(([name]) => text.includes(`"#/components/schemas/${name}"`))
    if (used.length === Object.keys(schemas).length) break
    schemas = Object.fromEntries(used)
  }
  return { ...document, components: { ...document.components, schemas } }
}
