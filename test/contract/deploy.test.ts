import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { findTool } from '../../scripts/deploy-tools.ts'
import { CHART, CHART_OPTIONS, CLUSTER, EXAMPLE, VARIANTS, withKustomization } from '../../scripts/deploy-variants.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const kustomize = findTool('kustomize')
const helm = findTool('helm')

type Node = { [key: string]: unknown }

interface Rendered extends Node {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly labels?: Node; readonly annotations?: Node }
}

interface DeploymentSpec {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly { readonly env: readonly { readonly name: string; readonly value?: string }[] }[]
      }
    }
  }
}

function render(program: string | undefined, args: readonly string[]): Rendered[] {
  const { status, stdout, stderr } = spawnSync(program ?? '', args, { cwd: ROOT, encoding: 'utf8' })
  expect(status, stderr).toBe(0)
  return parseAllDocuments(stdout)
    .map(document => document.toJS() as Rendered | null)
    .filter(object => object !== null)
}

const template = (values: readonly string[], release = 'holdfast') =>
  render(helm, ['template', release, CHART, '--namespace', 'streams', ...CLUSTER, ...values])

/** By kind and name, without what only Helm says of itself, and with lists of named things as objects: their order is free. */
function comparable(objects: readonly Rendered[]): Node {
  return Object.fromEntries(objects.map(object => [`${object.kind} ${object.metadata.name}`, without(object)]))
}

const OF_HELM = /^(app\.kubernetes\.io\/managed-by|helm\.sh\/.*|argocd\.argoproj\.io\/.*|checksum\/.*|imagePullPolicy)$/

function without(value: unknown): unknown {
  if (Array.isArray(value)) {
    const named = value.length > 0 && value.every(one => typeof one === 'object' && one !== null && 'name' in one)
    return named ? Object.fromEntries(value.map((one: Node) => [one.name, without(one)])) : value.map(without)
  }
  if (typeof value !== 'object' || value === null) return value
  const kept = Object.entries(value)
    .filter(([key]) => !OF_HELM.test(key))
    .map(([key, node]) => [key, without(node)] as const)
    .filter(([, node]) => !(typeof node === 'object' && node !== null && Object.keys(node).length === 0))
  return Object.fromEntries(kept)
}

/** ConfigMaps that kustomize generates have no labels. */
function withoutLabels(objects: Node): Node {
  return Object.fromEntries(
    Object.entries(objects).map(([name, object]) => {
      const { labels: _, ...metadata } = (object as Rendered).metadata
      return [name, name.startsWith('ConfigMap ') ? { ...(object as Node), metadata } : object]
    }),
  )
}

const missing = [...(kustomize === undefined ? ['kustomize'] : []), ...(helm === undefined ? ['helm'] : [])].join(
  ' and ',
)

if (missing !== '') {
  it.skip(`deploy/: skipped, because ${missing} is not there: node scripts/lint-deploy.ts --install builds it with Go`, () => {})
} else {
  describe.each(VARIANTS)('$name', ({ components, values }) => {
    it('is the same by kustomize and by Helm, field by field', () => {
      const plain = withKustomization(components, folder => render(kustomize, ['build', folder]))
      const chart = template(values)
      expect(plain.length).toBeGreaterThan(4)
      expect(withoutLabels(comparable(chart))).toEqual(withoutLabels(comparable(plain)))
    })
  })

  describe('what is rendered', () => {
    const rendered = [
      { name: 'the example', objects: () => render(kustomize, ['build', EXAMPLE]) },
      { name: 'the chart', objects: () => template(['--set', 'allowedHosts={holdfast.example.com}']) },
    ]

    it.each(rendered)('refers in a variable only to one before it: $name', ({ objects }) => {
      const deployment = objects().find(({ kind }) => kind === 'Deployment') as Rendered & DeploymentSpec
      for (const { env } of deployment.spec.template.spec.containers) {
        const seen = new Set<string>()
        for (const { name, value = '' } of env) {
          for (const [, of = ''] of value.matchAll(/\$\((\w+)\)/g)) expect([...seen], name).toContain(of)
          seen.add(name)
        }
      }
    })
  })

  describe('the chart', () => {
    it('has names and selectors of its own for each release, so that two can stand side by side', () => {
      const objects = template([], 'returns')
      expect(objects.map(({ metadata }) => metadata.name)).toEqual(objects.map(() => 'returns-holdfast'))
      expect(JSON.stringify(objects)).not.toContain('"app.kubernetes.io/instance":"holdfast"')
      const [service] = objects.filter(({ kind }) => kind === 'Service')
      expect(service).toMatchObject({ spec: { selector: { 'app.kubernetes.io/instance': 'returns' } } })
    })

    it('refuses a setting that it makes itself, a value that is misspelt, and one that cannot be', () => {
      const refused = (value: string) => {
        const { status, stderr } = spawnSync(helm ?? '', ['template', 'a', CHART, ...CLUSTER, '--set', value], {
          cwd: ROOT,
          encoding: 'utf8',
        })
        expect(status).not.toBe(0)
        return stderr
      }
      expect(refused('settings.HTTP_PORT=80')).toContain('is made from other values of this chart')
      expect(refused('replicas=3')).toMatch(/additional propert/i)
      expect(refused('migrations.mode=later')).toContain('/migrations/mode')
    })

    it('makes grace and timeout of the same values', () => {
      const values = ['--set', 'shutdown.timeoutSeconds=60', '--set', 'shutdown.preStopSeconds=10']
      const deployment = template(values).find(({ kind }) => kind === 'Deployment')
      expect(comparable(deployment === undefined ? [] : [deployment])).toMatchObject({
        'Deployment holdfast': {
          spec: {
            template: {
              spec: {
                terminationGracePeriodSeconds: 80,
                containers: {
                  holdfast: {
                    env: { SHUTDOWN_TIMEOUT_MS: { value: '60000' } },
                    lifecycle: { preStop: { sleep: { seconds: 10 } } },
                  },
                },
              },
            },
          },
        },
      })
    })

    it('replaces pods when their streams change', () => {
      const checksum = (text: string) => {
        const values = ['--set', `streams.files.holdfast\\.config\\.ts=${text}`]
        const [, found] = /checksum\/streams":"(\w+)"/.exec(JSON.stringify(template(values))) ?? []
        return found
      }
      expect(checksum('a')).toMatch(/^[0-9a-f]{64}$/)
      expect(checksum('a')).not.toBe(checksum('b'))
    })

    it('can be rendered with each of its values', () => {
      for (const options of CHART_OPTIONS) expect(template(options).length).toBeGreaterThan(1)
    })
  })
}
