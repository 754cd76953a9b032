import type { JsonSchema } from '../definition.ts'
import { escapeSegment } from '../values/pointer.ts'
import { isSchema, withoutRefs } from '../values/refs.ts'
import { typesOf } from '../values/shape.ts'

/** What a definition may ask of a place in its schema. */
export interface SchemaNode {
  readonly schema: JsonSchema
  /** Types without `null`; empty when the schema names none. */
  readonly types: readonly string[]
  readonly nullable: boolean
  /** Whether the value has it whenever it has its parent. */
  readonly required: boolean
}

export function pointerOf(segments: readonly string[]): string {
  return segments.map(segment => `/${escapeSegment(segment)}`).join('')
}

/** The value as a whole. @param schema one for which `schemaProblems` finds nothing */
export function rootNode(schema: JsonSchema): SchemaNode {
  return nodeOf(withoutRefs(schema).schema, true)
}

/** The field of this name. @returns `undefined` when the schema does not declare it */
export function fieldOf(node: SchemaNode, name: string): SchemaNode | undefined {
  const { properties, required } = node.schema
  // A field that must not be there (false) is not known.
  if (!isSchema(properties) || !Object.hasOwn(properties, name) || properties[name] === false) return undefined
  return nodeOf(properties[name], Array.isArray(required) && required.includes(name))
}

/** Every declared field, in the order of the schema. */
export function fieldsOf(node: SchemaNode): [name: string, node: SchemaNode][] {
  const { properties } = node.schema
  return Object.keys(isSchema(properties) ? properties : {}).flatMap(name => {
    const field = fieldOf(node, name)
    return field === undefined ? [] : [[name, field]]
  })
}

/** The entries of an array. @returns `undefined` when the schema does not say what they are */
export function entryOf({ schema: { items } }: SchemaNode): SchemaNode | undefined {
  return isSchema(items) ? nodeOf(items, true) : undefined
}

export function isScalar({ types }: SchemaNode): boolean {
  return types.length > 0 && !types.includes('object') && !types.includes('array')
}

function nodeOf(value: unknown, required: boolean): SchemaNode {
  const schema = isSchema(value) ? value : {}
  const types = typesOf(schema)
  // A place without any type takes every value of JSON, null included.
  const nullable = types.length === 0 || types.includes('null')
  return { schema, types: types.filter(type => type !== 'null'), nullable, required }
}
