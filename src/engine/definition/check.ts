import type { StreamDefinition } from '../definition.ts'
import { type HttpDefinition, RESERVED_ROUTES } from '../http-names.ts'
import { MAX_NAME_BYTES, qualified } from '../postgres/identifiers.ts'
import { segmentsOf } from '../values/pointer.ts'
import { schemaProblems } from '../values/schema-problems.ts'
import { checkMembers } from './members.ts'
import { columnNames, DEFAULT_TABLES_IN, planOf, type StreamPlan, titleOf } from './plan.ts'
import { ENGINE_TABLES, STATEMENT_NAMES } from './reserved.ts'
import { entryOf, fieldOf, rootNode, type SchemaNode } from './schema.ts'

/**
 * Every mistake of these definitions, each as a sentence with its place: `stream returns: tables.return_lines.columns[2]: …`.
 * @returns empty when all of them can be compiled and run side by side
 */
export function checkDefinitions(definitions: readonly StreamDefinition[]): string[] {
  const problems = definitions.flatMap((definition, index) => checkDefinition(definition, index))
  return [...problems, ...clashes(definitions.filter(isWellFormed))]
}

/** Whether each member is what it must be by its form: then it can be read, whatever mistakes there are in what it says. */
export function isWellFormed(definition: StreamDefinition): boolean {
  return checkMembers(definition, '', () => {})
}

/** As a label of metrics, a word of the command line and the beginning of a group's name. */
const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,62}$/
const ROUTE = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/

function checkDefinition(definition: StreamDefinition, index: number): string[] {
  const problems: string[] = []
  if (typeof definition !== 'object' || definition === null) {
    return [`streams[${index}] is no definition: make it with defineStream({ … })`]
  }
  const { name } = definition
  const label = typeof name === 'string' && name !== '' ? `stream ${name}` : `streams[${index}]`
  const mistake = (place: string, what: string) => void problems.push(`${label}: ${place}: ${what}`)

  const wellFormed = checkMembers(definition, '', mistake)
  if (name === undefined || (typeof name === 'string' && name !== '' && !NAME.test(name))) {
    mistake('name', `${JSON.stringify(name)} must be a letter, then letters, digits, "_" or "-", at most 63 in all`)
  }
  const wrong = schemaProblems(definition.schema)
  for (const { at, message } of wrong) mistake('schema', `${at} ${message}`)
  if (!wellFormed) return problems
  checkRoute(definition, mistake)
  checkTablesIn(definition, mistake)
  for (const member of ['key', 'tables'] as const) {
    if (definition[member] === undefined) mistake(member, 'a definition must have it')
  }
  // A schema with mistakes would be reported a second time for their consequences.
  if (wrong.length > 0 || definition.key === undefined || definition.tables === undefined) return problems
  checkTables(definition, planOf(definition, mistake), mistake)
  checkPersonal(definition, mistake)
  checkReads(definition, mistake)
  return problems
}

type Mistake = (place: string, what: string) => void

function checkRoute({ name, route = name, http = {} }: StreamDefinition, mistake: Mistake): void {
  if (typeof route !== 'string' || !ROUTE.test(route)) {
    mistake(
      'route',
      `${JSON.stringify(route)} must be letters, digits, "_" or "-", at most 63, and begin with a letter or digit`,
    )
    return
  }
  for (const segment of firstSegments(route, http)) {
    if (!RESERVED_ROUTES.has(segment)) continue
    const remedy = segment === route ? 'give the stream another one with "route"' : 'choose another path'
    mistake(
      segment === route ? 'route' : 'http',
      `${JSON.stringify(segment)} is an address of Holdfast itself; ${remedy}`,
    )
  }
}

function checkTablesIn({ tablesIn }: StreamDefinition, mistake: Mistake): void {
  if (tablesIn === undefined) return
  const why = whyNoName(tablesIn)
  if (why !== undefined) mistake('tablesIn', `the name of the schema ${why}`)
  if (tablesIn.startsWith('pg_') || tablesIn === 'information_schema') {
    mistake('tablesIn', `the schema ${JSON.stringify(tablesIn)} is one of Postgres itself; choose another`)
  }
}

