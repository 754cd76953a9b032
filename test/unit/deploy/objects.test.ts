import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { DRAIN_TIMEOUT_MS } from '#src/app/stream.ts'
import { loadConfig } from '#src/settings/config.ts'
import { SETTINGS } from '#src/settings/settings.ts'
import manifest from '../../../package.json' with { type: 'json' }
import { deployFiles } from '../../../scripts/write-deploy.ts'
import {
  type Container,
  documents,
  type KubeObject,
  objectOf,
  objects,
  ROOT,
  type Workload,
} from '../../support/kube-objects.ts'

const deployment = objectOf<Workload>('Deployment')
const job = objectOf<Workload>('Job')
const textOf = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')
const { spec: pod } = deployment.spec.template
const [service] = pod.containers as [Container]
const containers = [deployment, job].flatMap(({ kind, spec }) =>
  [...(spec.template.spec.initContainers ?? []), ...spec.template.spec.containers].map(container => ({
    name: `${kind} ${container.name}`,
    container,
  })),
)
/** A value of the form that a secret has, in place of the file that the cluster would mount. */
const SECRETS: Readonly<Record<string, string>> = {
  DATABASE_URL: 'postgres://holdfast:secret@postgres:5432/holdfast',
  API_KEYS: `ops:admin:${'a'.repeat(64)}`,
  KAFKA_SASL_PASSWORD: 'secret',
}
const OF_OTHERS = /^(POD_|NODE_|OTEL_)/

/** What the process would find, with the variables that Kubernetes replaces. */
function environmentOf({ env }: Pick<Container, 'env'>): Record<string, string> {
  const found: Record<string, string> = {}
  for (const { name, value = 'streams' } of env) {
    const text = value.replace(/\$\((\w+)\)/g, (reference, of: string) => found[of] ?? reference)
    const secret = name.replace(/_FILE$/, '')
    if (name.endsWith('_FILE') && secret in SECRETS) found[secret] = SECRETS[secret] ?? ''
    else found[name] = text
  }
  return found
}

it('is YAML, each file', () => {
  expect(documents.length).toBeGreaterThan(12)
  for (const { file, errors } of documents) expect(errors, file).toEqual([])
})

describe.each(objects.map(object => ({ name: `${object.kind} ${object.metadata.name}`, object })))(
  '$name',
  ({ object }) => {
    it('says to whom it belongs, and of which version it is', () => {
      expect(object.metadata.labels).toMatchObject({
        'app.kubernetes.io/name': expect.stringMatching(/^holdfast(-migrate)?$/),
        'app.kubernetes.io/instance': 'holdfast',
        'app.kubernetes.io/version': manifest.version,
      })
    })
  },
)

describe.each(containers)('$name', ({ container }) => {
  it('is of this version', () => {
    expect(container.image).toBe(`holdfast:${manifest.version}`)
  })

  it('names only settings that there are, secrets as files of the mount', () => {
    for (const { name, value } of container.env) {
      if (OF_OTHERS.test(name)) continue
      const setting = name.replace(/_FILE$/, '')
      expect(Object.keys(SETTINGS), name).toContain(setting)
      expect(name.endsWith('_FILE'), name).toBe(setting in SECRETS)
      if (name.endsWith('_FILE')) expect(value).toBe(`/run/secrets/holdfast/${setting}`)
    }
  })

  it('can write to /tmp alone, and has no right to gain or to use', () => {
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    const writable = container.volumeMounts.filter(({ readOnly }) => readOnly !== true)
    expect(writable.map(({ mountPath }) => mountPath)).toEqual(['/tmp'])
  })

  it('asks for less memory than it may have, and has no limit of CPU', () => {
    const { requests, limits } = container.resources
    expect(mebibytes(requests.memory)).toBeLessThan(mebibytes(limits.memory))
    expect(Object.keys(limits)).toEqual(['memory'])
  })
})

