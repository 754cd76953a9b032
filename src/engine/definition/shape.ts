import type { JsonSchema } from '../definition.ts'
import type { StreamPlan, TablePlan } from './plan.ts'
import { entryOf, fieldsOf, pointerOf, rootNode, type SchemaNode } from './schema.ts'

/** The values of one row, one for each column of its plan; `undefined` where there is none. */
export type RowValues = readonly unknown[]

/** A value as its rows hold it, in JSON's types. `one`: `undefined` without a row. */
export interface Rows {
  readonly key: string
  readonly root: RowValues
  /** By child table, in the order of the plan: its row, or its rows. */
  readonly children: readonly (RowValues | undefined | readonly RowValues[])[]
}

/** What an absent part becomes: left out, `null`, or an empty object or array. */
type Absent = 'omit' | 'null' | 'empty'

/** Where a part of the value is found in the rows. */
type Shape =
  | { readonly kind: 'key' }
  | { readonly kind: 'column'; readonly index: number; readonly absent: Absent; readonly certain: boolean }
  | { readonly kind: 'object'; readonly fields: readonly Field[]; readonly absent: Absent }
  | { readonly kind: 'one'; readonly child: number; readonly fields: readonly Field[]; readonly absent: Absent }
  | { readonly kind: 'many'; readonly child: number; readonly fields: readonly Field[]; readonly absent: Absent }
type Field = readonly [name: string, shape: Shape]

export interface ValueShape {
  /** The value that these rows give back. */
  assemble(rows: Rows): Record<string, unknown>
  /** Declared fields that no table holds, as pointers (`/lines/*` stands for the entries). */
  readonly dropped: readonly string[]
  /** Declared fields whose absence, `null` or emptiness the tables cannot distinguish, and what they become. */
  readonly merged: readonly string[]
}

/**
 * How a value is put together again from its rows. Every field that a column holds is there; an object is there when it is required or
 * anything in it is.
 * @param plan of a definition without mistakes
 */
export function shapeOf(schema: JsonSchema, plan: StreamPlan): ValueShape {
  const dropped: string[] = []
  const merged: string[] = []
  const fields = fieldsIn(rootNode(schema), [], plan.root, [])
  return { assemble: rows => build(fields, rows, rows.root) ?? {}, dropped, merged }

  /** @param base the place of the row in the value @param within the place in the row */
  function fieldsIn(
    node: SchemaNode,
    base: readonly string[],
    table: TablePlan,
    within: readonly string[],
  ): readonly Field[] {
    return fieldsOf(node).flatMap(([name, field]): Field[] => {
      const shape = shapeAt(field, base, table, [...within, name])
      return shape === undefined ? [] : [[name, shape]]
    })
  }

  function shapeAt(
    node: SchemaNode,
    base: readonly string[],
    table: TablePlan,
    path: readonly string[],
  ): Shape | undefined {
    const whole = [...base, ...path]
    const pointer = pointerOf(whole)
    const absent: Absent = node.required ? (node.nullable ? 'null' : 'empty') : 'omit'
    if (table.kind === 'root' && pointer === pointerOf(plan.key.path)) return { kind: 'key' }
    const index = table.columns.findIndex(column => column.path !== undefined && same(column.path, path))
    if (index >= 0) {
      if (absent === 'omit' && node.nullable) merged.push(`${pointer}: null is left out`)
      return { kind: 'column', index, absent: node.required ? 'null' : 'omit', certain: absent === 'empty' }
    }
    const child = table.kind === 'many' ? -1 : plan.children.findIndex(one => same(one.path, whole))
    const own = plan.children[child]
    if (own?.kind === 'many') {
      const entry = entryOf(node)
      if (absent === 'null' || (absent === 'omit' && !(Number(node.schema.minItems) > 0))) {
        merged.push(`${pointer}: ${absent === 'null' ? 'null becomes an empty array' : 'an empty array is left out'}`)
      }
      const fields = entry === undefined ? [] : fieldsIn(entry, [...whole, '*'], own, [])
      return { kind: 'many', child, fields, absent: absent === 'null' ? 'empty' : absent }
    }
    if (own !== undefined) {
      if (absent === 'omit' && node.nullable) merged.push(`${pointer}: null is left out`)
      return { kind: 'one', child, fields: fieldsIn(node, whole, own, []), absent }
    }
    const fields = node.types.includes('object') ? fieldsIn(node, base, table, path) : []
    if (fields.length === 0) {
      dropLeaf(pointer)
      return undefined
    }
    if (absent !== 'empty' && !hasCertain(fields)) merged.push(`${pointer}: an object without any field is left out`)
    return { kind: 'object', fields, absent }
  }

  /** What was dropped below it is named by it alone. */
  function dropLeaf(pointer: string): void {
    for (let at = dropped.length - 1; at >= 0; at--) {
      if (dropped[at]?.startsWith(`${pointer}/`)) dropped.splice(at, 1)
    }
    dropped.push(pointer)
  }
}

