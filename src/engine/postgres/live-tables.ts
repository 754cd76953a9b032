import type { StreamPlan } from '../definition/plan.ts'
import { identifier, qualified, shortened } from './identifiers.ts'
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

/** What the database has under the names of a stream's tables. */
export interface LiveTables {
  /** By name; absent where the schema of the stream has no such relation. */
  readonly tables: ReadonlyMap<string, LiveTable>
  /** By name: the other schema in which the search path of the session finds a table of this name. No statement goes there. */
  readonly elsewhere: ReadonlyMap<string, string>
  /** The user of the session, where it lacks USAGE on the schema of the stream. */
  readonly barred: string | undefined
}

/** A place where the database is not as the definition needs it. */
export interface TableDifference {
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
  SELECT wanted.name, c.relkind, found.schema AS elsewhere,
    CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE') THEN current_user::text END AS barred,
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
  FROM unnest($2::text[]) AS wanted (name)
    LEFT JOIN (pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = $1::text) ON c.relname = wanted.name
    LEFT JOIN LATERAL (
      SELECT s.nspname AS schema FROM pg_class AS o JOIN pg_namespace AS s ON s.oid = o.relnamespace
      WHERE o.oid = to_regclass(quote_ident(wanted.name)) AND o.relkind IN ('r', 'p') AND s.nspname <> $1::text
    ) AS found ON true`

/**
 * @param options.indexes whether to read them: the definition of one with an expression waits for whatever session has locked its table
 * @throws what `ask` throws
 */
export async function readLiveTables(
  ask: AskRows,
  { schema, root, children }: Pick<StreamPlan, 'schema' | 'root' | 'children'>,
  options = { indexes: true },
): Promise<LiveTables> {
  const names = [root, ...children].map(({ name }) => name)
  const rows = await ask(live(options.indexes ? INDEXES : `'[]'::json`), [schema, names])
  const there = rows.filter(({ relkind }) => relkind !== null)
  const elsewhere = rows.filter(row => row.elsewhere !== null)
  return {
    tables: new Map(there.map(row => [String(row.name), toTable(row)])),
    elsewhere: new Map(elsewhere.map(row => [String(row.name), String(row.elsewhere)])),
    barred: there.map(row => row.barred as string | null).find(user => user !== null),
  }
}

function toTable(row: Readonly<Record<string, unknown>>): LiveTable {
  return {
    kind: KINDS[String(row.relkind)] ?? 'relation of another kind',
    columns: new Map(Object.entries(row.columns as Record<string, LiveColumn>)),
    primaryKey: (row.primary_key as LiveTable['primaryKey'] | null) ?? undefined,
    indexes: row.indexes as readonly WantedIndex[],
    partitioned: row.relkind === 'p',
    withoutPartitions: row.without_partitions === true,
  }
}

/** Each difference, in the order of the tables and their columns. None: a migration has nothing to do. */
export function tableDifferences(plan: StreamPlan, { tables, elsewhere, barred }: LiveTables): TableDifference[] {
  const differences = wantedTables(plan).flatMap(wanted => {
    const { name, title } = wanted
    const found = tables.get(name)
    if (found === undefined) {
      const other = elsewhere.get(name)
      const hint = other === undefined ? '' : `; ${otherSchema('one of that name', other)}`
      return [{ what: `there is no table ${wanted.sqlName}${hint}`, blocks: true, sql: createTable(wanted) }]
    }
    if (found.kind !== 'table') {
      const note = `-- ${title} has to be a table: rename the ${found.kind}, or the table in the definition`
      const article = /^[aeiou]/.test(found.kind) ? 'an' : 'a'
      const what = `${title} is ${article} ${found.kind}, not a table`
      return [{ what, blocks: true, sql: { up: note, down: note } }]
    }
    return [
      ...wanted.columns.flatMap(column => columnDifferences(wanted, column, found.columns.get(column.name))),
      ...neededColumns(wanted, found),
      ...missingPartitions(wanted, found),
      ...keyDifference(wanted, found),
      ...missingIndexes(wanted, found),
    ]
  })
  return barred === undefined ? differences : [missingUsage(plan, barred), ...differences]
}

/** A user without USAGE on a schema may read no table of it, whatever rights it has on the table. */
function missingUsage({ schema }: StreamPlan, user: string): TableDifference {
  const right = (verb: string, to: string) => `${verb} USAGE ON SCHEMA ${identifier(schema)} ${to} ${identifier(user)};`
  return {
    what: `the user ${user} may not use the schema ${schema}, in which the tables stand`,
    blocks: true,
    sql: { up: right('GRANT', 'TO'), down: right('REVOKE', 'FROM') },
  }
}

/**
 * Until 0.2 statements named tables without a schema, so that an installation which relied on that has them where the search path leads.
 * @param what is found: "one of that name"
 */
export function otherSchema(what: string, schema: string): string {
  return `search_path finds ${what} in the schema ${schema}, which no statement looks through: if it is meant, the definition needs tablesIn: '${schema}'`
}

/** Where the search path finds tables of these names instead: a clause for each schema. */
export function foundElsewhere({ elsewhere }: LiveTables): string[] {
  return [...new Set(elsewhere.values())].map(schema => {
    const names = [...elsewhere.keys()].filter(name => elsewhere.get(name) === schema)
    return otherSchema(names.join(', '), schema)
  })
}

/** The same, where it should be known although nothing is missing: a definition that names a schema was written with others in mind. */
export function perhapsMeant({ namesSchema }: Pick<StreamPlan, 'namesSchema'>, live: LiveTables): string[] {
  return namesSchema ? [] : foundElsewhere(live)
}

function columnDifferences(
  { sqlName, title }: WantedTable,
  wanted: WantedColumn,
  found: LiveColumn | undefined,
): TableDifference[] {
  const name = identifier(wanted.name)
  const place = `${title}.${wanted.name}`
  const alter = (action: string) => `ALTER TABLE ${sqlName} ${action};`
  if (found === undefined) {
    const hint = wanted.notNull ? ' -- existing rows need a value: give the column a DEFAULT' : ''
    const sql = {
      up: `${alter(`ADD COLUMN ${name} ${columnType(wanted)}`)}${hint}`,
      down: alter(`DROP COLUMN ${name}`),
    }
    return [{ what: `there is no column ${place} (${wanted.type})`, blocks: true, sql }]
  }
  const differences: TableDifference[] = []
  function differs(what: string, blocks: boolean, up: string, down: string): void {
    differences.push({ what, blocks, sql: { up: alter(up), down: alter(down) } })
  }
  if (found.type !== wanted.type) {
    const alterType = (from: string, to: string) => `ALTER COLUMN ${name} TYPE ${to} USING ${converted(name, from, to)}`
    const what = `${place} has the type ${found.type}; the definition needs ${wanted.type}`
    differs(what, true, alterType(found.type, wanted.type), alterType(wanted.type, found.type))
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

/** Few types have a cast to or from jsonb, and that of a text would parse it. */
function converted(name: string, from: string, to: string): string {
  if (to === 'jsonb' && from !== 'json') return `to_jsonb(${name})`
  if (from === 'jsonb' && to !== 'json') return `(${name} #>> '{}')::${to}`
  return `${name}::${to}`
}

/** A column that the definition does not know matters only where no row can be written without it. */
function neededColumns({ sqlName, title, columns }: WantedTable, live: LiveTable): TableDifference[] {
  const known = new Set(columns.map(({ name }) => name))
  const needed = [...live.columns].filter(
    ([name, { notNull, hasDefault }]) => !known.has(name) && notNull && !hasDefault,
  )
  return needed.map(([name]) => {
    const alter = `ALTER TABLE ${sqlName} ALTER COLUMN ${identifier(name)}`
    return {
      what: `${title}.${name} is NOT NULL without a default, and the definition does not fill it`,
      blocks: true,
      sql: { up: `${alter} DROP NOT NULL;`, down: `${alter} SET NOT NULL;` },
    }
  })
}

function missingPartitions({ sqlName, title }: WantedTable, { withoutPartitions }: LiveTable): TableDifference[] {
  if (!withoutPartitions) return []
  const note = `-- CREATE TABLE … PARTITION OF ${sqlName} …`
  return [{ what: `${title} is partitioned and has no partition`, blocks: true, sql: { up: note, down: note } }]
}

function keyDifference(
  { name: table, sqlName, title, primaryKey }: WantedTable,
  { primaryKey: found }: LiveTable,
): TableDifference[] {
  const isSame = found !== undefined && found.columns.join() === primaryKey.join()
  if (isSame && !found.deferrable) return []
  const key = (columns: readonly string[]) => `(${columns.map(identifier).join(', ')})`
  const name = identifier(found?.constraint ?? shortened(`${table}_pkey`))
  const alter = `ALTER TABLE ${sqlName}`
  const drop = `DROP CONSTRAINT ${name}`
  const add = (columns: readonly string[]) => `ADD CONSTRAINT ${name} PRIMARY KEY ${key(columns)}`
  const deferrable = found?.deferrable ? ' DEFERRABLE' : ''
  const has = found === undefined ? 'no primary key' : `the primary key ${key(found.columns)}${deferrable}`
  return [
    {
      what: `${title} has ${has}; the definition needs ${key(primaryKey)}${isSame ? ', which each statement checks' : ''}`,
      blocks: true,
      sql: {
        up: `${alter} ${found === undefined ? '' : `${drop}, `}${add(primaryKey)};`,
        down: `${alter} ${drop}${found === undefined ? '' : `, ${add(found.columns)}${deferrable}`};`,
      },
    },
  ]
}

function missingIndexes({ schema, sqlName, title, indexes }: WantedTable, live: LiveTable): TableDifference[] {
  return indexes
    .filter(index => !live.indexes.some(({ columns }) => columns === index.columns))
    .map(index => {
      const drop = `DROP INDEX ${qualified(schema, index.name)};`
      // One over a column of another type has our name, and another definition.
      const taken = live.indexes.find(({ name }) => name === index.name)
      const create = createIndex(sqlName, index)
      return {
        what: `${title} has no index on ${index.columns}: each page of its list would sort the whole table`,
        blocks: false,
        sql: taken === undefined ? { up: create, down: drop } : { up: `${drop}\n${create}`, down: '' },
      }
    })
}
