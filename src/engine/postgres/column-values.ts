import type { ColumnPlan } from '../definition/plan.ts'
import type { Column } from '../value-sql.ts'
import { formatInstant, parseInstant } from '../values/instant.ts'

type Type = Column['type']

/** A value of JSON, or of a computed column, as the parameter that stands for it; `null` where it is absent. */
export function toParameter(type: Type): ((value: unknown) => unknown) | undefined {
  switch (type) {
    case 'timestamptz':
      return value => (value === undefined || value === null ? null : micros(value))
    case 'numeric':
      return value => (value === undefined || value === null ? null : String(value))
    case 'jsonb':
      return value => (value === undefined || value === null ? null : JSON.stringify(value))
  }
  return undefined
}

/** Computed columns may give the microseconds themselves. */
function micros(value: unknown): bigint {
  return typeof value === 'bigint' ? value : parseInstant(String(value))
}

/** The column as a `SELECT` reads it. @param name with its table's alias; inside JSON a number is cut to what a double holds, so micros are text */
export function selectExpression(type: Type, name: string, inJson: boolean): string {
  switch (type) {
    case 'timestamptz':
      return `(extract(epoch FROM ${name}) * 1000000)::int8${inJson ? '::text' : ''}`
    case 'date':
      // pg would make a Date of it, in the zone of this process.
      return `to_char(${name}, 'YYYY-MM-DD')`
  }
  return name
}

/** What {@link selectExpression} brought, as the value of JSON that was stored. `undefined` for NULL. */
export function fromColumn(type: Type): (value: unknown) => unknown {
  switch (type) {
    case 'int8':
    case 'int4':
    case 'float8':
    case 'numeric':
      return value => (value === null || value === undefined ? undefined : Number(value))
    case 'timestamptz':
      return value => (value === null || value === undefined ? undefined : formatInstant(BigInt(value as string)))
  }
  return value => value ?? undefined
}

/** Whether SQL text is needed to read it back: NULL and text need none. */
export function isComputed({ path }: ColumnPlan): boolean {
  return path === undefined
}
