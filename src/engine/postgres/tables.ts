import { type ColumnPlan, SOURCE_COLUMNS, STORED_AT, type StreamPlan, type TablePlan } from '../definition/plan.ts'
import { getter } from '../definition/rows.ts'
import { timestampToInt64 } from '../timestamp.ts'
import type { Column, Statement, Tables } from '../value-sql.ts'
import type { ReadyRecord } from '../verdict.ts'
import { columnArrays, type RowColumn } from './column-arrays.ts'
import { toParameter } from './column-values.ts'
import { copyRowsOf } from './copy-rows.ts'
import { createCopies } from './copy-statements.ts'
import { identifier } from './identifiers.ts'
import { statementName } from './statement-name.ts'

/** A column of a statement's input, and where its values come from. */
interface Field<Row> {
  /** As SQL writes it. */
  readonly name: string
  readonly type: Column['type']
  readonly of: (row: Row) => unknown
}

type Ready = ReadyRecord<unknown>
/** A row of a child table. */
interface ChildRow {
  readonly key: string
  readonly value: unknown
  /** The object or entry that it holds. */
  readonly part: unknown
  readonly position: number
}

/** Fields that share their rows, and with them the parameters' length. */
interface Group {
  readonly fields: readonly Field<never>[]
  columns(records: readonly Ready[]): Column[]
}

function groupOf<Row>(fields: readonly Field<Row>[], rows: (records: readonly Ready[]) => readonly Row[]): Group {
  return {
    fields,
    columns(records) {
      const input = rows(records)
      return fields.map(({ type, of }) => ({ type, values: input.map(of) }) as Column)
    },
  }
}

const SOURCE: readonly Field<Ready>[] = [
  { name: SOURCE_COLUMNS[0], type: 'text', of: row => row.origin.topic },
  { name: SOURCE_COLUMNS[1], type: 'int4', of: row => row.origin.partition },
  { name: SOURCE_COLUMNS[2], type: 'int8', of: row => row.origin.offset },
  { name: SOURCE_COLUMNS[3], type: 'int8', of: row => timestampToInt64(row.origin.timestampMs) },
]

