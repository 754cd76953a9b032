import type { StreamPlan } from '../definition/plan.ts'
import { identifier, shortened } from './identifiers.ts'
import {
  columnType,
  createIndex,
  createTable,
  type MigrationSql,
  type WantedColumn,
  type WantedTable,
  wantedTables,
} from './wanted-tables.ts'

/** Runs one statement. @returns its rows */
export type AskRows = (
  text: string,
  values: readonly unknown[],
) => Promise<readonly Readonly<Record<string, unknown>>[]>

export interface LiveColumn {
  readonly type: string
  readonly notNull: boolean
  readonly hasDefault: boolean
  readonly collation: string | null
}

/** A relation of the database. */
export interface LiveTable {
  /** `table`, or what it is instead: `view`. */
  readonly kind: string
  /** By name. */
  readonly columns: ReadonlyMap<string, LiveColumn>
  readonly primaryKey: { readonly constraint: string; readonly columns: readonly string[] } | undefined
  /** Columns of each valid index, as `pg_get_indexdef` writes them. */
  readonly indexes: readonly string[]
}

/** A place where the database is not as the definition needs it. */
export interface TableDifference {
  readonly table: string
  /** A sentence. */
  readonly what: string
  /** Whether records cannot be written, or values not be read back, as it is. */
  readonly blocks: boolean
  readonly sql: MigrationSql
}

const KINDS: Readonly<Record<string, string>> = {
  r: 'table',
  p: 'table',
  v: 'view',
  m: 'materialized view',
  f: 'foreign table',
  S: 'sequence',
  i: 'index',
}

const INDEXES = `
    (SELECT coalesce(json_agg(substring(pg_get_indexdef(i.indexrelid) FROM ' USING btree (.*)$')), '[]')
      FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisvalid)`

const live = (indexes: string) => `
  SELECT wanted.name, c.relkind,
    (SELECT coalesce(json_object_agg(a.attname, json_build_object('type', format_type(a.atttypid, a.atttypmod),
        'notNull', a.attnotnull, 'hasDefault', a.atthasdef OR a.attidentity <> '',
        'collation', (SELECT collname FROM pg_collation WHERE oid = a.attcollation))), '{}')
      FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    (SELECT json_build_object('constraint', k.conname, 'columns',
        (SELECT json_agg(a.attname ORDER BY place) FROM unnest(k.conkey) WITH ORDINALITY AS part (attnum, place)
          JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = part.attnum))
      FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype = 'p') AS primary_key,
    ${indexes} AS indexes
  FROM unnest($1::text[]) AS wanted (name) JOIN pg_class AS c ON c.oid = to_regclass(quote_ident(wanted.name))`

/**
 * @param options.indexes whether to read them: the definition of one with an expression waits for whatever session has locked its table
 * @returns by name; absent where there is no such relation
 * @throws what `ask` throws
 */
export async function readLiveTables(
  ask: AskRows,
  names: readonly string[],
  options = { indexes: true },
): Promise<ReadonlyMap<string, LiveTable>> {
  const rows = await ask(live(options.indexes ? INDEXES : `'[]'::json`), [names])
  return new Map(
    rows.map(row => [
      String(row.name),
      {
        kind: KINDS[String(row.relkind)] ?? 'no table',
        columns: new Map(Object.entries(row.columns as Record<string, LiveColumn>)),
        primaryKey: (row.primary_key as LiveTable['primaryKey'] | null) ?? undefined,
        indexes: row.indexes as readonly string[],
      },
    ]),
  )
}

/** Each difference, in the order of the tables and their columns. None: a migration has nothing to do. */
export function tableDifferences(plan: StreamPlan, live: ReadonlyMap<string, LiveTable>): TableDifference[] {
  return wantedTables(plan).flatMap(wanted => {
    const table = wanted.name
    const found = live.get(table)
    if (found === undefined) {
      return [{ table, what: `there is no table ${table}`, blocks: true, sql: createTable(wanted) }]
    }
    if (found.kind !== 'table') {
      const note = `-- ${table} has to be a table: rename the ${found.kind}, or the table in the definition`
      return [{ table, what: `${table} is a ${found.kind}, not a table`, blocks: true, sql: { up: note, down: note } }]
    }
    return [
      ...wanted.columns.flatMap(column => columnDifferences(table, column, found.columns.get(column.name))),
      ...neededColumns(wanted, found),
      ...keyDifference(wanted, found),
      ...missingIndexes(wanted, found),
    ]
  })
}