describe.each([deployment, job])('pods of the $kind', ({ spec }) => {
  it('run as the user of the image, under the default filter of system calls', () => {
    expect(spec.template.spec.securityContext).toEqual({
      runAsNonRoot: true,
      runAsUser: 1000,
      runAsGroup: 1000,
      fsGroup: 1000,
      seccompProfile: { type: 'RuntimeDefault' },
    })
  })

  it('get neither a token of the cluster nor variables that look like settings', () => {
    expect(spec.template.spec).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false })
  })

  it('mount what they declare, and declare what they mount; files of secrets are readable to the group alone', () => {
    const { initContainers = [], containers, volumes } = spec.template.spec
    const mounted = [...initContainers, ...containers].flatMap(({ volumeMounts }) =>
      volumeMounts.map(({ name }) => name),
    )
    expect([...new Set(mounted)].sort()).toEqual(volumes.map(({ name }) => name).sort())
    expect(volumes).toContainEqual(expect.objectContaining({ secret: expect.objectContaining({ defaultMode: 0o440 }) }))
  })
})

describe('the service', () => {
  it('has settings that are accepted, as the cluster gives them', () => {
    expect(() => loadConfig(environmentOf(service))).not.toThrow()
  })

  it('is known by the names of its Service', () => {
    const { HTTP_ALLOWED_HOSTS } = environmentOf(service)
    expect(HTTP_ALLOWED_HOSTS?.split(',')).toEqual([
      'holdfast',
      'holdfast.streams',
      'holdfast.streams.svc',
      'holdfast.streams.svc.cluster.local',
    ])
  })

  it('listens for others where its ports say, with keys', () => {
    const { HTTP_HOST, HTTP_PORT, METRICS_HOST, METRICS_PORT, AUTH } = environmentOf(service)
    expect({ HTTP_HOST, METRICS_HOST, AUTH }).toEqual({
      HTTP_HOST: '0.0.0.0',
      METRICS_HOST: '0.0.0.0',
      AUTH: undefined,
    })
    expect(service.ports).toEqual([
      { name: 'http', containerPort: Number(HTTP_PORT) },
      { name: 'metrics', containerPort: Number(METRICS_PORT) },
    ])
  })

  it('is asked by three probes, on the port that gives reasons and needs no key', () => {
    const { startupProbe, livenessProbe, readinessProbe } = service
    const asked = [startupProbe, livenessProbe, readinessProbe].map(probe => probe?.httpGet)
    expect(asked).toEqual([
      { path: '/livez', port: 'metrics' },
      { path: '/livez', port: 'metrics' },
      { path: '/readyz', port: 'metrics' },
    ])
  })

  it('has the time to drain: each bound is longer than what lies within it', () => {
    const preStop = service.lifecycle?.preStop.sleep.seconds ?? 0
    const shutdownMs = loadConfig(environmentOf(service)).shutdownTimeoutMs
    expect(preStop).toBeGreaterThanOrEqual(5)
    expect(pod.terminationGracePeriodSeconds).toBe(preStop + shutdownMs / 1000 + 10)
    expect(shutdownMs).toBeGreaterThanOrEqual(2 * DRAIN_TIMEOUT_MS)
    expect(shutdownMs).toBeGreaterThanOrEqual(2 * Number(SETTINGS.PG_STATEMENT_TIMEOUT_MS.default))
    const page = textOf('docs/kubernetes.md')
    expect(page).toContain(
      `terminationGracePeriodSeconds  ${pod.terminationGracePeriodSeconds} s  = ${preStop} + ${shutdownMs / 1000} + 10`,
    )
  })

  it('has a heap that full batches fit into, and that leaves room for the rest', () => {
    const heap = Number(/--max-old-space-size=(\d+)/.exec(environmentOf(service).NODE_OPTIONS ?? '')?.[1])
    const { batch, postgres } = loadConfig(environmentOf(service))
    expect(heap * 2 ** 20).toBeGreaterThanOrEqual(batch.maxBytes * 2 * postgres.poolMax * 5)
    // docs/tuning.md, at the peak of a drain: code, buffers, native parts.
    expect(heap + 67 + 101 + 93).toBeLessThanOrEqual(mebibytes(service.resources.limits.memory))
  })

  it('is migrated before it starts, by a pod that waits for its turn', () => {
    expect(pod.initContainers?.map(({ args }) => args)).toEqual([['migrate', 'up']])
    expect(service.args).toEqual(['serve'])
  })
})

