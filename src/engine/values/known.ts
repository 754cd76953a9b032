import { canonicalInstant, losesPrecision } from './instant.ts'
import { holds, type ObjectShape, type Shape } from './shape.ts'

/** What a copy finds on its way. */
export interface CopyFacts {
  /** The value has fields that the schema does not know; they are left out. */
  unknownFields: boolean
  /** An instant has digits beyond a microsecond, which are cut off. */
  precisionLost: boolean
}

export type Copy<T> = (value: T, facts: CopyFacts) => T

/**
 * Compiles a function that copies the known fields of a valid value, in the order of the schema and each by its name: an own `__proto__`
 * or `constructor` of the input stays behind, and so does everything unknown. Zeros lose their sign, because Postgres has only one zero.
 * What has no schema is copied whole, its fields sorted by name, because `jsonb` does not keep their order.
 *
 * The function is generated, so that it is the object literal that one would write by hand: V8 then makes all copies of one hidden class.
 * @param options.canonical the value comes from a record: its instants are made canonical and unknown fields are noticed; else it has been
 *   copied before
 */
export function compileCopy<T>(shape: ObjectShape, options: { readonly canonical: boolean }): Copy<T> {
  const functions: string[] = []

  /** The expression of a copy. @param from an expression of the value, which is neither absent nor null */
  function copyOf(inner: Shape, from: string): string {
    if (inner.kind !== 'any' && inner.nullable) {
      const copy = copyOf({ ...inner, nullable: false }, from)
      return copy === from ? from : `(${from} === null ? null : ${copy})`
    }
    switch (inner.kind) {
      case 'string':
        return options.canonical && inner.format === 'date-time' ? `instant(${from}, facts)` : from
      case 'integer':
      case 'number':
        return `${from} + 0`
      case 'boolean':
        return from
      case 'any':
        return `plain(${from})`
      case 'object':
        return `${objectFunction(inner)}(${from}, facts)`
      case 'array':
        return `${arrayFunction(inner.entries)}(${from}, facts)`
    }
  }

  function declare(body: string): string {
    const name = `copy${functions.length}`
    functions.push(`function ${name}(v, facts) {\n${body}\n}`)
    return name
  }

  function arrayFunction(entries: Shape): string {
    const copy = copyOf(entries, 'v[i]')
    return declare(`const list = []\nfor (let i = 0; i < v.length; i++) list.push(${copy})\nreturn list`)
  }

  function objectFunction({ members, others }: ObjectShape): string {
    const all = [...members].map(([name, member]) => ({ ...member, name, key: JSON.stringify(name) }))
    const end = all.findIndex(({ required }) => !required)
    const literal = end < 0 ? all : all.slice(0, end)
    const later = end < 0 ? [] : all.slice(end)
    const fields = literal.map(({ key, shape }) => `${key}: ${copyOf(shape, `v[${key}]`)}`)
    const counts = options.canonical && others === undefined
    const required = all.filter(({ required }) => required).length
    const lines: string[] = []
    if (later.length === 0 && others === undefined) {
      if (counts) lines.push(`if (Object.keys(v).length > ${required}) facts.unknownFields = true`)
      return declare([...lines, `return { ${fields.join(', ')} }`].join('\n'))
    }
    lines.push(`const o = { ${fields.join(', ')} }`, `let known = ${required}`)
    for (const { name, key, shape, required } of later) {
      const assignment = `o[${key}] = ${copyOf(shape, `v[${key}]`)}`
      const present = name in Object.prototype ? `Object.hasOwn(v, ${key})` : `v[${key}] !== undefined`
      lines.push(required ? assignment : `if (${present}) { known++; ${assignment} }`)
    }
    if (counts) {
      lines.push('if (Object.keys(v).length > known) facts.unknownFields = true')
    } else if (others !== undefined) {
      const names = JSON.stringify(all.map(({ name }) => name))
      const copy = copyOf(others, 'v[key]')
      lines.push(`for (const key of othersOf(v, ${names})) put(o, key, ${copy})`)
    }
    return declare(`${lines.join('\n')}\nreturn o`)
  }

  const root = objectFunction(shape)
  const build = new Function('instant', 'plain', 'othersOf', 'put', `${functions.join('\n')}\nreturn ${root}`)
  return build(instant, plain, othersOf, put) as Copy<T>
}

/** Whether copies may go as deep as the value itself: its depth must be known first. */
export function copiesAnyDepth(shape: Shape): boolean {
  return holds(shape, inner => inner.kind === 'any')
}

function instant(text: string, facts: CopyFacts): string {
  if (losesPrecision(text)) facts.precisionLost = true
  return canonicalInstant(text)
}

function plain(value: unknown): unknown {
  if (typeof value === 'number') return value + 0
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(plain)
  const copy = {}
  for (const key of Object.keys(value).sort()) put(copy, key, plain((value as Record<string, unknown>)[key]))
  return copy
}

function othersOf(value: object, known: readonly string[]): string[] {
  return Object.keys(value)
    .filter(key => !known.includes(key))
    .sort()
}

/** An assignment to `__proto__` would change the prototype. */
function put(object: object, key: string, value: unknown): void {
  if (key === '__proto__') {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
  } else {
    ;(object as Record<string, unknown>)[key] = value
  }
}
