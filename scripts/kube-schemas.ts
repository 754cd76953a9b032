/** JSON Schemas as kubeconform reads them, of Kubernetes' own OpenAPI and of custom resource definitions. */

export type Definition = Readonly<Record<string, unknown>>

type Node = { [key: string]: unknown }

interface Swagger {
  readonly definitions: Readonly<Record<string, Node>>
}

interface Kind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

interface Crd {
  readonly spec: {
    readonly group: string
    readonly names: { readonly kind: string }
    readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: Node } }[]
  }
}

/**
 * Every kind of Kubernetes: a schema that holds the definitions that it refers to. What is not defined is refused.
 * @returns schemas by the names of their files: `deployment-apps-v1`
 */
export function schemasOfSwagger({ definitions }: Swagger): ReadonlyMap<string, Definition> {
  const closed = new Map(Object.entries(definitions).map(([name, node]) => [name, close(special(name) ?? node)]))
  const schemas = new Map<string, Definition>()
  for (const [name, node] of Object.entries(definitions)) {
    const kinds = (node['x-kubernetes-group-version-kind'] ?? []) as readonly Kind[]
    // Options of requests belong to every group; they are no objects.
    if (kinds.length !== 1) continue
    for (const kind of kinds) {
      const needed = reachable(name, closed)
      schemas.set(fileName(kind), {
        allOf: [{ $ref: `#/definitions/${name}` }, typed(kind)],
        definitions: Object.fromEntries([...needed].map(each => [each, closed.get(each)])),
      })
    }
  }
  return schemas
}

/** @returns schemas by the names of their files: `scaledobject-keda-v1alpha1` */
export function schemasOfCrd({ spec }: Crd): ReadonlyMap<string, Definition> {
  return new Map(
    spec.versions.map(({ name: version, schema }) => {
      const kind = { group: spec.group, version, kind: spec.names.kind }
      return [fileName(kind), { allOf: [close(schema.openAPIV3Schema), typed(kind)] }]
    }),
  )
}

/** kubeconform's `{{.ResourceKind}}{{.KindSuffix}}`. */
function fileName({ group, version, kind }: Kind): string {
  const [short = ''] = group.split('.')
  return [kind.toLowerCase(), ...(short === '' ? [] : [short]), version].join('-')
}

function typed({ group, version, kind }: Kind): Node {
  const apiVersion = group === '' ? version : `${group}/${version}`
  return { required: ['apiVersion', 'kind'], properties: { apiVersion: { const: apiVersion }, kind: { const: kind } } }
}

/** Of types whose JSON is wider than their OpenAPI says. */
function special(name: string): Node | undefined {
  if (name.endsWith('.intstr.IntOrString')) return { type: ['string', 'integer'] }
  if (name.endsWith('.resource.Quantity')) return { type: ['string', 'number'] }
  return undefined
}

/** The same schema, which refuses fields that it does not name. */
function close(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(close)
  if (typeof node !== 'object' || node === null) return node
  const { format, ...rest } = node as Node
  // Formats of OpenAPI are types of Go (int32, byte), not those of JSON Schema.
  const copy = Object.fromEntries(
    Object.entries(rest).map(([key, value]) => [key, key === 'properties' ? each(value) : close(value)]),
  )
  if (node && 'x-kubernetes-int-or-string' in node) copy.type = ['string', 'integer']
  const open = 'additionalProperties' in copy || copy['x-kubernetes-preserve-unknown-fields'] === true
  return 'properties' in copy && !open ? { ...copy, additionalProperties: false } : copy
}

/** Names of fields are no keywords: a field may be called "format". */
function each(properties: unknown): Node {
  return Object.fromEntries(Object.entries(properties as Node).map(([name, node]) => [name, close(node)]))
}

function reachable(from: string, definitions: ReadonlyMap<string, unknown>, found = new Set<string>()): Set<string> {
  if (found.has(from)) return found
  found.add(from)
  for (const [, name = ''] of JSON.stringify(definitions.get(from)).matchAll(/"#\/definitions\/([^"]+)"/g)) {
    reachable(name, definitions, found)
  }
  return found
}
