import { globSync, readFileSync } from 'node:fs'
import { parseAllDocuments } from 'yaml'

export const ROOT = new URL('../../', import.meta.url)

export interface Named {
  readonly name: string
}

export interface Variable extends Named {
  readonly value?: string
  readonly valueFrom?: unknown
}

export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
  readonly periodSeconds: number
  readonly timeoutSeconds: number
  readonly failureThreshold: number
}

export interface Container extends Named {
  readonly image: string
  readonly args: readonly string[]
  readonly env: readonly Variable[]
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
  readonly startupProbe?: Probe
  readonly livenessProbe?: Probe
  readonly readinessProbe?: Probe
  readonly lifecycle?: { readonly preStop: { readonly sleep: { readonly seconds: number } } }
  readonly securityContext: unknown
  readonly resources: {
    readonly requests: Readonly<Record<string, string>>
    readonly limits: Readonly<Record<string, string>>
  }
  readonly volumeMounts: readonly (Named & { readonly mountPath: string; readonly readOnly?: boolean })[]
}

export interface Pod {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> }
  readonly spec: {
    readonly terminationGracePeriodSeconds: number
    readonly securityContext: unknown
    readonly automountServiceAccountToken: boolean
    readonly enableServiceLinks: boolean
    readonly initContainers?: readonly Container[]
    readonly containers: readonly Container[]
    readonly volumes: readonly (Named & Readonly<Record<string, unknown>>)[]
  }
}

export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: Named & { readonly labels?: Readonly<Record<string, string>> }
  readonly spec?: Readonly<Record<string, unknown>>
}

export interface Workload extends KubeObject {
  readonly spec: { readonly template: Pod } & Readonly<Record<string, unknown>>
}

/** Every document of `deploy/kustomize`, by its file. */
export const documents = globSync('deploy/kustomize/**/*.yaml', { cwd: ROOT })
  .sort()
  .flatMap(file =>
    parseAllDocuments(readFileSync(new URL(file, ROOT), 'utf8')).map(document => ({
      file,
      errors: document.errors,
      object: document.toJS() as KubeObject,
    })),
  )

/** Whole objects; not what patches others, or tells kustomize what to do. */
export const objects = documents
  .filter(({ file }) => !/(kustomization|-patch|kafka-with-tls)\.yaml$/.test(file))
  .map(({ object }) => object)

export function objectOf<T extends KubeObject>(kind: string): T {
  const found = objects.find(object => object.kind === kind)
  if (found === undefined) throw new Error(`deploy/kustomize has no ${kind}`)
  return found as T
}
