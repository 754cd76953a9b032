import type { ColumnDefinition, Pointer, StreamDefinition, TableDefinition } from '../definition.ts'
import { InferenceError, type InferredNode } from './infer-schema.ts'
import { escapeSegment, segmentsOf } from './pointer.ts'

export interface Proposal {
  readonly definition: StreamDefinition
  readonly assumptions: readonly string[]
}

/** Postgres cuts longer names. */
const MAX_NAME_BYTES = 63

/** Each table of Postgres has these. */
const SYSTEM_COLUMNS = ['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid']

/** Columns that every root table has besides those of the definition. */
const ROOT_COLUMNS = ['source_topic', 'source_partition', 'source_offset', 'source_timestamp', 'stored_at']

/**
 * Proposes key, tables, order and personal places for an inferred schema. A guess by names is always named in the assumptions.
 * @throws InferenceError when no field can be the key
 */
export function proposeDefinition(
  name: string,
  schema: Readonly<Record<string, unknown>> & InferredNode,
  samples: readonly unknown[],
): Proposal {
  const assumptions: string[] = []
  const key = keyOf(name, schema, samples)
  assumptions.push(`The key is ${key}: by its name, and because it is a text that every sample has.`)
  const ambiguous = ambiguousPlaces(schema)
  const root = rootOf(name, schema, key, ambiguous.length > 0, assumptions)
  const newest = newestOf(schema)
  if (newest === undefined) {
    assumptions.push('No date-time is required, so values are not listed by time. Add "list" to page through them.')
  } else {
    assumptions.push(`Lists are ordered by ${newest}.`)
  }
  const personal = personalOf(schema)
  assumptions.push(
    personal.length === 0
      ? 'No field has the name of something personal. Add to "personal" what must be masked in dead letters.'
      : `Taken as personal, and masked in dead letters: ${personal.join(', ')}.`,
  )
  if (ambiguous.length > 0) {
    assumptions.push(
      `${ambiguous.join(', ')} may be absent, and may be null or empty: columns do not tell these apart, so the whole value is kept as jsonb ("keep").`,
    )
  }
  const by = root.by.filter(pointer => pointer !== key)
  return {
    definition: {
      name,
      schema,
      key,
      tables: root.tables,
      ...(ambiguous.length > 0 && { keep: 'value' as const }),
      ...(newest !== undefined && { list: { newest, ...(by.length > 0 && { by }) } }),
      ...(personal.length > 0 && { personal }),
    },
    assumptions,
  }
}

/** A field that every value has: on its own, or in objects that every value has. */
interface Field {
  readonly pointer: Pointer
  readonly name: string
  readonly node: InferredNode
}

function requiredFields({ properties = {}, required = [] }: InferredNode, base = ''): Field[] {
  return required.flatMap(name => {
    const node = properties[name]
    return node === undefined ? [] : [{ pointer: `${base}/${escapeSegment(name)}` as Pointer, name, node }]
  })
}

/** The best name wins; of equal ones the first, and of those at the top before those in objects. A text only, and another one in each sample. */
function keyOf(name: string, schema: InferredNode, samples: readonly unknown[]): Pointer {
  const singular = name.replace(/ies$/, 'y').replace(/s$/, '')
  const names = [`${singular}_id`, `${singular}id`, `${singular}_uid`, 'id', 'uid', 'uuid', 'key', `${singular}_number`]
  const rank = ({ name: field, node }: Field) => {
    const index = names.indexOf(snakeCase(field))
    if (index >= 0) return index
    if (/_(?:u?id|uuid|key|number|code)$/.test(snakeCase(field))) return names.length
    return names.length + (node.format === 'uuid' ? 1 : 2)
  }
  for (let fields = requiredFields(schema); fields.length > 0; ) {
    const [best] = fields
      .filter(({ node, pointer }) => node.type === 'string' && node.format !== 'date-time' && differs(pointer, samples))
      .sort((a, b) => rank(a) - rank(b))
    if (best !== undefined) return best.pointer
    const numeric = fields.find(field => field.node.type === 'integer' && rank(field) < names.length)
    if (numeric !== undefined) {
      throw new InferenceError(
        `the key must be a text, and ${numeric.pointer} is a number: let the producer write it in quotes`,
      )
    }
    fields = fields.flatMap(({ node, pointer }) => (node.type === 'object' ? requiredFields(node, pointer) : []))
  }
  throw new InferenceError(
    'no field can be the key: it must be a text that every sample has, and that no two samples share',
  )
}

