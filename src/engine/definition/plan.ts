import type { ColumnDefinition, StreamDefinition, TableDefinition } from '../definition.ts'
import { qualified } from '../postgres/identifiers.ts'
import { segmentsOf } from '../values/pointer.ts'
import { entryOf, fieldOf, fieldsOf, isScalar, pointerOf, rootNode, type SchemaNode } from './schema.ts'
import { canHold, parseType, type SqlType, TYPE_NAMES, typeOfNode } from './types.ts'

export interface ColumnPlan extends SqlType {
  readonly name: string
  /** Whether a row may lack it: an optional field, or one that may be null. */
  readonly nullable: boolean
  /** Where it stands in the value, or in the entry; `undefined`: computed. */
  readonly path: readonly string[] | undefined
  readonly from: ((value: unknown, entry?: unknown) => unknown) | undefined
}

export interface TablePlan {
  readonly name: string
  /** As every statement names it: `public.orders`, quoted where that is needed. */
  readonly sqlName: string
  /** As messages name it: with its schema, unless that is the default. */
  readonly title: string
  /** `one`: a row for an object; `many`: a row for each entry of an array. */
  readonly kind: 'root' | 'one' | 'many'
  /** Where the object or array stands in the value. */
  readonly path: readonly string[]
  /** `one`: an object may be absent, and so its row. */
  readonly optional: boolean
  /** `many`: the column with an entry's place, from 0. */
  readonly position: string
  /** Whether an array may be empty. */
  readonly mayBeEmpty: boolean
  readonly columns: readonly ColumnPlan[]
}

/** What the tables of a stream are, and where each column's value comes from. All SQL of the stream is made from it. */
export interface StreamPlan {
  readonly stream: string
  /** Where all of its tables stand. */
  readonly schema: string
  /** Whether the definition says so itself. */
  readonly namesSchema: boolean
  readonly key: { readonly column: string; readonly path: readonly string[] }
  readonly root: TablePlan
  readonly children: readonly TablePlan[]
  /** The root table's column with the whole value. */
  readonly keep: string | undefined
  readonly list: { readonly newest: ColumnPlan; readonly by: readonly ColumnPlan[] } | undefined
}

/** Where the tables of a stream stand whose definition does not say it. */
export const DEFAULT_TABLES_IN = 'public'

/** Columns of the root table that say which record wrote the row, and when. */
export const SOURCE_COLUMNS = ['source_topic', 'source_partition', 'source_offset', 'source_timestamp'] as const
export const STORED_AT = 'stored_at'

/** A sentence that names a place of the definition: `tables.returns.columns[2]: …` */
export type Mistakes = (place: string, what: string) => void

/**
 * The plan of a definition's tables.
 * @param definition with a schema for which `schemaProblems` finds nothing
 * @param mistake is called for each mistake that is found; with any the plan is not to be used
 * @returns `undefined` when there is no root table or no key
 */
export function planOf(definition: StreamDefinition, mistake: Mistakes): StreamPlan | undefined {
  const schema = definition.tablesIn ?? DEFAULT_TABLES_IN
  const planner: Planner = { top: rootNode(definition.schema), schema, mistake }
  const key = planKey(planner, definition)
  const tables = Object.entries(definition.tables)
  const roots = tables.filter(([, table]) => table.at === undefined && table.each === undefined)
  if (roots.length !== 1) {
    const names = roots.map(([name]) => name).join(', ')
    const which =
      roots.length === 0 ? 'none: one table has neither "at" nor "each"' : `${names}: give "at" or "each" to the others`
    mistake('tables', `there must be exactly one root table, but there ${roots.length === 0 ? 'is' : 'are'} ${which}`)
  }
  const plans = tables.map(([name, table]) => planTable(planner, name, table, key))
  const root = plans.find(plan => plan.kind === 'root')
  const list = root === undefined ? undefined : planList(definition, root, mistake)
  if (key === undefined || root === undefined) return undefined
  return {
    stream: definition.name,
    schema,
    namesSchema: definition.tablesIn !== undefined,
    key: { column: keyColumn(definition.tables[root.name], key), path: key },
    root,
    children: plans.filter(plan => plan.kind !== 'root'),
    keep: definition.keep,
    list,
  }
}

/** A table as messages name it. */
export function titleOf(schema: string, name: string): string {
  return schema === DEFAULT_TABLES_IN ? name : `${schema}.${name}`
}

/** Every column of a table in the order of the migration, those of the engine included. */
export function columnNames(plan: StreamPlan, table: TablePlan): string[] {
  const own = table.columns.map(({ name }) => name)
  if (table.kind === 'one') return [plan.key.column, ...own]
  if (table.kind === 'many') return [plan.key.column, table.position, ...own]
  return [plan.key.column, ...own, ...(plan.keep === undefined ? [] : [plan.keep]), ...SOURCE_COLUMNS, STORED_AT]
}

interface Planner {
  readonly top: SchemaNode
  /** The schema that holds the tables. */
  readonly schema: string
  readonly mistake: Mistakes
}

