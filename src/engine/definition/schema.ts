import type { JsonSchema } from '../definition.ts'

/** What a definition may ask of a place in its schema. */
export interface SchemaNode {
  /** The schema of the place, its `$ref`s followed. */
  readonly schema: JsonSchema
  /** Where it stands in the document, as a URI fragment: `#/properties/address`. */
  readonly at: string
  /** Types without `null`; empty when the schema names none. */
  readonly types: readonly string[]
  readonly nullable: boolean
  /** Whether the value has it whenever it has its parent. */
  readonly required: boolean
}

/** A mistake in the schema itself. The message names the place. */
export class SchemaMistake extends Error {}

/** RFC 6901. `''` has no segments. */
export function segmentsOf(pointer: string): string[] {
  if (pointer === '') return []
  return pointer
    .slice(1)
    .split('/')
    .map(segment => segment.replaceAll('~1', '/').replaceAll('~0', '~'))
}

export function pointerOf(segments: readonly string[]): string {
  return segments.map(segment => `/${segment.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

export function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** @throws SchemaMistake when a `$ref` on the way leads nowhere, in a circle, or out of the document */
export function rootNode(root: JsonSchema): SchemaNode {
  return nodeOf(root, root, '#', true)
}

/** The field of this name. @returns `undefined` when the schema does not declare it @throws as {@link rootNode} */
export function fieldOf(root: JsonSchema, node: SchemaNode, name: string): SchemaNode | undefined {
  const { properties, required } = node.schema
  if (!isSchema(properties) || !Object.hasOwn(properties, name)) return undefined
  const isRequired = Array.isArray(required) && required.includes(name)
  return nodeOf(root, properties[name], `${node.at}/properties${pointerOf([name])}`, isRequired)
}

/** Every declared field, in the order of the schema. @throws as {@link rootNode} */
export function fieldsOf(root: JsonSchema, node: SchemaNode): [name: string, node: SchemaNode][] {
  const { properties } = node.schema
  return Object.keys(isSchema(properties) ? properties : {}).flatMap(name => {
    const field = fieldOf(root, node, name)
    return field === undefined ? [] : [[name, field]]
  })
}

/** The entries of an array. @returns `undefined` when the schema does not say what they are @throws as {@link rootNode} */
export function entryOf(root: JsonSchema, node: SchemaNode): SchemaNode | undefined {
  const { items } = node.schema
  return isSchema(items) ? nodeOf(root, items, `${node.at}/items`, true) : undefined
}

export function isScalar(node: SchemaNode): boolean {
  return node.types.length > 0 && !node.types.includes('object') && !node.types.includes('array')
}

function nodeOf(root: JsonSchema, value: unknown, at: string, required: boolean): SchemaNode {
  const { schema, at: place } = follow(root, value, at)
  const types = schema.type === undefined ? typesOfValues(schema) : [schema.type].flat().map(String)
  return {
    schema,
    at: place,
    types: types.filter(type => type !== 'null'),
    // A place without any type takes every value of JSON, null included.
    nullable: types.length === 0 || types.includes('null'),
    required,
  }
}

/** Of a schema without `type`: those of its `const` or `enum`. */
function typesOfValues({ const: only, enum: some }: JsonSchema): string[] {
  const values = Array.isArray(some) ? some : only === undefined ? [] : [only]
  return [...new Set(values.map(typeOf))]
}

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return typeof value === 'number' ? (Number.isInteger(value) ? 'integer' : 'number') : typeof value
}

/** What stands beside a `$ref` counts as well (2020-12), and goes before what it leads to. */
function follow(root: JsonSchema, value: unknown, at: string): { readonly schema: JsonSchema; readonly at: string } {
  let schema = toSchema(value, at)
  let place = at
  const seen = new Set<unknown>()
  while (schema.$ref !== undefined) {
    const { $ref, ...beside } = schema
    if (seen.has($ref)) throw new SchemaMistake(`${at}: its $ref ${quoted($ref)} leads in a circle`)
    seen.add($ref)
    const target = resolve(root, $ref, place)
    schema = { ...target, ...beside }
    place = String($ref)
  }
  return { schema, at: place }
}

function toSchema(value: unknown, at: string): JsonSchema {
  if (isSchema(value)) return value
  if (value === true) return {}
  throw new SchemaMistake(`${at}: ${value === false ? 'no value is valid here (false)' : 'there is no schema here'}`)
}

/** @throws SchemaMistake unless it leads to a schema of this document */
export function resolve(root: JsonSchema, ref: unknown, at: string): JsonSchema {
  if (typeof ref !== 'string' || !(ref === '#' || ref.startsWith('#/'))) {
    throw new SchemaMistake(
      `${at}: its $ref ${quoted(ref)} does not lead to a place of this document; write it as "#/$defs/name" and put the schema there`,
    )
  }
  let found: unknown = root
  for (const segment of segmentsOf(decodeURIComponent(ref.slice(1)))) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, segment)) {
      throw new SchemaMistake(`${at}: its $ref ${quoted(ref)} leads nowhere`)
    }
    found = (found as Record<string, unknown>)[segment]
  }
  return toSchema(found, ref)
}

function quoted(value: unknown): string {
  return JSON.stringify(value) ?? String(value)
}