function columnDifferences(table: string, wanted: WantedColumn, found: LiveColumn | undefined): TableDifference[] {
  const name = identifier(wanted.name)
  const place = `${table}.${wanted.name}`
  const alter = (action: string) => `ALTER TABLE ${identifier(table)} ${action};`
  if (found === undefined) {
    const hint = wanted.notNull ? ' -- existing rows need a value: give the column a DEFAULT' : ''
    const sql = {
      up: `${alter(`ADD COLUMN ${name} ${columnType(wanted)}`)}${hint}`,
      down: alter(`DROP COLUMN ${name}`),
    }
    return [{ table, what: `there is no column ${place} (${wanted.type})`, blocks: true, sql }]
  }
  const differences: TableDifference[] = []
  function differs(what: string, blocks: boolean, up: string, down: string): void {
    differences.push({ table, what, blocks, sql: { up: alter(up), down: alter(down) } })
  }
  if (found.type !== wanted.type) {
    const to = (type: string) => `ALTER COLUMN ${name} TYPE ${type} USING ${name}::${type}`
    const what = `${place} has the type ${found.type}; the definition needs ${wanted.type}`
    differs(what, true, to(wanted.type), to(found.type))
  } else if (wanted.bytewise && found.collation !== 'C') {
    const to = (collation: string) => `ALTER COLUMN ${name} TYPE text COLLATE "${collation}"`
    const what = `${place} has the collation ${found.collation}; a key needs "C", which compares bytes`
    differs(what, false, to('C'), to(found.collation ?? 'default'))
  }
  const drop = `ALTER COLUMN ${name} DROP NOT NULL`
  const set = `ALTER COLUMN ${name} SET NOT NULL`
  if (found.notNull && !wanted.notNull) {
    differs(`${place} is NOT NULL, but the schema does not require the field`, true, drop, set)
  } else if (!found.notNull && wanted.notNull) {
    differs(`${place} may be NULL, but the schema requires the field`, false, set, drop)
  }
  return differences
}

/** A column that the definition does not know matters only where no row can be written without it. */
function neededColumns({ name: table, columns }: WantedTable, live: LiveTable): TableDifference[] {
  const known = new Set(columns.map(({ name }) => name))
  const needed = [...live.columns].filter(
    ([name, { notNull, hasDefault }]) => !known.has(name) && notNull && !hasDefault,
  )
  return needed.map(([name]) => {
    const alter = `ALTER TABLE ${identifier(table)} ALTER COLUMN ${identifier(name)}`
    return {
      table,
      what: `${table}.${name} is NOT NULL without a default, and the definition does not fill it`,
      blocks: true,
      sql: { up: `${alter} DROP NOT NULL;`, down: `${alter} SET NOT NULL;` },
    }
  })
}

function keyDifference({ name: table, primaryKey }: WantedTable, { primaryKey: found }: LiveTable): TableDifference[] {
  if (found !== undefined && found.columns.join() === primaryKey.join()) return []
  const key = (columns: readonly string[]) => `(${columns.map(identifier).join(', ')})`
  const name = identifier(found?.constraint ?? shortened(`${table}_pkey`))
  const alter = `ALTER TABLE ${identifier(table)}`
  const drop = `DROP CONSTRAINT ${name}`
  const add = (columns: readonly string[]) => `ADD CONSTRAINT ${name} PRIMARY KEY ${key(columns)}`
  const has = found === undefined ? 'no primary key' : `the primary key ${key(found.columns)}`
  return [
    {
      table,
      what: `${table} has ${has}; the definition needs ${key(primaryKey)}`,
      blocks: true,
      sql: {
        up: `${alter} ${found === undefined ? '' : `${drop}, `}${add(primaryKey)};`,
        down: `${alter} ${drop}${found === undefined ? '' : `, ${add(found.columns)}`};`,
      },
    },
  ]
}

function missingIndexes({ name: table, indexes }: WantedTable, live: LiveTable): TableDifference[] {
  return indexes
    .filter(index => !live.indexes.includes(index.columns))
    .map(index => ({
      table,
      what: `${table} has no index on ${index.columns}: each page of its list would sort the whole table`,
      blocks: false,
      sql: { up: createIndex(table, index), down: `DROP INDEX ${identifier(index.name)};` },
    }))
}