/** The statements that write values into the tables of a plan. */
export function createTables<T>(plan: StreamPlan): Tables<T> {
  const key: Field<Ready> = { name: identifier(plan.key.column), type: 'text', of: row => row.key }
  const rootFields = [...plan.root.columns.map(column => recordField(column)), ...keptField(plan)]
  // A child with a row for each record shares the record's key, `$1`; the others have keys of their own.
  const always = plan.children.filter(child => child.kind === 'one' && !child.optional)
  const own = plan.children.filter(child => !always.includes(child))
  const alwaysFields = new Map(
    always.map(child => [child, child.columns.map(column => recordField(column, child.path))]),
  )
  const ownKeys = new Map(own.map(child => [child, childKey(plan, child)]))
  const ownFields = new Map(own.map(child => [child, child.columns.map(childField)]))

  const groups = [
    groupOf([key, ...SOURCE, ...rootFields, ...[...alwaysFields.values()].flat()], ready => ready),
    ...own.map(child => groupOf([...(ownKeys.get(child) ?? []), ...(ownFields.get(child) ?? [])], childRows(child))),
  ]
  const parameters = groups.flatMap(({ fields }) => fields)

  const children = plan.children.map(child =>
    insertWritten(
      child,
      alwaysFields.has(child) ? [key] : (ownKeys.get(child) ?? []),
      alwaysFields.get(child) ?? ownFields.get(child) ?? [],
    ),
  )
  const encode = copyRowsOf(plan)
  const inRows = rowColumns(plan, own)
  const upsertText = upsertOf()
  const trim = trimOf(plan)
  const names = { upsert: statementName(plan.stream, 'upsert'), trim: statementName(plan.stream, 'trim') }

  return {
    upsert(ready) {
      const statement = { name: names.upsert, text: upsertText }
      // Rows that are encoded already spare the values; those of other records are encoded with them.
      if (ready.some(({ rows }) => rows !== undefined)) {
        return { ...statement, columns: [], arrays: columnArrays(inRows, encode(ready, 0n)) }
      }
      return { ...statement, columns: groups.flatMap(group => group.columns(ready)) }
    },
    trim: ready =>
      trim === undefined ? undefined : { name: names.trim, text: trim.text, columns: trim.columns(ready) },
    ...createCopies<T>(plan),
  }

  /** `unnest($1::text[], …) AS input (key, …)`: the rows of these fields. */
  function rowsOf(fields: readonly Field<never>[]): string {
    const list = fields.map(field => `$${parameters.indexOf(field) + 1}::${field.type}[]`)
    return `unnest(${list.join(', ')}) AS input (${namesOf(fields)})`
  }

  /** The other tables follow the root table: only what it took is written there. */
  function insertWritten(
    table: TablePlan,
    keys: readonly Field<never>[],
    fields: readonly Field<never>[],
  ): { readonly table: TablePlan; readonly text: string } {
    const conflict = fields.length === 0 ? 'DO NOTHING' : `DO UPDATE SET ${replace(fields)}`
    return {
      table,
      text: `INSERT INTO ${table.sqlName} (${namesOf([...keys, ...fields])})
    SELECT * FROM ${rowsOf([...keys, ...fields])} WHERE input.${key.name} IN (SELECT ${key.name} FROM written)
    ON CONFLICT (${namesOf(keys)}) ${conflict}`,
    }
  }

  /**
   * One statement for all tables. The root table goes first, under the stale guard, and the row locks that it takes (in the order
   * of the input, which is sorted by key) keep every other writer of these values out until the end of the transaction.
   *
   * The guard implements the same order as `compareOrigins`; a contract test verifies that they agree.
   *
   * Whether a row was inserted or replaced must be known for certain, also when another transaction inserted it after this
   * statement took its snapshot; neither a look at the table beforehand nor in this statement would see that row. So it is
   * read from the row that was written: an insert stores the transaction's start as `stored_at`, an update something later.
   * (`xmax = 0`, the usual trick, is no documented behaviour, and fails on partitioned tables; `RETURNING old` needs 18.)
   *
   * What was not written is a duplicate when the stored position is the arriving one, else stale. The look at the stored
   * row uses the statement's snapshot: two readings of one record at the same moment may count one of them as stale.
   * The scalar subquery, unlike EXISTS, is never planned as a hash of the whole table.
   */
  function upsertOf(): string {
    const root = plan.root.sqlName
    const parts = stepNames(plan)
    const steps = children.map(({ text }, index) => `, ${parts[index]} AS (\n    ${text}\n  )`)
    return `
  WITH written AS (
    INSERT INTO ${root} AS stored (${namesOf([key, ...SOURCE, ...rootFields])}, ${STORED_AT})
    SELECT input.*, now() FROM ${rowsOf([key, ...SOURCE, ...rootFields])}
    ON CONFLICT (${key.name}) DO UPDATE
      SET ${replace([...SOURCE, ...rootFields])}, ${STORED_AT} = greatest(now(), stored.${STORED_AT}) + interval '1 microsecond'
      WHERE CASE
        WHEN stored.source_topic = excluded.source_topic AND stored.source_partition = excluded.source_partition
        THEN excluded.source_offset > stored.source_offset
        ELSE excluded.source_timestamp >= stored.source_timestamp
      END
    RETURNING stored.${key.name}, stored.${STORED_AT} <> now() AS replaced
  )${steps.join('')}
  SELECT input.${key.name} AS key,
    CASE
      WHEN written.${key.name} IS NOT NULL THEN 'written'
      WHEN (
        SELECT (stored.source_topic, stored.source_partition, stored.source_offset)
             = (input.source_topic, input.source_partition, input.source_offset)
        FROM ${root} AS stored WHERE stored.${key.name} = input.${key.name}
      ) THEN 'duplicate'
      ELSE 'stale'
    END AS outcome,
    coalesce(written.replaced, false) AS replaced
  FROM ${rowsOf([key, ...SOURCE])} LEFT JOIN written ON written.${key.name} = input.${key.name}`
  }
}

/** Where the rows of COPY hold the parameters of the upsert, in its order. @param own children with keys of their own */
function rowColumns(plan: StreamPlan, own: readonly TablePlan[]): RowColumn[] {
  const tables = [plan.root, ...plan.children]
  const key: RowColumn = { type: 'text', table: 0, field: 0 }
  const columnsOf = (child: TablePlan): RowColumn[] => {
    const before = child.kind === 'many' ? 2 : 1
    const table = tables.indexOf(child)
    return child.columns.map(({ type }, index) => ({ type, table, field: before + index }))
  }
  const kept = plan.keep === undefined ? 0 : 1
  const source = 1 + plan.root.columns.length + kept
  return [
    key,
    ...SOURCE.map(({ type }, index): RowColumn => ({ type, table: 0, field: source + index })),
    ...columnsOf(plan.root),
    ...(kept === 0 ? [] : [{ type: 'jsonb', table: 0, field: source - 1 } as const]),
    ...plan.children.filter(child => !own.includes(child)).flatMap(columnsOf),
    ...own.flatMap((child): RowColumn[] => {
      const table = tables.indexOf(child)
      const position: RowColumn[] = child.kind === 'many' ? [{ type: 'int4', table, field: 1 }] : []
      return [{ type: 'text', table, field: 0 }, ...position, ...columnsOf(child)]
    }),
  ]
}

