import type { StreamPlan, TablePlan } from './plan.ts'
import type { Rows, RowValues } from './shape.ts'

/** Reads a place of a value. @returns `undefined` when it, or something on the way, is absent */
export type Getter = (value: unknown) => unknown

/** By the length of the path: most are short, and this runs for each column of each record. */
export function getter(path: readonly string[]): Getter {
  const [first, second] = path
  if (first === undefined) return value => value
  if (second === undefined) return value => (value as Known | null | undefined)?.[first]
  if (path.length === 2)
    return value => ((value as Known | null | undefined)?.[first] as Known | null | undefined)?.[second]
  return value => {
    let found = value
    for (const name of path) found = (found as Known | null | undefined)?.[name]
    return found
  }
}

type Known = Readonly<Record<string, unknown>>

/** What the tables hold of a value, in JSON's types; computed columns are `undefined`. */
export function rowsOf(plan: StreamPlan): (value: unknown) => Rows {
  const keyOf = getter(plan.key.path)
  const rootOf = rowOf(plan.root)
  const children = plan.children.map(child => {
    const at = getter(child.path)
    const row = rowOf(child)
    if (child.kind === 'many') {
      return (value: unknown): readonly RowValues[] => ((at(value) ?? []) as readonly unknown[]).map(row)
    }
    return (value: unknown): RowValues | undefined => {
      const object = at(value) ?? undefined
      return object === undefined ? undefined : row(object)
    }
  })
  return value => ({ key: String(keyOf(value)), root: rootOf(value), children: children.map(of => of(value)) })
}

function rowOf(table: TablePlan): (value: unknown) => RowValues {
  const getters = table.columns.map(({ path }) => (path === undefined ? () => undefined : getter(path)))
  return value => getters.map(get => get(value))
}
