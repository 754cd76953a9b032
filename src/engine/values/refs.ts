import type { JsonSchema } from '../definition.ts'
import { segmentsOf } from './pointer.ts'

/** A mistake in a schema: where it stands, as a URI fragment (`#/properties/address`), and what to do about it. */
export interface SchemaProblem {
  readonly at: string
  readonly message: string
}

export function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * The schema that a `$ref` leads to, `#` or `#/…` within the document.
 * @returns a sentence when it leads nowhere or out of the document
 */
export function resolve(root: JsonSchema, ref: unknown): JsonSchema | string {
  if (typeof ref !== 'string' || !/^#(?:\/|$)/.test(ref)) {
    return `its $ref ${JSON.stringify(ref)} leads out of the document; put that schema under $defs and write "#/$defs/NAME"`
  }
  let found: unknown = root
  for (const segment of segmentsOf(decode(ref.slice(1)))) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, segment)) {
      return `its $ref ${JSON.stringify(ref)} leads nowhere`
    }
    found = (found as Record<string, unknown>)[segment]
  }
  if (found === true) return {}
  return isSchema(found) ? found : `its $ref ${JSON.stringify(ref)} leads to something that is no schema`
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Keywords that only describe. */
export const ANNOTATIONS = [
  '$comment',
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
]
/** The target of a `$ref` may repeat these keywords. */
const REPEATABLE = new Set([...ANNOTATIONS, '$defs', 'definitions'])

/**
 * The schema without `$ref`: where one stands, there is what it leads to, with what stands beside it.
 * @returns problems when one cannot be followed, leads in a circle, or when two keywords would have to be merged
 */
export function withoutRefs(root: JsonSchema): {
  readonly schema: JsonSchema
  readonly problems: readonly SchemaProblem[]
} {
  const problems: SchemaProblem[] = []
  let nodes = 0

  function expand(value: unknown, at: string, followed: readonly unknown[], isNode: boolean): unknown {
    if (Array.isArray(value)) return value.map((entry, index) => expand(entry, `${at}/${index}`, followed, isNode))
    if (!isSchema(value)) return value
    if (++nodes > MAX_NODES) return {}
    if (isNode && value.$ref !== undefined) return follow(value, at, followed)
    return Object.fromEntries(
      Object.entries(value).flatMap(([name, inner]): [string, unknown][] => {
        // Whatever is under $defs is looked at where a $ref leads to it.
        if (isNode && (name === '$defs' || name === 'definitions')) return []
        // A map of schemas has names of the user, none of which is a keyword; values of const, enum and the like are data.
        const kind = isNode ? (SUBSCHEMAS.get(name) ?? 'data') : 'node'
        if (kind === 'data') return [[name, inner]]
        return [[name, expand(inner, `${at}/${name}`, followed, kind === 'node')]]
      }),
    )
  }

  function follow(value: JsonSchema, at: string, followed: readonly unknown[]): unknown {
    const { $ref, ...beside } = value
    if (followed.includes($ref)) {
      problems.push({
        at,
        message: `its $ref ${JSON.stringify($ref)} leads in a circle; a value of any depth has no columns: give the place no type, and it is kept as jsonb`,
      })
      return {}
    }
    const target = resolve(root, $ref)
    if (typeof target === 'string') {
      problems.push({ at, message: target })
      return {}
    }
    for (const name of Object.keys(beside)) {
      if (!REPEATABLE.has(name) && Object.hasOwn(target, name)) {
        problems.push({
          at: `${at}/${name}`,
          message: `stands beside a $ref that leads to another "${name}"; write both in one schema, or the $ref under allOf`,
        })
      }
    }
    return expand({ ...target, ...beside }, at, [...followed, $ref], true)
  }

  const schema = expand(root, '#', [], true) as JsonSchema
  if (nodes > MAX_NODES)
    problems.push({ at: '#', message: `has more than ${MAX_NODES} places once each $ref is followed; make it smaller` })
  return { schema, problems }
}

const MAX_NODES = 10_000

/** Keywords that hold schemas: one (or a list of them), or a map from names of the user to schemas. All others hold data. */
export const SUBSCHEMAS: ReadonlyMap<string, 'node' | 'map'> = new Map([
  ...each('node', [
    'items',
    'additionalProperties',
    'contains',
    'propertyNames',
    'unevaluatedProperties',
    'unevaluatedItems',
  ]),
  ...each('node', ['not', 'if', 'then', 'else', 'allOf', 'anyOf', 'oneOf']),
  ...each('map', ['properties', 'dependentSchemas', '$defs', 'definitions']),
])

function each<K extends string>(kind: K, names: readonly string[]): [string, K][] {
  return names.map(name => [name, kind])
}
