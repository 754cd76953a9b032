import pg from 'pg'
import { columnNames, type StreamPlan, type TablePlan } from '../definition/plan.ts'
import type { Tables } from '../value-sql.ts'
import { OID } from './binary.ts'
import { copyRowsOf } from './copy-rows.ts'
import { identifier } from './identifiers.ts'
import { statementName } from './statement-name.ts'
import { wantedTables } from './wanted-tables.ts'

/** The statements that write new keys of a plan by COPY, and those that must come before. */
export function createCopies<T>(plan: StreamPlan): Pick<Tables<T>, 'beforeCopy' | 'copies'> {
  const tables = [plan.root, ...plan.children]
  const key = identifier(plan.key.column)
  const texts = tables.map(
    table =>
      `COPY ${table.sqlName} (${columnNames(plan, table).map(identifier).join(', ')}) FROM STDIN (FORMAT binary)`,
  )
  const encode = copyRowsOf(plan)
  return {
    beforeCopy: {
      // What an INSERT takes as well, but for all tables before the first row. ONLY: partitions are locked as rows go there.
      lock: `LOCK TABLE ${tables.map(({ sqlName }) => `ONLY ${sqlName}`).join(', ')} IN ROW EXCLUSIVE MODE`,
      obstacle: { name: statementName(plan.stream, 'copy_obstacle'), text: obstacleText(plan), columns: [] },
      known: keys => ({
        // A plan that was made while the table was small would read all of it for ever.
        name: '',
        text: `SELECT ${key} AS key FROM ${plan.root.sqlName} WHERE ${key} = ANY ($1::text[])`,
        columns: [{ type: 'text', values: keys }],
      }),
    },
    copies: (records, storedAtMicros) =>
      encode(records, storedAtMicros)
        .map((data, index) => ({ ...data, text: texts[index] ?? '' }))
        .filter(({ rows }) => rows > 0),
  }
}

/**
 * COPY ignores rules; it fails where row-level security applies; a trigger that suppresses or changes a row does so for the upsert in
 * sight of the statement, which then leaves the other tables alone; and binary fields are not cast: eight bytes of a bigint are a
 * double precision without a word. The start of the service compares the types as well, but a table may be altered while it runs.
 */
function obstacleText(plan: StreamPlan): string {
  const tables = [plan.root, ...plan.children].map(table => {
    const types = typesOf(plan, table)
    const names = `ARRAY[${[...types.keys()].map(pg.escapeLiteral).join(', ')}]::name[]`
    const relation = [table.sqlName, table.title].map(pg.escapeLiteral).join(', ')
    return `(${relation}, ${names}, ARRAY[${[...types.values()].join(', ')}]::oid[])`
  })
  return `
  SELECT (extract(epoch FROM now()) * 1000000)::int8::text AS now, (
    SELECT min(wanted.title || CASE
      WHEN c.relkind NOT IN ('r', 'p') THEN ' is no table'
      WHEN EXISTS (SELECT FROM pg_rewrite WHERE ev_class = c.oid) THEN ' has a rule'
      WHEN row_security_active(c.oid) THEN ' has row-level security for this role'
      WHEN EXISTS (
        SELECT FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 7 = 7
      ) THEN ' has a trigger BEFORE INSERT FOR EACH ROW'
      WHEN cardinality(wanted.columns) <> (
        SELECT count(*) FROM unnest(wanted.columns, wanted.types) AS own (name, type)
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = own.name AND a.atttypid = own.type
      ) THEN ' has a column that differs from the definition'
    END)
    FROM (VALUES ${tables.join(',\n      ')}) AS wanted (name, title, columns, types)
    JOIN pg_class AS c ON c.oid = to_regclass(wanted.name)
  ) AS obstacle`
}

/** By the name of each column: the OID of the type in which its fields are sent. */
function typesOf(plan: StreamPlan, table: TablePlan): Map<string, number> {
  const planned = new Map(table.columns.map(({ name, type }) => [name, OID[type]]))
  const own: Readonly<Record<string, number>> = {
    text: OID.text,
    integer: OID.int4,
    bigint: OID.int8,
    jsonb: OID.jsonb,
    'timestamp with time zone': OID.timestamptz,
  }
  const wanted = wantedTables(plan).find(({ name }) => name === table.name)?.columns ?? []
  return new Map(wanted.map(({ name, type }) => [name, planned.get(name) ?? own[type] ?? 0]))
}