function differs(pointer: Pointer, samples: readonly unknown[]): boolean {
  const path = segmentsOf(pointer)
  const values = samples.map(sample =>
    path.reduce((found, name) => (found as Readonly<Record<string, unknown>>)[name], sample),
  )
  return values.every(value => value !== '') && new Set(values).size === values.length
}

/** The tables, the root table first, and the columns of it that may restrict a list. */
function rootOf(name: string, schema: InferredNode, key: Pointer, keeps: boolean, assumptions: string[]) {
  const tables: Record<string, TableDefinition> = {}
  const used = new Set<string>()
  const rootName = unique(snakeCase(name), used)
  const columns: ColumnDefinition[] = []
  const taken = new Set([...SYSTEM_COLUMNS, ...ROOT_COLUMNS, ...(keeps ? ['value'] : [])])
  const by: Pointer[] = []
  const children: [string, TableDefinition][] = []
  const keyPath = segmentsOf(key)
  const [keyName = '', ...within] = keyPath
  const keyColumn = within.length === 0 && isPlain(keyName) ? keyName : keyPath.map(snakeCase).join('_')
  for (const [field, node] of Object.entries(schema.properties ?? {})) {
    const pointer: Pointer = `/${escapeSegment(field)}`
    const required = schema.required?.includes(field) === true
    const table = unique(`${rootName}_${snakeCase(field)}`, used, false)
    if (node.type === 'array' && node.items?.properties !== undefined && node.items.type === 'object') {
      used.add(table)
      children.push([table, { each: pointer, ...columnsOf(node.items, [keyColumn, 'position']) }])
    } else if (
      node.type === 'object' &&
      node.properties !== undefined &&
      !(required && (holdsId(node) || key.startsWith(`${pointer}/`)))
    ) {
      used.add(table)
      // Columns of such a table are pointers into the value.
      children.push([table, { at: pointer, ...columnsOf(node, [keyColumn], pointer) }])
    } else {
      const found = flatten(node, pointer, required, taken)
      columns.push(...found)
      for (const column of found) {
        const place = typeof column === 'string' ? column : 'at' in column ? column.at : undefined
        if (place !== undefined && /(?:customer|user|client|account|buyer)_?id$/i.test(snakeCase(place))) by.push(place)
      }
    }
  }
  const onlyScalars = columns.every(column => typeof column === 'string') && allScalar(schema, children.length)
  tables[rootName] = { columns: onlyScalars ? 'scalars' : columns }
  for (const [table, definition] of children) tables[table] = definition
  assumptions.push(`Tables: ${Object.keys(tables).join(', ')}.`)
  return { tables, by: by.slice(0, 1) }
}

function holdsId(node: InferredNode): boolean {
  return Object.entries(node.properties ?? {}).some(([field, { type }]) => /^u?id$/i.test(field) && type === 'string')
}

/** Whether `scalars` gives every column: each field is a scalar, except those that have tables of their own. */
function allScalar(node: InferredNode, tables: number): boolean {
  const fields = Object.values(node.properties ?? {})
  return fields.filter(field => !isScalar(field)).length === tables
}

/** The columns of a table of its own: `scalars` where that is all of it. */
function columnsOf(node: InferredNode, taken: readonly string[], base = ''): { readonly columns?: ColumnDefinition[] } {
  const fields = Object.entries(node.properties ?? {})
  if (fields.every(([field, inner]) => isScalar(inner) && isPlain(field) && !taken.includes(field))) return {}
  const used = new Set([...SYSTEM_COLUMNS, ...taken])
  return {
    columns: fields.flatMap(([field, inner]) =>
      flatten(inner, `${base}/${escapeSegment(field)}` as Pointer, node.required?.includes(field) === true, used, base),
    ),
  }
}

/**
 * Columns of one field: one for each scalar in it. An object that may be absent is one column (jsonb), because separate columns
 * could not distinguish an absent object from an empty one; so is an array.
 */