/** The nodes from `start` (not included) to the place. @returns `undefined` when the schema does not declare one of them */
function walk({ mistake }: Planner, place: string, start: SchemaNode, pointer: string): SchemaNode[] | undefined {
  if (pointer !== '' && !pointer.startsWith('/')) {
    mistake(place, `${JSON.stringify(pointer)} is no JSON Pointer: it begins with "/"`)
    return undefined
  }
  const nodes: SchemaNode[] = []
  let node = start
  for (const [index, name] of segmentsOf(pointer).entries()) {
    const next = fieldOf(node, name)
    if (next === undefined) {
      const at = segmentsOf(pointer).slice(0, index)
      mistake(
        place,
        `the schema has no ${pointerOf([...at, name])}: ${pointerOf(at) || 'the value'} ${fieldNames(node)}`,
      )
      return undefined
    }
    nodes.push(next)
    node = next
  }
  return nodes
}

/** How many fields a mistake lists. */
const LISTED_AT_MOST = 20

function fieldNames(node: SchemaNode): string {
  const names = fieldsOf(node).map(([name]) => name)
  if (names.length === 0) return 'declares no fields'
  return `declares ${names.slice(0, LISTED_AT_MOST).join(', ')}${names.length > LISTED_AT_MOST ? ', …' : ''}`
}

function planKey(planner: Planner, { key }: StreamDefinition): readonly string[] | undefined {
  const { mistake, top } = planner
  const nodes = walk(planner, 'key', top, key)
  const node = nodes?.at(-1)
  if (nodes === undefined || node === undefined) {
    if (nodes !== undefined) mistake('key', 'the key must be a field of the value, as "/return_id"')
    return undefined
  }
  const path = segmentsOf(key)
  const optional = nodes.findIndex(({ required, nullable }) => !required || nullable)
  if (optional >= 0) {
    const at = pointerOf(path.slice(0, optional + 1))
    mistake('key', `${at} must be required by the schema and not null, because every value has a key`)
  }
  if (node.types.length !== 1 || node.types[0] !== 'string') {
    mistake('key', `${key} must be a string, not ${node.types.join(' or ') || 'of any type'}`)
  }
  return path
}

function keyColumn(root: TableDefinition | undefined, path: readonly string[]): string {
  const pointer = pointerOf(path)
  for (const column of listed(root)) {
    if (typeof column === 'object' && 'at' in column && column.at === pointer) return column.as ?? path.at(-1) ?? ''
  }
  return path.at(-1) ?? ''
}

function listed(table: TableDefinition | undefined): readonly ColumnDefinition[] {
  return typeof table?.columns === 'object' ? table.columns : []
}

function planTable(
  planner: Planner,
  name: string,
  table: TableDefinition,
  key: readonly string[] | undefined,
): TablePlan {
  const { top, schema, mistake } = planner
  const place = `tables.${name}`
  if (table.at !== undefined && table.each !== undefined) mistake(place, 'it has both "at" and "each": a table has one')
  const kind = table.each !== undefined ? 'many' : table.at !== undefined ? 'one' : 'root'
  const pointer = table.each ?? table.at ?? ''
  const nodes = walk(planner, `${place}.${kind === 'many' ? 'each' : 'at'}`, top, pointer)
  const node = pointer === '' ? top : nodes?.at(-1)
  const rowNode = node === undefined ? undefined : rowNodeOf()
  const optional = (nodes ?? []).some(each => !each.required || each.nullable)
  return {
    name,
    sqlName: qualified(schema, name),
    title: titleOf(schema, name),
    kind,
    path: segmentsOf(pointer),
    optional: kind === 'one' && optional,
    position: table.position ?? 'position',
    mayBeEmpty: kind === 'many' && (optional || !(Number(node?.schema.minItems) > 0)),
    columns:
      rowNode === undefined ? [] : planColumns(planner, place, table, rowNode, kind === 'root' ? key : undefined),
  }

  function rowNodeOf(): SchemaNode | undefined {
    if (node === undefined) return undefined
    if (kind !== 'many') {
      if (!node.types.includes('object')) mistake(place, `${pointer || 'the value'} must be an object in the schema`)
      return node
    }
    if (!node.types.includes('array')) mistake(place, `${pointer} must be an array in the schema`)
    const entry = entryOf(node)
    if (entry?.types.includes('object')) return entry
    mistake(place, `the entries of ${pointer} must be objects in the schema; else keep the array in a jsonb column`)
    return undefined
  }
}

function planColumns(
  planner: Planner,
  place: string,
  table: TableDefinition,
  rowNode: SchemaNode,
  key: readonly string[] | undefined,
): ColumnPlan[] {
  const isKey = (path: readonly string[]) => key !== undefined && pointerOf(path) === pointerOf(key)
  const definitions = typeof table.columns === 'object' ? table.columns : scalarsOf()
  return definitions.flatMap((definition, index): ColumnPlan[] => {
    const at = typeof table.columns === 'object' ? `${place}.columns[${index}]` : place
    const within = typeof table.columns === 'object' ? withinRow(planner, at, table, definition) : definition
    const column = within === undefined ? undefined : planColumn(planner, at, within, rowNode)
    // The key has a column of its own, the first one of each table.
    return column === undefined || (column.path !== undefined && isKey(column.path)) ? [] : [column]
  })

  function scalarsOf(): ColumnDefinition[] {
    const scalars = fieldsOf(rowNode).filter(([, node]) => isScalar(node))
    return scalars.map(([name]) => pointerOf([name]) as `/${string}`)
  }
}

