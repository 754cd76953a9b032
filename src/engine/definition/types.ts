import type { Column } from '../value-sql.ts'
import type { SchemaNode } from './schema.ts'

/** The type of a column, as a parameter of a statement and as the migration writes it. */
export interface SqlType {
  readonly type: Column['type']
  /** As `numeric(12,2)`. */
  readonly ddl: string
  /** Digits in all, and behind the point, of a numeric column that limits them. */
  readonly digits?: { readonly precision: number; readonly scale: number }
}

const NAMES: Readonly<Record<string, SqlType>> = {
  text: { type: 'text', ddl: 'text' },
  bigint: { type: 'int8', ddl: 'bigint' },
  int8: { type: 'int8', ddl: 'bigint' },
  integer: { type: 'int4', ddl: 'integer' },
  int4: { type: 'int4', ddl: 'integer' },
  boolean: { type: 'bool', ddl: 'boolean' },
  bool: { type: 'bool', ddl: 'boolean' },
  'double precision': { type: 'float8', ddl: 'double precision' },
  float8: { type: 'float8', ddl: 'double precision' },
  numeric: { type: 'numeric', ddl: 'numeric' },
  date: { type: 'date', ddl: 'date' },
  timestamptz: { type: 'timestamptz', ddl: 'timestamptz' },
  uuid: { type: 'uuid', ddl: 'uuid' },
  jsonb: { type: 'jsonb', ddl: 'jsonb' },
}

export const TYPE_NAMES =
  'text, bigint, integer, boolean, double precision, numeric, numeric(p,s), date, timestamptz, uuid, jsonb'

const NUMERIC = /^numeric\s*\(\s*(\d{1,3})\s*(?:,\s*(\d{1,3})\s*)?\)$/

/** @returns `undefined` for a type that columns of a stream cannot have */
export function parseType(text: string): SqlType | undefined {
  const name = text.trim().toLowerCase().replace(/\s+/g, ' ')
  if (Object.hasOwn(NAMES, name)) return NAMES[name]
  const [, precision, scale = '0'] = NUMERIC.exec(name) ?? []
  if (precision === undefined) return undefined
  const digits = { precision: Number(precision), scale: Number(scale) }
  if (digits.precision < 1 || digits.precision > 1000 || digits.scale > digits.precision) return undefined
  return { type: 'numeric', ddl: `numeric(${digits.precision},${digits.scale})`, digits }
}

/** The type that the schema of a place gives. @returns `undefined` when it allows several types of JSON, or names none */
export function typeOfNode(node: SchemaNode): SqlType | undefined {
  switch (jsonType(node)) {
    case 'string':
      if (node.schema.format === 'date-time') return NAMES.timestamptz
      return node.schema.format === 'date' ? NAMES.date : NAMES.text
    case 'integer':
      return NAMES.bigint
    case 'number':
      return NAMES.float8
    case 'boolean':
      return NAMES.boolean
    case 'object':
    case 'array':
      return NAMES.jsonb
  }
  return undefined
}

/** The types of JSON that a column can hold and give back exactly; jsonb can hold all. */
const HOLDS: Readonly<Record<Exclude<Column['type'], 'jsonb'>, (node: SchemaNode) => boolean>> = {
  text: node => jsonType(node) === 'string',
  int8: node => jsonType(node) === 'integer',
  int4: node => jsonType(node) === 'integer',
  float8: node => jsonType(node) === 'integer' || jsonType(node) === 'number',
  numeric: node => jsonType(node) === 'integer' || jsonType(node) === 'number',
  bool: node => jsonType(node) === 'boolean',
  date: node => jsonType(node) === 'string' && node.schema.format === 'date',
  timestamptz: node => jsonType(node) === 'string' && node.schema.format === 'date-time',
  uuid: node => jsonType(node) === 'string' && node.schema.format === 'uuid',
}

export function canHold({ type }: SqlType, node: SchemaNode): boolean {
  return type === 'jsonb' || HOLDS[type](node)
}

function jsonType({ types }: SchemaNode): string | undefined {
  if (types.length === 2 && types.includes('integer') && types.includes('number')) return 'number'
  return types.length === 1 ? types[0] : undefined
}
