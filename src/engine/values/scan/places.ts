import type { JsonSchema } from '../../definition.ts'
import { FORMATS } from '../formats.ts'
import { numberColumn } from '../numbers.ts'
import { escapeSegment } from '../pointer.ts'
import { ANNOTATIONS, isSchema } from '../refs.ts'
import { typesOf } from '../shape.ts'
import { TEXT_PATTERN } from '../text.ts'

/** A place of a value with its two cells in the frame that it belongs to, and what the schema demands there. */
export type Place = TextPlace | NumberPlace | BooleanPlace | ObjectPlace | ArrayPlace

interface AnyPlace {
  readonly cell: number
  readonly nullable: boolean
}

export interface TextPlace extends AnyPlace {
  readonly kind: 'string'
  readonly rules: TextRules
  /** Kept as a number as well, and an instant in its canonical form. */
  readonly format: 'date-time' | 'date' | undefined
  /** A column of the type `uuid` holds it, which gives it back in lower case. */
  readonly isLowerCase: boolean
}

export interface TextRules {
  /** In characters. */
  readonly minimum: number
  readonly maximum: number
  readonly pattern: string | undefined
  readonly format: string | undefined
  /** The only ones. */
  readonly values: readonly string[] | undefined
  readonly when: { readonly if: TextRules; readonly then: TextRules; readonly else: TextRules } | undefined
}

export interface NumberPlace extends AnyPlace {
  readonly kind: 'integer' | 'number'
  readonly minimum: number
  readonly maximum: number
  readonly above: number
  readonly below: number
  /** How many digits its columns hold before and behind the point. */
  readonly digits: { readonly whole: number; readonly scale: number } | undefined
  readonly values: readonly number[] | undefined
}

export interface BooleanPlace extends AnyPlace {
  readonly kind: 'boolean'
  readonly values: readonly boolean[] | undefined
}

export interface ObjectPlace extends AnyPlace {
  readonly kind: 'object'
  /** Whether it may have fields that the schema does not name. */
  readonly isOpen: boolean
  /** In the order of the schema. Their cells are in the object's own frame. */
  readonly members: readonly PlaceMember[]
}

export interface PlaceMember {
  readonly name: string
  readonly required: boolean
  readonly place: Place
}

export interface ArrayPlace extends AnyPlace {
  readonly kind: 'array'
  readonly minimum: number
  readonly maximum: number
  /** Its cells are in a frame of `cells` cells, one for each entry. */
  readonly entries: Place
  readonly cells: number
}

export interface Layout {
  readonly root: ObjectPlace
  /** Number of cells of the root's frame. */
  readonly cells: number
}

/** SQL types of the columns that hold a place, by its pointer; the entries of an array stand under `*`. */
export type PlaceColumns = ReadonlyMap<string, readonly string[]>

/** The first cell of a frame is no place's. */
const FIRST_CELL = 1