/** Whether an object of these fields always has something that its rows hold. */
function hasCertain(fields: readonly Field[]): boolean {
  return fields.some(([, shape]) => {
    if (shape.kind === 'key') return true
    if (shape.kind === 'column') return shape.certain
    return shape.absent === 'empty' && (shape.kind === 'one' || (shape.kind === 'object' && hasCertain(shape.fields)))
  })
}

/** @returns `undefined` when nothing of it is there */
function build(fields: readonly Field[], rows: Rows, row: RowValues): Record<string, unknown> | undefined {
  const value: Record<string, unknown> = {}
  let present = false
  for (const [name, shape] of fields) {
    const part = partOf(shape, rows, row)
    if (part !== undefined && part !== null) present = true
    if (part !== undefined) set(value, name, part)
  }
  return present ? value : undefined
}

function partOf(shape: Shape, rows: Rows, row: RowValues): unknown {
  switch (shape.kind) {
    case 'key':
      return rows.key
    case 'column':
      return row[shape.index] ?? orAbsent(shape.absent)
    case 'object':
      return (
        build(shape.fields, rows, row) ?? (shape.absent === 'empty' ? nothingIn(shape.fields) : orAbsent(shape.absent))
      )
    case 'one': {
      const own = rows.children[shape.child]
      return own === undefined ? orAbsent(shape.absent) : (build(shape.fields, rows, own) ?? nothingIn(shape.fields))
    }
    case 'many': {
      const own = (rows.children[shape.child] ?? []) as readonly RowValues[]
      if (own.length === 0) return shape.absent === 'omit' ? undefined : []
      return own.map(entry => build(shape.fields, rows, entry) ?? nothingIn(shape.fields))
    }
  }
}

/** An object whose row is there, though none of its fields is: those that are required stand in it as null. */
function nothingIn(fields: readonly Field[]): Record<string, unknown> {
  const value: Record<string, unknown> = {}
  for (const [name, shape] of fields) {
    if (shape.kind === 'column' && shape.absent === 'null') set(value, name, null)
    else if (shape.kind === 'object' && shape.absent === 'empty') set(value, name, nothingIn(shape.fields))
    else if (shape.kind === 'object' && shape.absent === 'null') set(value, name, null)
    else if (shape.kind === 'many' && shape.absent === 'empty') set(value, name, [])
  }
  return value
}

function orAbsent(absent: Absent): unknown {
  if (absent === 'omit') return undefined
  return absent === 'null' ? null : {}
}

/** A field of this name also where it is `__proto__`. */
function set(value: Record<string, unknown>, name: string, part: unknown): void {
  if (name === '__proto__')
    Object.defineProperty(value, name, { value: part, enumerable: true, writable: true, configurable: true })
  else value[name] = part
}

function same(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((segment, index) => segment === other[index])
}