function flatten(
  node: InferredNode,
  pointer: Pointer,
  required: boolean,
  taken: Set<string>,
  base = '',
): ColumnDefinition[] {
  if (node.type === 'object' && node.properties !== undefined && required) {
    return Object.entries(node.properties).flatMap(([field, inner]) =>
      flatten(inner, `${pointer}/${escapeSegment(field)}`, node.required?.includes(field) === true, taken, base),
    )
  }
  const segments = segmentsOf(pointer.slice(base.length))
  const last = segments.at(-1) ?? ''
  const as = unique(segments.length === 1 && isPlain(last) ? last : segments.map(snakeCase).join('_'), taken)
  // A place that may hold several types of JSON, or any, has no SQL type of its own.
  const type = typesOf(node).length === 1 ? {} : { type: 'jsonb' }
  if (as === last && typesOf(node).length === 1) return [pointer]
  return [{ at: pointer, ...(as !== last && { as }), ...type }]
}

/** Whether the name of a field can be that of its column. */
function isPlain(name: string): boolean {
  return /^[A-Za-z_][A-Za-z\d_]*$/.test(name) && name.length <= MAX_NAME_BYTES && !SYSTEM_COLUMNS.includes(name)
}

/** One type, which is neither object nor array. */
function isScalar(node: InferredNode): boolean {
  const [type, ...others] = typesOf(node)
  return type !== undefined && others.length === 0 && type !== 'object' && type !== 'array'
}

function typesOf({ type }: InferredNode): readonly string[] {
  return [type ?? []].flat().filter(name => name !== 'null')
}

function newestOf(schema: InferredNode): Pointer | undefined {
  const dates = Object.entries(schema.properties ?? {}).filter(
    ([field, node]) => node.format === 'date-time' && node.type === 'string' && schema.required?.includes(field),
  )
  const best = dates.find(([field]) => /creat|placed|opened|made|received/i.test(field)) ?? dates[0]
  return best === undefined ? undefined : `/${escapeSegment(best[0])}`
}

/** Words in the name of a field, or of an object, that name a person or lead to one. */
const PERSONAL =
  /(?:^|_)(?:e?mail|phone|mobile|fax|surname|first_?name|last_?name|full_?name|middle_?name|address|street|city|zip|postal_?code|postcode|birth|birthday|passport|ssn|iban|card_number)(?:_|$)/

/** Objects that describe a person: a `name` in them is the person's. */
const PERSON =
  /(?:^|_)(?:customer|user|client|person|contact|recipient|buyer|sender|owner|driver|courier|patient|employee)(?:_|$)/

function personalOf(node: InferredNode, pointer = '', ofPerson = false): Pointer[] {
  return Object.entries(node.properties ?? {}).flatMap(([field, inner]): Pointer[] => {
    const place: Pointer = `${pointer}/${escapeSegment(field)}` as Pointer
    const name = snakeCase(field)
    if (PERSONAL.test(name) || inner.format === 'email' || (ofPerson && name === 'name')) return [place]
    const person = PERSON.test(name)
    if (inner.items !== undefined) return personalOf(inner.items, `${place}/*`, person)
    return personalOf(inner, place, person)
  })
}

/** Optional places that may also be null (a column is NULL for both), or are arrays of objects (no rows stands for both). */
function ambiguousPlaces(node: InferredNode, pointer = ''): string[] {
  return Object.entries(node.properties ?? {}).flatMap(([field, inner]) => {
    const place = `${pointer}/${escapeSegment(field)}`
    const optional = node.required?.includes(field) !== true
    const nullable = [inner.type ?? 'null'].flat().includes('null')
    const rows = inner.items?.properties !== undefined
    const own = (optional && (nullable || rows)) || (nullable && rows) ? [place] : []
    const below = inner.items === undefined ? ambiguousPlaces(inner, place) : ambiguousPlaces(inner.items, `${place}/*`)
    return [...own, ...below]
  })
}

function snakeCase(name: string): string {
  const words = name
    .replace(/([a-z\d])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^a-z\d]+/g, '_')
    .replace(/^_+|_+$/g, '')
  return words === '' ? 'field' : words
}

/** The name, or with a number after it when it is taken; at most 63 bytes. */
function unique(name: string, used: Set<string>, add = true): string {
  let found = name.slice(0, MAX_NAME_BYTES)
  for (let count = 2; used.has(found); count++) found = `${name.slice(0, MAX_NAME_BYTES - 3)}_${count}`
  if (add) used.add(found)
  return found
}