/** Columns of a table with `at` are pointers into the value: here they become pointers into its object. */
function withinRow(
  { mistake }: Planner,
  place: string,
  { at: base }: TableDefinition,
  definition: ColumnDefinition,
): ColumnDefinition | undefined {
  if (base === undefined || (typeof definition === 'object' && !('at' in definition))) return definition
  const at = typeof definition === 'string' ? definition : definition.at
  if (!at.startsWith(`${base}/`)) {
    mistake(
      place,
      `${at} is not below ${base}: the columns of this table are pointers into the value, as "${base}/city"`,
    )
    return undefined
  }
  const within = at.slice(base.length) as `/${string}`
  return typeof definition === 'string' ? within : { ...definition, at: within }
}

function planColumn(
  planner: Planner,
  place: string,
  definition: ColumnDefinition,
  rowNode: SchemaNode,
): ColumnPlan | undefined {
  const { mistake } = planner
  const { at, as, type: asked, from } = typeof definition === 'string' ? columnAt(definition) : columnOf(definition)
  const type = asked === undefined ? undefined : parseType(asked)
  if (asked !== undefined && type === undefined) {
    mistake(place, `the type ${JSON.stringify(asked)} is not known; known are ${TYPE_NAMES}`)
    return undefined
  }
  if (at === undefined) {
    if (type === undefined || as === undefined || typeof from !== 'function') {
      mistake(place, 'a column without "at" needs "as" (its name), "type" and "from" (a function of the value)')
      return undefined
    }
    return { ...type, name: as, nullable: true, path: undefined, from }
  }
  const nodes = walk(planner, place, rowNode, at)
  const node = nodes?.at(-1)
  if (nodes === undefined || node === undefined) return undefined
  const found = type ?? typeOfNode(node)
  if (found === undefined) {
    const has = node.types.length === 0 ? 'has no type in the schema' : `may be ${node.types.join(' or ')}`
    mistake(place, `the column has no type: ${at} ${has}; give the schema one type, or the column "type": "jsonb"`)
    return undefined
  }
  if (!canHold(found, node)) {
    const { format } = node.schema
    const what = `${node.types.join(' or ')}${format === undefined ? '' : ` of the format ${format}`}`
    mistake(place, `a column of the type ${found.ddl} cannot hold ${at}, which is ${what}, and give it back as it was`)
    return undefined
  }
  const path = segmentsOf(at)
  const nullable = nodes.some(each => !each.required || each.nullable)
  return { ...found, name: as ?? path.at(-1) ?? '', nullable, path, from: undefined }
}

interface AnyColumn {
  readonly at: string | undefined
  readonly as: string | undefined
  readonly type: string | undefined
  readonly from: ColumnPlan['from']
}

function columnAt(at: string): AnyColumn {
  return { at, as: undefined, type: undefined, from: undefined }
}

function columnOf(definition: Exclude<ColumnDefinition, string>): AnyColumn {
  if ('at' in definition) return { at: definition.at, as: definition.as, type: definition.type, from: undefined }
  return { at: undefined, as: definition.as, type: definition.type, from: definition.from }
}

const ORDERED = ['timestamptz', 'date', 'int8', 'int4', 'float8', 'numeric']
const COMPARED = ['text', 'int8', 'int4', 'bool', 'date', 'uuid']

function planList({ list }: StreamDefinition, root: TablePlan, mistake: Mistakes): StreamPlan['list'] {
  if (list === undefined) return undefined
  const columnFor = (place: string, pointer: string) => {
    const column = root.columns.find(({ path }) => path !== undefined && pointerOf(path) === pointer)
    if (column === undefined) mistake(place, `${pointer} must be a column of the root table ${root.name}`)
    return column
  }
  const newest = columnFor('list.newest', list.newest)
  if (newest !== undefined && !ORDERED.includes(newest.type)) {
    mistake('list.newest', `${list.newest} must be a date, a date-time or a number, not ${newest.ddl}`)
  }
  if (newest?.nullable) {
    mistake(
      'list.newest',
      `${list.newest} must be required by the schema and not null: each value has a place in the list`,
    )
  }
  const by = (list.by ?? []).flatMap((pointer, index) => {
    const column = columnFor(`list.by[${index}]`, pointer)
    if (column !== undefined && !COMPARED.includes(column.type)) {
      mistake(`list.by[${index}]`, `values cannot be looked up by ${pointer}, a column of the type ${column.ddl}`)
    }
    return column ?? []
  })
  return newest === undefined ? undefined : { newest, by }
}