function recordField({ name, type, path, from }: ColumnPlan, base: readonly string[] = []): Field<Ready> {
  const get = from ?? getter([...base, ...(path ?? [])])
  return { name: identifier(name), type, of: parameter(type, row => get(row.value)) }
}

function keptField({ keep }: StreamPlan): Field<Ready>[] {
  return keep === undefined ? [] : [{ name: identifier(keep), type: 'jsonb', of: parameter('jsonb', row => row.value) }]
}

function childField({ name, type, path, from }: ColumnPlan): Field<ChildRow> {
  const get = getter(path ?? [])
  const of = from === undefined ? (row: ChildRow) => get(row.part) : (row: ChildRow) => from(row.value, row.part)
  return { name: identifier(name), type, of: parameter(type, of) }
}

function parameter<Row>(type: Column['type'], get: (row: Row) => unknown): (row: Row) => unknown {
  const convert = toParameter(type)
  return convert === undefined ? row => get(row) ?? null : row => convert(get(row))
}

function childKey(plan: StreamPlan, child: TablePlan): Field<ChildRow>[] {
  const key: Field<ChildRow> = { name: identifier(plan.key.column), type: 'text', of: row => row.key }
  if (child.kind === 'one') return [key]
  return [key, { name: identifier(child.position), type: 'int4', of: row => row.position }]
}

function childRows({ kind, path }: TablePlan): (records: readonly Ready[]) => ChildRow[] {
  const at = getter(path)
  return records => {
    const rows: ChildRow[] = []
    for (const { key, value } of records) {
      const found = at(value) ?? undefined
      if (found === undefined) continue
      if (kind === 'one') rows.push({ key, value, part: found, position: 0 })
      else
        for (const [position, part] of (found as readonly unknown[]).entries())
          rows.push({ key, value, part, position })
    }
    return rows
  }
}

/** Rows that an earlier version had, and this one has not: entries beyond its end, and objects that are absent. */
function trimOf(
  plan: StreamPlan,
): { readonly text: string; readonly columns: (records: readonly Ready[]) => Statement['columns'] } | undefined {
  const shrinking = plan.children.filter(child => child.kind === 'many' || child.optional)
  const key = identifier(plan.key.column)
  const deletes = shrinking.map((child, index) => {
    const surplus = child.kind === 'many' ? `stored.${identifier(child.position)} >= kept.count` : 'kept.count = 0'
    return `
  DELETE FROM ${child.sqlName} AS stored USING unnest($1::text[], $${index + 2}::int4[]) AS kept (${key}, count)
  WHERE stored.${key} = kept.${key} AND ${surplus}`
  })
  const last = deletes.pop()
  if (last === undefined) return undefined
  const first = deletes.map((text, index) => `trim_${index + 1} AS (${text}\n  )`)
  return {
    text: first.length === 0 ? last : `\n  WITH ${first.join(', ')}${last}`,
    columns: records => [
      { type: 'text', values: records.map(record => record.key) },
      ...shrinking.map((child): Column => {
        const table = 1 + plan.children.indexOf(child)
        return { type: 'int4', values: records.map(record => rowsIn(child, table, record)) }
      }),
    ],
  }
}

/** How many rows of a table the record has. @param table its place among those of the plan */
function rowsIn({ kind, path }: TablePlan, table: number, record: Ready): number {
  const { rows } = record
  if (rows !== undefined) return rows.bytes.readInt32BE(rows.at + 8 * table + 4)
  const found = getter(path)(record.value) ?? undefined
  if (found === undefined) return 0
  return kind === 'many' ? (found as readonly unknown[]).length : 1
}

/** Names of the statement's steps, for readers of a query plan: a table's name in the singular. */
function stepNames({ root, children }: StreamPlan): string[] {
  const taken = new Set(['written', 'stored', 'input', root.name, ...children.map(({ name }) => name)])
  return children.map(({ name }, index) => {
    const singular = name.replace(/ies$/, 'y').replace(/s$/, '')
    const step = taken.has(singular) || singular === '' ? `step_${index + 1}` : singular
    taken.add(step)
    return identifier(step)
  })
}

function namesOf(fields: readonly Field<never>[]): string {
  return fields.map(field => field.name).join(', ')
}

function replace(fields: readonly Field<never>[]): string {
  return fields.map(({ name }) => `${name} = excluded.${name}`).join(', ')
}
