import { _ } from 'ajv'
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import type { Violation } from '../dead-letter.ts'
import type { JsonSchema } from '../definition.ts'
import { FORMATS } from './formats.ts'
import { messageOf, NOT_NAMED } from './messages.ts'
import { isMultipleOf } from './numbers.ts'
import { escapeSegment, segmentsOf } from './pointer.ts'
import { isSchema, SUBSCHEMAS } from './refs.ts'
import { holds, type Shape } from './shape.ts'
import { TEXT_PATTERN } from './text.ts'

/** Further violations add no information, and to build a hundred thousand of them would let a record exhaust the process. */
export const MAX_VIOLATIONS = 10

export interface SchemaRules {
  /**
   * Accepts only what is valid, provided that its text has no suspicious escapes; may refuse what is valid. It counts UTF-16 units
   * instead of characters (never fewer) where that is safe, and leaves out the pattern that all texts must match.
   */
  readonly accepts: (data: unknown) => boolean
  /** Every violation in the order of the schema, at most ten, those within an array's entries after those outside. None: it is valid. */
  readonly explain: (data: unknown) => Violation[]
}

/**
 * Compiles a schema: once, when the process starts (some 100 ms of CPU).
 * @param schema without `$ref`s (`withoutRefs`)
 * @throws Error of ajv when it cannot be compiled; `schemaProblems` has reported that
 */
export function compileRules(schema: JsonSchema, shape: Shape): SchemaRules {
  const ownProperties = namesOfPrototype(shape)
  const quick = newAjv({ ownProperties, unicode: !countsUnitsSafely(schema) })
  const accepts = quick.compile(withoutTextPattern(schema))
  const piece = pieceOf(schema, newAjv({ ownProperties, allErrors: true }))
  const hasOthers = holds(shape, inner => inner.kind === 'object' && inner.others !== undefined)
  return {
    accepts: data => accepts(data),
    explain(data) {
      const violations = explain(piece, data, '')
      return hasOthers
        ? violations.map(found => ({ ...found, pointer: withoutNames(found.pointer, shape) }))
        : violations
    },
  }
}

export function newAjv(options: {
  readonly unicode?: boolean
  readonly allErrors?: boolean
  readonly ownProperties?: boolean
}): Ajv2020 {
  const ajv = new Ajv2020({
    ...options,
    // It would print that `unicode: false` is deprecated. Nothing else is lost: strict mode throws.
    logger: false,
    strict: true,
    // `schemaProblems` has held the schema against the meta-schema, which takes 100 ms to compile.
    validateSchema: false,
    // Types may stand in another branch, or beside a list of alternatives.
    strictTypes: false,
    strictRequired: false,
    allowUnionTypes: true,
    formats: Object.fromEntries(FORMATS),
  })
  // Its own rule divides doubles, and refuses 19.99 as a multiple of 0.01.
  ajv.removeKeyword('multipleOf')
  ajv.addKeyword({
    ...{ keyword: 'multipleOf', type: 'number', schemaType: 'number', errors: false },
    validate: (divisor: number, value: number) => isMultipleOf(value, divisor),
    error: { message: 'must be a multiple', params: ({ schema }) => _`{multipleOf: ${schema}}` },
  })
  return ajv
}

/**
 * A schema without what the entries of its arrays and the fields of any name hold, and those parts, each judged alone: so that the work
 * ends soon after the tenth violation of a hundred thousand.
 */
interface Piece {
  readonly check: ValidateFunction
  readonly parts: readonly Part[]
}

interface Part {
  /** Where the array or object stands. */
  readonly path: readonly string[]
  /** Schema of its entries, or of its fields that are not declared; `undefined`: no such fields are allowed. */
  readonly piece: Piece | undefined
  /** The fields of an object that are known; `undefined` for an array. */
  readonly known: ReadonlySet<string> | undefined
}

function pieceOf(schema: JsonSchema, ajv: Ajv2020): Piece {
  const parts: Part[] = []
  function strip(node: unknown, path: readonly string[]): unknown {
    if (!isSchema(node)) return node
    const { items, properties, additionalProperties: others, ...rest } = node
    const ownItems = isSchema(items) && rest.unevaluatedItems === undefined
    const ownOthers = (isSchema(others) || others === false) && rest.unevaluatedProperties === undefined
    if (ownItems) parts.push({ path, piece: pieceOf(items, ajv), known: undefined })
    const fields = isSchema(properties) ? properties : {}
    if (ownOthers) {
      const piece = isSchema(others) ? pieceOf(others, ajv) : undefined
      parts.push({ path, piece, known: new Set(Object.keys(fields)) })
    }
    return {
      ...rest,
      ...(!ownItems && items !== undefined && { items }),
      ...(!ownOthers && others !== undefined && { additionalProperties: others }),
      ...(isSchema(properties) && {
        properties: Object.fromEntries(
          arraysLast(fields).map(([name, inner]) => [name, strip(inner, [...path, name])]),
        ),
      }),
    }
  }
  // The identity would be known already from the quick one's schema, or from another piece.
  const { $id: _, ...stripped } = strip(schema, []) as JsonSchema
  return { check: ajv.compile(stripped), parts }
}