describe('what finds the pods', () => {
  const selected = (object: KubeObject) => JSON.parse(JSON.stringify(object.spec)) as Record<string, unknown>

  it.each([
    ['Deployment', 'selector.matchLabels'],
    ['Service', 'selector'],
    ['PodDisruptionBudget', 'selector.matchLabels'],
    ['NetworkPolicy', 'podSelector.matchLabels'],
  ])('%s selects them, and not those of the Job', (kind, path) => {
    const labels = path
      .split('.')
      .reduce<unknown>((node, key) => (node as Record<string, unknown>)[key], selected(objectOf(kind)))
    expect(deployment.spec.template.metadata.labels).toMatchObject(labels as Record<string, string>)
    expect(job.spec.template.metadata.labels).not.toMatchObject(labels as Record<string, string>)
  })

  it('reaches ports that they have', () => {
    const names = service.ports?.map(({ name }) => name)
    const { ports } = selected(objectOf('Service')) as { ports: { name: string; port: number; targetPort: string }[] }
    expect(ports.map(({ targetPort }) => targetPort)).toEqual(names)
    expect(ports.map(({ port }) => port)).toEqual(service.ports?.map(({ containerPort }) => containerPort))
    const { endpoints } = selected(objectOf('ServiceMonitor')) as { endpoints: { port: string; path: string }[] }
    expect(endpoints).toEqual([expect.objectContaining({ port: 'metrics', path: '/metrics' })])
    const { ingress } = selected(objectOf('NetworkPolicy')) as { ingress: { ports: { port: string }[] }[] }
    expect(ingress.flatMap(({ ports }) => ports.map(({ port }) => port))).toEqual(names)
  })

  it('gives Prometheus the name by which rules know the job', () => {
    expect(objectOf('ServiceMonitor').spec).toMatchObject({ jobLabel: 'app.kubernetes.io/name' })
    expect(objectOf('Service').metadata.labels).toMatchObject({ 'app.kubernetes.io/name': 'holdfast' })
    expect(textOf('prometheus/rules/alerts.yml')).toContain('up{job="holdfast"}')
  })
})

describe('the autoscaler', () => {
  const { spec } = objectOf('ScaledObject') as unknown as {
    spec: { maxReplicaCount: number; scaleTargetRef: { name: string }; triggers: [{ metadata: { query: string } }] }
  }

  it('scales the Deployment, up to the partitions of a topic', () => {
    expect(spec.scaleTargetRef.name).toBe(deployment.metadata.name)
    expect(spec.maxReplicaCount).toBe(Number(SETTINGS.KAFKA_TOPIC_PARTITIONS.default))
  })

  it('asks for what the rules record, in the namespace of the example and of its Service', () => {
    const [, name = '', selector] = /^([a-z_:]+)\{(.*)\}$/.exec(spec.triggers[0].metadata.query) ?? []
    expect(textOf('prometheus/rules/recording.yml')).toContain(`- record: ${name}\n`)
    const { namespace } = parse(textOf('deploy/kustomize/overlays/example/kustomization.yaml')) as { namespace: string }
    expect(selector).toBe(`namespace="${namespace}",service="${objectOf('Service').metadata.name}"`)
  })
})

it('has the rules of prometheus/rules', () => {
  for (const [path, text] of deployFiles()) expect(textOf(path), `${path}: node scripts/write-deploy.ts`).toBe(text)
})

describe('the example', () => {
  const patch = documents.find(({ file }) => file.endsWith('kafka-with-tls.yaml'))?.object as Workload
  const [{ env }] = patch.spec.template.spec.containers as [Container]

  it('has settings that are accepted', () => {
    const { KAFKA_SSL_CA_LOCATION: authority, ...rest } = environmentOf({ env })
    // The files of the Secret are not here.
    expect(authority).toMatch(/^\/run\/secrets\/holdfast\//)
    expect(() => loadConfig({ ...environmentOf(service), ...rest })).not.toThrow()
  })

  it('refers to no variable: what a patch adds stands before those of the base, and Kubernetes looks back alone', () => {
    expect(env.filter(({ value }) => value?.includes('$('))).toEqual([])
  })
})

function mebibytes(quantity: string | undefined): number {
  const [, number] = /^(\d+)Mi$/.exec(quantity ?? '') ?? []
  return Number(number)
}
