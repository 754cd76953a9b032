import type { Violation } from '../dead-letter.ts'
import type { RecordBytes } from '../stream.ts'
import type { Verdict } from '../verdict.ts'
import type { ColumnPlan, StreamPlan, TablePlan } from './plan.ts'
import { getter } from './rows.ts'
import { pointerOf } from './schema.ts'

/** SQL types of columns with numbers by their place in the value, as the validator asks: it rejects what they would round. */
export function numberColumns(plan: StreamPlan): Record<string, string> {
  const columns: Record<string, string> = {}
  for (const table of [plan.root, ...plan.children]) {
    for (const { path, type, ddl } of table.columns) {
      if (path !== undefined && (type === 'int4' || type === 'numeric')) columns[placeOf(table, path)] = ddl
    }
  }
  return columns
}

/**
 * Adds what only columns demand of a value that its schema takes: a `uuid` column gives every uuid back in lower case, so that another
 * form would not be served as it was sent; and a computed column must not fail while a batch is written.
 * @throws (from the function that it returns) what a computed column throws: the record is to blame
 */
export function withColumnRules<T>(
  plan: StreamPlan,
  validate: (record: RecordBytes) => Verdict<T>,
): (record: RecordBytes) => Verdict<T> {
  const rules = [plan.root, ...plan.children].flatMap(table => table.columns.flatMap(column => ruleOf(table, column)))
  if (rules.length === 0) return validate
  return record => {
    const verdict = validate(record)
    if (!verdict.ok) return verdict
    const violations = rules.flatMap(rule => rule(verdict.value)).slice(0, MAX_VIOLATIONS)
    const [first] = violations
    if (first === undefined) return verdict
    const { keyword: error, pointer, message } = first
    const rejection = {
      reason: 'schema_violation',
      error,
      pointer,
      message: `${pointer} ${message}`,
      violations,
    } as const
    return { ok: false, key: verdict.key, rejection }
  }
}

const MAX_VIOLATIONS = 10

type Rule = (value: unknown) => Violation[]

function ruleOf(table: TablePlan, column: ColumnPlan): Rule[] {
  const { path, from, type } = column
  if (from !== undefined) {
    return [
      value => {
        for (const [part] of partsOf(table, value)) checkComputed(column, from(value, part))
        return []
      },
    ]
  }
  if (type !== 'uuid' || path === undefined) return []
  const get = getter(path)
  return [
    value =>
      partsOf(table, value).flatMap(([part, at]) => {
        const text = get(part)
        if (typeof text !== 'string' || UUID.test(text)) return []
        const pointer = pointerOf([...at, ...path])
        const because = `because the column ${column.name} (uuid) gives it back so`
        if (UUID.test(text.toLowerCase())) {
          return [{ pointer, keyword: 'uuid_case', message: `must be in lower case, ${because}` }]
        }
        return [
          {
            pointer,
            keyword: 'uuid_form',
            message: `must be its 36 characters alone, without "urn:uuid:", ${because}`,
          },
        ]
      }),
  ]
}

/** As Postgres writes it. The format takes `urn:uuid:…`, too. */
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** The objects whose rows a table holds, each with its place. */
function partsOf({ kind, path }: TablePlan, value: unknown): [part: unknown, at: readonly string[]][] {
  const found = getter(path)(value) ?? undefined
  if (found === undefined) return []
  if (kind !== 'many') return [[found, path]]
  return (found as readonly unknown[]).map((entry, index) => [entry, [...path, String(index)]])
}

const JAVASCRIPT: Readonly<Record<ColumnPlan['type'], readonly string[]>> = {
  text: ['string'],
  int8: ['number', 'bigint'],
  int4: ['number'],
  bool: ['boolean'],
  float8: ['number'],
  numeric: ['number', 'bigint', 'string'],
  timestamptz: ['string', 'bigint'],
  date: ['string'],
  uuid: ['string'],
  jsonb: ['string', 'number', 'boolean', 'object'],
}

function checkComputed({ name, type, ddl }: ColumnPlan, value: unknown): void {
  if (value === null || value === undefined || JAVASCRIPT[type].includes(typeof value)) return
  throw new TypeError(`the computed column ${name} (${ddl}) gave a ${typeof value}`)
}

/** The place in a value, the entries of an array under `*`. */
export function placeOf(table: TablePlan, path: readonly string[]): string {
  return `${pointerOf(table.path)}${table.kind === 'many' ? '/*' : ''}${pointerOf(path)}`
}