/** The fields of one value lead: an array's own violations come last, next to those of its entries. */
function arraysLast(properties: JsonSchema): [name: string, schema: unknown][] {
  const isArray = (schema: unknown) => isSchema(schema) && schema.items !== undefined
  const fields = Object.entries(properties)
  return [...fields.filter(([, schema]) => !isArray(schema)), ...fields.filter(([, schema]) => isArray(schema))]
}

function explain({ check, parts }: Piece, data: unknown, base: string): Violation[] {
  const violations = violationsOf(check, data, base)
  for (const { path, piece, known } of parts) {
    const whole = path.reduce<unknown>(
      (at, name) => (isContainer(at) && Object.hasOwn(at, name) ? at[name] : undefined),
      data,
    )
    const pointer = base + path.map(name => `/${escapeSegment(name)}`).join('')
    if (!isContainer(whole) || Array.isArray(whole) !== (known === undefined)) continue
    for (const [name, entry] of Array.isArray(whole) ? whole.entries() : Object.entries(whole)) {
      if (violations.length >= MAX_VIOLATIONS) break
      if (known?.has(String(name))) continue
      if (piece === undefined) {
        // Once: the names of the fields are data, and are not quoted.
        violations.push({ pointer, keyword: 'additionalProperties', message: NOT_NAMED })
        break
      }
      violations.push(...explain(piece, entry, `${pointer}/${escapeSegment(String(name))}`))
    }
  }
  return violations.slice(0, MAX_VIOLATIONS)
}

function isContainer(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function violationsOf(check: ValidateFunction, data: unknown, base: string): Violation[] {
  if (check(data)) return []
  // `if` only repeats that its `then` has failed.
  return (check.errors ?? [])
    .filter(({ keyword }) => keyword !== 'if')
    .slice(0, MAX_VIOLATIONS)
    .map(error => toViolation(error, base))
}

function toViolation(error: ErrorObject, base: string): Violation {
  const { keyword, instancePath, params } = error
  const pointer = base + instancePath
  const message = messageOf(error)
  // The place of a missing field is where it should be.
  if (keyword === 'required' || keyword === 'dependentRequired') {
    return { pointer: `${pointer}/${escapeSegment(String(params.missingProperty))}`, keyword, message }
  }
  return { pointer, keyword: keyword.replaceAll(' ', '_'), message }
}

/** A pointer through fields of any name, whose names are data of the record: `*` stands for them. */
function withoutNames(pointer: string, root: Shape): string {
  let shape: Shape | undefined = root
  const segments = segmentsOf(pointer).map(segment => {
    if (shape?.kind === 'array') {
      shape = shape.entries
      return segment
    }
    if (shape?.kind !== 'object') return segment
    const member: Shape | undefined = shape.members.get(segment)?.shape
    const name = member === undefined && shape.others !== undefined ? '*' : segment
    shape = member ?? shape.others
    return name
  })
  return segments.map(segment => `/${escapeSegment(segment)}`).join('')
}

/** ajv sees a field that only the prototype has, unless it is asked to look for own ones; that costs time, and is rarely needed. */
function namesOfPrototype(shape: Shape): boolean {
  return holds(
    shape,
    inner => inner.kind === 'object' && [...inner.members.keys()].some(name => name in Object.prototype),
  )
}

function withoutTextPattern(schema: JsonSchema): JsonSchema {
  const isText = (name: string, value: unknown) => name === 'pattern' && value === TEXT_PATTERN
  return JSON.parse(JSON.stringify(schema, (name, value) => (isText(name, value) ? undefined : value)))
}

/** Where failing makes the whole valid, a count of units that is too high accepts what is not valid. */
const TURNING = new Set(['not', 'if', 'oneOf', 'contains'])

/**
 * Whether counting UTF-16 units, never fewer than characters, cannot make the schema accept more: no minimum above 1 (one unit is one
 * character), and no maximum whose failure makes something else valid.
 */
function countsUnitsSafely(schema: unknown, turned = false): boolean {
  if (Array.isArray(schema)) return schema.every(entry => countsUnitsSafely(entry, turned))
  if (!isSchema(schema)) return true
  const { minLength, maxLength } = schema
  if (typeof minLength === 'number' && minLength > 1) return false
  if (typeof maxLength === 'number' && turned) return false
  return Object.entries(schema).every(([name, inner]) => {
    const kind = SUBSCHEMAS.get(name)
    if (kind === undefined) return true
    const isTurned = turned || TURNING.has(name)
    if (kind === 'map') return Object.values(inner as object).every(each => countsUnitsSafely(each, isTurned))
    return countsUnitsSafely(inner, isTurned)
  })
}
