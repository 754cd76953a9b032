import type { StreamPlan } from '../definition/plan.ts'
import { identifier, shortened } from './identifiers.ts'
import {
  columnType,
  createIndex,
  createTable,
  type MigrationSql,
  type WantedColumn,
  type WantedIndex,
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
  /** What gives it its value, where no statement may: an expression, whose values are stored or not, or an identity. */
  readonly always: 'stored' | 'virtual' | 'identity' | null
  readonly collation: string | null
  /** Whether only equal bytes are equal. */
  readonly deterministic: boolean
}

/** A relation of the database. */
export interface LiveTable {
  /** `table`, or what it is instead: `view`. */
  readonly kind: string
  /** By name. */
  readonly columns: ReadonlyMap<string, LiveColumn>
  readonly primaryKey:
    | { readonly constraint: string; readonly columns: readonly string[]; readonly deferrable: boolean }
    | undefined
  /** Each valid index, its columns as `pg_get_indexdef` writes them. */
  readonly indexes: readonly WantedIndex[]
  readonly partitioned: boolean
  /** Whether it is partitioned, and no partition of it exists. */
  readonly withoutPartitions: boolean
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
  I: 'index',
  c: 'type',
}

const INDEXES = `
    (SELECT coalesce(json_agg(json_build_object('name', named.relname,
        'columns', substring(pg_get_indexdef(i.indexrelid) FROM ' USING btree (.*)$'))), '[]')
      FROM pg_index AS i JOIN pg_class AS named ON named.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisvalid)`

const live = (indexes: string) => `
  SELECT wanted.name, c.relkind,
    (SELECT coalesce(json_object_agg(a.attname, json_build_object('type', format_type(a.atttypid, a.atttypmod),
        'notNull', a.attnotnull, 'hasDefault', a.atthasdef OR a.attidentity <> '',
        'always', CASE WHEN a.attgenerated = 's' THEN 'stored' WHEN a.attgenerated <> '' THEN 'virtual'
          WHEN a.attidentity = 'a' THEN 'identity' END,
        'collation', l.collname, 'deterministic', coalesce(l.collisdeterministic, true))), '{}')
      FROM pg_attribute AS a LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    (SELECT json_build_object('constraint', k.conname, 'deferrable', k.condeferrable, 'columns',
        (SELECT json_agg(a.attname ORDER BY place) FROM unnest(k.conkey) WITH ORDINALITY AS part (attnum, place)
          JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = part.attnum))
      FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype = 'p') AS primary_key,
    c.relkind = 'p' AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid) AS without_partitions,
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
        kind: KINDS[String(row.relkind)] ?? 'relation of another kind',
        columns: new Map(Object.entries(row.columns as Record<string, LiveColumn>)),
        primaryKey: (row.primary_key as LiveTable['primaryKey'] | null) ?? undefined,
        indexes: row.indexes as readonly WantedIndex[],
        partitioned: row.relkind === 'p',
        withoutPartitions: row.without_partitions === true,
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
      const article = /^[aeiou]/.test(found.kind) ? 'an' : 'a'
      const what = `${table} is ${article} ${found.kind}, not a table`
      return [{ table, what, blocks: true, sql: { up: note, down: note } }]
    }
    return [
      ...wanted.columns.flatMap(column => columnDifferences(table, column, found.columns.get(column.name))),
      ...neededColumns(wanted, found),
      ...missingPartitions(table, found),
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
    // Under a collation that takes different texts for equal ones, a value would replace that of another key.
    differs(what, !found.deterministic, to('C'), to(found.collation ?? 'default'))
  }
  if (found.always !== null) {
    const what = `${place} is GENERATED ALWAYS, and the definition fills it`
    const [up, down] = {
      stored: [`ALTER COLUMN ${name} DROP EXPRESSION`, `ALTER COLUMN ${name} DROP DEFAULT`],
      virtual: [`DROP COLUMN ${name}, ADD COLUMN ${name} ${columnType(wanted)}`, `ALTER COLUMN ${name} DROP DEFAULT`],
      identity: [`ALTER COLUMN ${name} DROP IDENTITY`, `ALTER COLUMN ${name} ADD GENERATED ALWAYS AS IDENTITY`],
    }[found.always] as [string, string]
    differs(what, true, up, down)
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

function missingPartitions(table: string, { withoutPartitions }: LiveTable): TableDifference[] {
  if (!withoutPartitions) return []
  const note = `-- CREATE TABLE … PARTITION OF ${identifier(table)} …`
  return [{ table, what: `${table} is partitioned and has no partition`, blocks: true, sql: { up: note, down: note } }]
}

function keyDifference({ name: table, primaryKey }: WantedTable, { primaryKey: found }: LiveTable): TableDifference[] {
  const isSame = found !== undefined && found.columns.join() === primaryKey.join()
  if (isSame && !found.deferrable) return []
  const key = (columns: readonly string[]) => `(${columns.map(identifier).join(', ')})`
  const name = identifier(found?.constraint ?? shortened(`${table}_pkey`))
  const alter = `ALTER TABLE ${identifier(table)}`
  const drop = `DROP CONSTRAINT ${name}`
  const add = (columns: readonly string[]) => `ADD CONSTRAINT ${name} PRIMARY KEY ${key(columns)}`
  const deferrable = found?.deferrable ? ' DEFERRABLE' : ''
  const has = found === undefined ? 'no primary key' : `the primary key ${key(found.columns)}${deferrable}`
  return [
    {
      table,
      what: `${table} has ${has}; the definition needs ${key(primaryKey)}${isSame ? ', which each statement checks' : ''}`,
      blocks: true,
      sql: {
        up: `${alter} ${found === undefined ? '' : `${drop}, `}${add(primaryKey)};`,
        down: `${alter} ${drop}${found === undefined ? '' : `, ${add(found.columns)}${deferrable}`};`,
      },
    },
  ]
}

function missingIndexes({ name: table, indexes }: WantedTable, live: LiveTable): TableDifference[] {
  return indexes
    .filter(index => !live.indexes.some(({ columns }) => columns === index.columns))
    .map(index => {
      const drop = `DROP INDEX ${identifier(index.name)};`
      // One over a column of another type has our name, and another definition.
      const taken = live.indexes.find(({ name }) => name === index.name)
      const create = createIndex(table, index)
      return {
        table,
        what: `${table} has no index on ${index.columns}: each page of its list would sort the whole table`,
        blocks: false,
        sql: taken === undefined ? { up: create, down: drop } : { up: `${drop}\n${create}`, down: '' },
      }
    })
}
