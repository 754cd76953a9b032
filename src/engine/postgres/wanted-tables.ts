import { DEFAULT_TABLES_IN, STORED_AT, type StreamPlan, type TablePlan } from '../definition/plan.ts'
import { identifier, shortened } from './identifiers.ts'

export interface WantedColumn {
  readonly name: string
  /** The type as Postgres itself writes it (`format_type`): `timestamp with time zone`. */
  readonly type: string
  readonly notNull: boolean
  /** Compares bytes (COLLATE "C"), as the writer sorts keys. */
  readonly bytewise: boolean
}

export interface WantedIndex {
  readonly name: string
  /** As `pg_get_indexdef` writes them, in parentheses. */
  readonly columns: string
}

/** A table as the statements of a stream need it. */
export interface WantedTable extends Pick<TablePlan, 'name' | 'sqlName' | 'title'> {
  /** In which it stands. */
  readonly schema: string
  /** In the order of the migration. */
  readonly columns: readonly WantedColumn[]
  readonly primaryKey: readonly string[]
  readonly indexes: readonly WantedIndex[]
}

/** As `format_type` has it. */
const TIMESTAMPTZ = 'timestamp with time zone'
/** Characters of a text in an index: what the pages of a list compare (tables-select.ts). */
const INDEXED_CHARACTERS = 128

/** The tables of a plan, the root table first. */
export function wantedTables(plan: StreamPlan): readonly WantedTable[] {
  return [plan.root, ...plan.children].map(table => ({
    schema: plan.schema,
    ...{ name: table.name, sqlName: table.sqlName, title: table.title },
    columns: columnsOf(plan, table),
    primaryKey: [plan.key.column, ...(table.kind === 'many' ? [table.position] : [])],
    indexes: table.kind === 'root' ? indexesOf(plan) : [],
  }))
}

function columnsOf(plan: StreamPlan, table: TablePlan): WantedColumn[] {
  const own = table.columns.map(({ name, ddl, nullable }) => column(name, ddl, !nullable))
  const key = { ...column(plan.key.column, 'text'), bytewise: true }
  if (table.kind === 'one') return [key, ...own]
  if (table.kind === 'many') return [key, column(table.position, 'integer'), ...own]
  return [
    key,
    ...own,
    ...(plan.keep === undefined ? [] : [column(plan.keep, 'jsonb')]),
    ...[column('source_topic', 'text'), column('source_partition', 'integer')],
    ...[column('source_offset', 'bigint'), column('source_timestamp', 'bigint')],
    column(STORED_AT, 'timestamptz'),
  ]
}

function column(name: string, ddl: string, notNull = true): WantedColumn {
  return { name, type: ddl === 'timestamptz' ? TIMESTAMPTZ : ddl, notNull, bytewise: false }
}

/** One for the list, and one for each restriction of it. Without them each page would sort the whole table. */
function indexesOf({ root, key, list }: StreamPlan): WantedIndex[] {
  if (list === undefined) return []
  const order = `${identifier(list.newest.name)} DESC, ${identifier(key.column)} DESC`
  return [
    { name: shortened(`${root.name}_newest`), columns: `(${order})` },
    ...list.by.map(({ name, type }) => {
      const compared = type === 'text' ? `"left"(${identifier(name)}, ${INDEXED_CHARACTERS})` : identifier(name)
      return { name: shortened(`${root.name}_by_${name}`), columns: `(${compared}, ${order})` }
    }),
  ]
}

/** SQL that makes what is wanted, and SQL that takes it back. */
export interface MigrationSql {
  readonly up: string
  readonly down: string
}

/** What must come before the first table of a schema. Nothing takes it back, because it may hold more. `undefined`: each database has it. */
export function createSchema({ schema }: StreamPlan): MigrationSql | undefined {
  return schema === DEFAULT_TABLES_IN
    ? undefined
    : { up: `CREATE SCHEMA IF NOT EXISTS ${identifier(schema)};`, down: '' }
}

/** Creates a table with its indexes. */
export function createTable({ sqlName, columns, primaryKey, indexes }: WantedTable): MigrationSql {
  const widest = Math.max(...columns.map(column => identifier(column.name).length))
  const lines = [
    ...columns.map(column => `${identifier(column.name).padEnd(widest)} ${columnType(column)}`),
    `PRIMARY KEY (${primaryKey.map(identifier).join(', ')})`,
  ]
  const table = `CREATE TABLE ${sqlName} (\n${lines.map(line => `  ${line}`).join(',\n')}\n);`
  return {
    up: [table, ...indexes.map(index => createIndex(sqlName, index))].join('\n'),
    down: `DROP TABLE ${sqlName};`,
  }
}

/** @param table as SQL names it; the index stands in its schema */
export function createIndex(table: string, { name, columns }: WantedIndex): string {
  // Without the quotes that Postgres puts around its own function.
  return `CREATE INDEX ${identifier(name)} ON ${table} ${columns.replaceAll('"left"(', 'left(')};`
}

/** `text COLLATE "C" NOT NULL` */
export function columnType({ type, notNull, bytewise }: WantedColumn): string {
  const short = type === TIMESTAMPTZ ? 'timestamptz' : type
  return `${short}${bytewise ? ' COLLATE "C"' : ''}${notNull ? ' NOT NULL' : ''}`
}