function checkTables(definition: StreamDefinition, plan: StreamPlan | undefined, mistake: Mistake): void {
  for (const name of Object.keys(definition.tables)) {
    const why = whyNoName(name)
    if (why !== undefined) mistake(`tables.${name}`, `the name of the table ${why}`)
    if (name.startsWith('pg_')) {
      mistake(`tables.${name}`, 'names that begin with "pg_" belong to Postgres itself; choose another')
    }
    if (STATEMENT_NAMES.has(name)) {
      mistake(`tables.${name}`, 'statements of Holdfast have a part of this name; choose another')
    }
    if (ENGINE_TABLES.has(name))
      mistake(`tables.${name}`, 'Holdfast has a table of this name for itself; choose another')
  }
  if (plan === undefined) return
  const at = new Map<string, string>()
  for (const table of [plan.root, ...plan.children]) {
    const place = `tables.${table.name}`
    const seen = new Set<string>()
    for (const column of columnNames(plan, table)) {
      const why = whyNoName(column)
      if (why !== undefined) mistake(place, `the name of the column ${JSON.stringify(column)} ${why}`)
      if (seen.has(column)) {
        mistake(
          place,
          `there are two columns ${JSON.stringify(column)} (the key, the position and the columns of the source are among them); name one of them otherwise with "as"`,
        )
      }
      if (/^(ctid|xmin|xmax|cmin|cmax|tableoid)$/.test(column)) {
        mistake(
          place,
          `Postgres has a system column ${JSON.stringify(column)} in each table; name it otherwise with "as"`,
        )
      }
      seen.add(column)
    }
    if (seen.size > MAX_COLUMNS) mistake(place, `it has ${seen.size} columns, and a table has at most ${MAX_COLUMNS}`)
    if (table.kind === 'root') continue
    const where = `${table.kind} ${table.path.join('/')}`
    const other = at.get(where)
    if (other !== undefined) mistake(place, `it is made from the same place as ${other}: one of them is enough`)
    at.set(where, table.name)
  }
}

/** Below the 1,600 of Postgres, because a table that is altered needs spare ones. */
const MAX_COLUMNS = 1_500

function whyNoName(name: string): string | undefined {
  if (name === '') return 'is empty'
  if (name.includes('\0')) return 'holds NUL, which Postgres cannot'
  if (!name.isWellFormed()) return 'holds half of a surrogate pair, which is no text'
  const bytes = Buffer.byteLength(name)
  return bytes > MAX_NAME_BYTES ? `has ${bytes} bytes, and Postgres keeps ${MAX_NAME_BYTES}` : undefined
}

/** Places outside of the schema are no mistake: they may come as unknown fields, and are masked all the same. */
function checkPersonal({ personal = [] }: StreamDefinition, mistake: Mistake): void {
  for (const [index, pointer] of personal.entries()) {
    if (!pointer.startsWith('/')) {
      mistake(`personal[${index}]`, `${JSON.stringify(pointer)} is no JSON Pointer: it begins with "/"`)
    }
  }
}

function checkReads({ unusualReads = [], schema }: StreamDefinition, mistake: Mistake): void {
  for (const [index, pointer] of unusualReads.entries()) {
    const place = segmentsOf(pointer).reduce<SchemaNode | undefined>(
      (node, name) => node && (node.types.includes('array') && name === '*' ? entryOf(node) : fieldOf(node, name)),
      rootNode(schema),
    )
    if (place === undefined) mistake(`unusualReads[${index}]`, `the schema has no ${pointer}`)
  }
}

/** Streams side by side: each name, route and table is of one. (Topics and groups are settled by the settings, and checked there.) */
function clashes(definitions: readonly StreamDefinition[]): string[] {
  const problems: string[] = []
  const taken = new Map<string, string>()
  for (const definition of definitions) {
    const { name, route = name, http = {}, tablesIn = DEFAULT_TABLES_IN, tables } = definition
    const claims = [
      ...[...firstSegments(route, http)].map(segment => ({ what: 'route', value: segment, id: segment })),
      ...Object.keys(tables ?? {}).map(table => {
        return { what: 'table', value: titleOf(tablesIn, table), id: qualified(tablesIn, table) }
      }),
    ]
    for (const { what, value, id } of claims) {
      const other = taken.get(`${what} ${id}`)
      if (other === undefined) taken.set(`${what} ${id}`, name)
      else if (other !== name)
        problems.push(
          `stream ${name}: the ${what} ${JSON.stringify(value)} is already that of the stream ${other}; choose another`,
        )
    }
  }
  return problems
}

/** First segments of all paths of a stream. */
function firstSegments(route: string, { paths = [], query }: HttpDefinition): Set<string> {
  const all = [...paths, ...(query === undefined ? [] : [query.path])]
  return new Set([route, ...all.map(path => path.split('/')[1] ?? '')])
}
