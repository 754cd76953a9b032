import type { JsonSchema } from '../definition.ts'
import { isSchema } from './refs.ts'

/**
 * What is known of a place by its `type`, `properties` and `items`: enough to copy, mask and store its value. What else the schema
 * demands is only for the validator.
 */
export type Shape =
  | TextShape
  | {
      readonly kind: 'integer' | 'number'
      readonly nullable: boolean
      readonly minimum?: number
      readonly maximum?: number
    }
  | { readonly kind: 'boolean'; readonly nullable: boolean }
  | ObjectShape
  | { readonly kind: 'array'; readonly nullable: boolean; readonly entries: Shape }
  /** Any JSON: kept whole. Also a place with several types. */
  | { readonly kind: 'any'; readonly nullable: true }

export interface TextShape {
  readonly kind: 'string'
  readonly nullable: boolean
  readonly format?: string
  readonly pattern?: RegExp
  /** The only values, of `enum` or `const`. */
  readonly values?: readonly unknown[]
}

export interface ObjectShape {
  readonly kind: 'object'
  readonly nullable: boolean
  /** Known fields, in the order of the schema. */
  readonly members: ReadonlyMap<string, Member>
  /** Fields of any other name. Absent: they are unknown, and are dropped. */
  readonly others?: Shape
}

export interface Member {
  readonly shape: Shape
  readonly required: boolean
}

export const ANY: Shape = { kind: 'any', nullable: true }

/** @param schema without `$ref`s (`withoutRefs`) and without problems (`schemaProblems`) */
export function shapeOf(schema: unknown): Shape {
  if (!isSchema(schema)) return ANY
  const types = typesOf(schema)
  const nullable = types.includes('null')
  const [kind, ...more] = types.filter(type => type !== 'null')
  if (kind === undefined || more.length > 0) return ANY
  switch (kind) {
    case 'string':
      return textShape(schema, nullable)
    case 'integer':
    case 'number': {
      const { minimum, maximum } = schema
      return {
        kind,
        nullable,
        ...(typeof minimum === 'number' && { minimum }),
        ...(typeof maximum === 'number' && { maximum }),
      }
    }
    case 'boolean':
      return { kind, nullable }
    case 'array':
      return { kind, nullable, entries: shapeOf(schema.items) }
    case 'object':
      return objectShape(schema, nullable)
    default:
      return ANY
  }
}

function textShape({ format, pattern, const: only, enum: some }: JsonSchema, nullable: boolean): TextShape {
  return {
    kind: 'string',
    nullable,
    ...(typeof format === 'string' && { format }),
    ...(typeof pattern === 'string' && { pattern: new RegExp(pattern, 'u') }),
    ...(Array.isArray(some) ? { values: some } : only !== undefined && { values: [only] }),
  }
}

function objectShape({ properties, required, additionalProperties }: JsonSchema, nullable: boolean): ObjectShape {
  const names = Array.isArray(required) ? required : []
  const members = Object.entries(isSchema(properties) ? properties : {})
    // A field that must not be there is not known.
    .filter(([, inner]) => inner !== false)
    .map(([name, inner]): [string, Member] => [name, { shape: shapeOf(inner), required: names.includes(name) }])
  const others = isSchema(additionalProperties)
    ? shapeOf(additionalProperties)
    : members.length === 0 && additionalProperties !== false
      ? ANY
      : undefined
  return { kind: 'object', nullable, members: new Map(members), ...(others !== undefined && { others }) }
}

/** The types of a place; without `type`, those of its `enum` or `const`; else none. `number` holds the integers. */
export function typesOf({ type, const: only, enum: some }: JsonSchema): readonly string[] {
  const types =
    type !== undefined
      ? [type].flat().map(String)
      : (Array.isArray(some) ? some : only === undefined ? [] : [only]).map(typeOfValue)
  const found = new Set(types)
  if (found.has('number')) found.delete('integer')
  return [...found]
}

function typeOfValue(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return typeof value === 'number' ? (Number.isInteger(value) ? 'integer' : 'number') : typeof value
}

/** Whether a place of this kind is anywhere in the shape. */
export function holds(shape: Shape, isIt: (inner: Shape) => boolean): boolean {
  if (isIt(shape)) return true
  if (shape.kind === 'array') return holds(shape.entries, isIt)
  if (shape.kind !== 'object') return false
  if (shape.others !== undefined && holds(shape.others, isIt)) return true
  return [...shape.members.values()].some(member => holds(member.shape, isIt))
}