/** Keywords that judge nothing. */
const WITHOUT_JUDGEMENT = ['$schema', '$id', 'contentEncoding', 'contentMediaType', ...ANNOTATIONS]
const KEYWORDS = {
  string: ['type', 'enum', 'const', 'minLength', 'maxLength', 'pattern', 'format', 'if', 'then', 'else'],
  number: ['type', 'enum', 'const', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  boolean: ['type', 'enum', 'const'],
  object: ['type', 'properties', 'required', 'additionalProperties'],
  array: ['type', 'items', 'minItems', 'maxItems'],
} as const

/** Something in a schema that no scan is made for. */
class Unsupported extends Error {}

/**
 * Lays out the frames for the values of a schema.
 * @param schema without `$ref`s (`withoutRefs`) and without problems (`schemaProblems`)
 * @returns a sentence about the first place that only ajv can judge, where there is one
 */
export function layOut(schema: JsonSchema, columns: PlaceColumns): Layout | string {
  try {
    const frame = new Frame()
    const root = placeOf(schema, '', frame, columns) as ObjectPlace
    return { root, cells: frame.cells }
  } catch (error) {
    if (error instanceof Unsupported) return error.message
    throw error
  }
}

class Frame {
  cells = FIRST_CELL
  take(): number {
    const cell = this.cells
    this.cells += 2
    return cell
  }
}

function placeOf(schema: unknown, at: string, frame: Frame, columns: PlaceColumns): Place {
  if (!isSchema(schema)) throw unsupported(at, 'takes any value, or none')
  const types = typesOf(schema)
  const [kind, ...more] = types.filter(type => type !== 'null')
  if (kind === undefined || more.length > 0) throw unsupported(at, 'takes values of several types')
  const values = valuesOf(schema, at)
  const cell = frame.take()
  const nullable = types.includes('null') && (values === undefined || values.includes(null))
  const held = columns.get(at) ?? []
  switch (kind) {
    case 'string': {
      const rules = textRules(schema, at)
      const format = rules.format === 'date-time' || rules.format === 'date' ? rules.format : undefined
      return { kind, cell, nullable, rules, format, isLowerCase: held.includes('uuid') }
    }
    case 'integer':
    case 'number': {
      only(schema, KEYWORDS.number, at)
      const numbers = values?.filter(value => typeof value === 'number')
      return { kind, cell, nullable, values: numbers, ...limitsOf(schema, held) }
    }
    case 'boolean':
      only(schema, KEYWORDS.boolean, at)
      return { kind, cell, nullable, values: values?.filter(value => typeof value === 'boolean') }
    case 'object':
      if (values !== undefined) throw unsupported(at, 'lists the objects that it takes')
      return { kind, cell, nullable, isOpen: schema.additionalProperties !== false, members: membersOf() }
    default:
      if (values !== undefined) throw unsupported(at, 'lists the arrays that it takes')
      return { kind: 'array', cell, nullable, ...arrayOf() }
  }

  function membersOf(): PlaceMember[] {
    const { required, additionalProperties, properties } = only(schema as JsonSchema, KEYWORDS.object, at)
    const names = Array.isArray(required) ? required.map(String) : []
    const fields = Object.entries(isSchema(properties) ? properties : {})
    const missing = names.find(name => !fields.some(([field]) => field === name))
    if (isSchema(additionalProperties) || fields.length === 0) throw unsupported(at, 'takes fields of any name')
    if (missing !== undefined) throw unsupported(at, `requires ${missing}, which it does not name`)
    return fields.map(([name, inner]) => {
      const place = `${at}/${escapeSegment(name)}`
      if (isIndex(name)) throw unsupported(place, 'has a number for a name, which JavaScript puts first')
      if (JSON.stringify(name).includes('\\')) throw unsupported(place, 'has a name with escapes')
      return { name, required: names.includes(name), place: placeOf(inner, place, frame, columns) }
    })
  }

  function arrayOf(): Pick<ArrayPlace, 'minimum' | 'maximum' | 'entries' | 'cells'> {
    const { minItems, maxItems, items } = only(schema as JsonSchema, KEYWORDS.array, at)
    const own = new Frame()
    const entries = placeOf(items, `${at}/*`, own, columns)
    return {
      minimum: numberOf(minItems, 0),
      maximum: numberOf(maxItems, Number.POSITIVE_INFINITY),
      entries,
      cells: own.cells,
    }
  }
}

function unsupported(at: string, what: string): Unsupported {
  return new Unsupported(`${at || 'the value'} ${what}`)
}

function only(schema: JsonSchema, known: readonly string[], at: string): JsonSchema {
  const other = Object.keys(schema).find(name => !known.includes(name) && !WITHOUT_JUDGEMENT.includes(name))
  if (other !== undefined) throw unsupported(at, `has the keyword ${other}`)
  return schema
}

function valuesOf({ enum: some, const: one }: JsonSchema, at: string): readonly unknown[] | undefined {
  if (some !== undefined && one !== undefined) throw unsupported(at, 'has both enum and const')
  return Array.isArray(some) ? some : one === undefined ? undefined : [one]
}

/** The limits of the schema, and those of the columns. */
function limitsOf(
  schema: JsonSchema,
  types: readonly string[],
): Pick<NumberPlace, 'minimum' | 'maximum' | 'above' | 'below' | 'digits'> {
  const held = types.flatMap(type => numberColumn(type) ?? [])
  const integers = held.filter(column => column.type === 'integer')
  const decimals = held.filter(column => column.type === 'decimal')
  return {
    minimum: Math.max(numberOf(schema.minimum, Number.NEGATIVE_INFINITY), ...integers.map(({ minimum }) => minimum)),
    maximum: Math.min(numberOf(schema.maximum, Number.POSITIVE_INFINITY), ...integers.map(({ maximum }) => maximum)),
    above: numberOf(schema.exclusiveMinimum, Number.NEGATIVE_INFINITY),
    below: numberOf(schema.exclusiveMaximum, Number.POSITIVE_INFINITY),
    digits:
      decimals.length === 0
        ? undefined
        : {
            whole: Math.min(...decimals.map(({ whole }) => whole)),
            scale: Math.min(...decimals.map(({ scale }) => scale)),
          },
  }
}

/** What the rules of a text are where the schema says nothing. */
const ANY_TEXT: TextRules = {
  minimum: 0,
  maximum: Number.POSITIVE_INFINITY,
  pattern: undefined,
  format: undefined,
  values: undefined,
  when: undefined,
}

function textRules(schema: unknown, at: string): TextRules {
  if (schema === undefined) return ANY_TEXT
  if (!isSchema(schema)) throw unsupported(at, 'takes all texts or none')
  const { type, minLength, maxLength, pattern, format, if: condition } = only(schema, KEYWORDS.string, at)
  if (type !== undefined && !typesOf(schema).includes('string')) throw unsupported(at, 'has a condition about no text')
  const rule = typeof format === 'string' ? FORMATS.get(format) : undefined
  if (typeof rule === 'object' && 'type' in rule) throw unsupported(at, 'has a format of numbers')
  return {
    minimum: numberOf(minLength, 0),
    maximum: numberOf(maxLength, Number.POSITIVE_INFINITY),
    // Every text is held against it.
    pattern: typeof pattern === 'string' && pattern !== TEXT_PATTERN ? pattern : undefined,
    format: typeof format === 'string' ? format : undefined,
    values: valuesOf(schema, at)?.filter(value => typeof value === 'string'),
    when: condition === undefined ? undefined : branchesOf(schema, at),
  }
}

function branchesOf(schema: JsonSchema, at: string): NonNullable<TextRules['when']> {
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema, in an object that is not awaited
  return { if: textRules(schema.if, at), then: textRules(schema.then, at), else: textRules(schema.else, at) }
}

/** An object gives fields of such names before all others. */
function isIndex(name: string): boolean {
  return /^(?:0|[1-9]\d*)$/.test(name)
}

function numberOf(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise
}
