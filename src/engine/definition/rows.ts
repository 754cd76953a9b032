import type { StreamPlan, TablePlan } from './plan.ts'
import type { Rows, RowValues } from './shape.ts'

/** Reads a place of a value. @returns `undefined` when it, or something on the way, is absent */
export type Getter = (value: unknown) => unknown

/** By the code of the access. It grows with the definitions of a process, and not with its records. */
const made = new Map<string, Getter>()

/**
 * Made as code, once for each path: this runs for each column of each record, and closures over a name share one body, whose accesses V8
 * cannot keep apart.
 */
export function getter(path: readonly string[]): Getter {
  const access = accessCode('value', path)
  const known = made.get(access) ?? (new Function('own', `return value => ${access}`)(own) as Getter)
  made.set(access, known)
  return known
}

/**
 * The expression that reads a place of a value, `undefined` where something on the way is absent.
 * @param from an expression of the value @returns code that may call {@link own} by this name
 */
export function accessCode(from: string, path: readonly string[]): string {
  return path.reduce((code, name) => {
    const quoted = JSON.stringify(name)
    return name in Object.prototype ? `own(${code}, ${quoted})` : `${code}?.[${quoted}]`
  }, from)
}

/** For a field with a name that every object inherits, as `toString`: only an own one is a field of the value. */
export function own(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return (value as Readonly<Record<string, unknown>>)[name]
}

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
