import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { holdfast } from '../support/cli.ts'
import { type Container, objectOf, type Probe, type Workload } from '../support/kube-objects.ts'
import { eventually, type Service, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'
import { startTraffic } from '../support/traffic.ts'

streamTools()

const { spec: pod } = objectOf<Workload>('Deployment').spec.template
const [container] = pod.containers as [Container]
const [migration] = pod.initContainers as [Container]
/** So long a pod may give no sign of life: then the kubelet kills it. */
const deadLimit = (container.livenessProbe?.periodSeconds ?? 0) * (container.livenessProbe?.failureThreshold ?? 0)
const seconds = (count: number) => new Promise(resolve => setTimeout(resolve, count * 1000))

it('a rolling update under load: pods are migrated, started, asked and ended as the Deployment says, and nothing is lost', async () => {
  // Given a Secret, an empty database, and a topic into which orders come
  const stream = await aStream({ partitions: 2, migrated: false })
  const secrets = await aSecret(stream)
  const traffic = startTraffic(stream, 20, 100, { seed: 7 })

  // When a pod is started, and then the one that replaces it
  const old = await aPod(stream, secrets)
  const next = await aPod(stream, secrets)

  // Then the old one is ended: it works on while the news spreads, and drains within the grace
  const begun = performance.now()
  await seconds(container.lifecycle?.preStop.sleep.seconds ?? 0)
  await eventually(() => answers(old, container.readinessProbe), 'the old one being ready still')
  expect(await old.service.stop()).toBe(0)
  const took = (performance.now() - begun) / 1000
  expect(took).toBeLessThan(pod.terminationGracePeriodSeconds)

  // And the new one has gone on alone, alive throughout
  await eventually(() => answers(next, container.readinessProbe), 'the new one being ready alone')
  await traffic.stop()
  await eventually(async () => (await stream.settled()) === traffic.sent.length, 'all being settled')
  expect(next.deadForSeconds()).toBeLessThan(deadLimit)
  expect(await next.service.stop()).toBe(0)
  expect(await stream.findings()).toEqual([])
})

/** Files named as the settings, as the kubelet mounts them. */
async function aSecret(stream: Stream): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-secret-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'DATABASE_URL'), stream.databaseUrl)
  await writeFile(join(folder, 'API_KEYS'), `ops:admin:${'a'.repeat(64)}`)
  return folder
}

interface Pod {
  readonly service: Service
  /** Where the port "metrics" is. */
  readonly probed: string
  /** For how long the liveness probe has failed at a stretch, at most. */
  deadForSeconds(): number
}

/** What a kubelet does until a pod is ready; it goes on asking whether it is alive. */
async function aPod(stream: Stream, secrets: string): Promise<Pod> {
  await holdfast({ ...stream, env: environmentOf(migration, secrets) }, ...migration.args)
  // Its address is this machine's, and its ports are free ones.
  const here = { HTTP_HOST: '127.0.0.1', METRICS_HOST: '127.0.0.1', HTTP_PORT: '0', METRICS_PORT: '0' }
  const env = { ...environmentOf(container, secrets), ...here, KAFKA_BROKERS: stream.brokers }
  const service = await startService({ ...stream, env })
  const probed = String(service.log.find(({ event }) => event === 'metrics_started')?.url)
  const started = { service, probed, deadForSeconds: () => 0 }
  const { startupProbe, readinessProbe, livenessProbe } = container
  const startBound = (startupProbe?.periodSeconds ?? 0) * (startupProbe?.failureThreshold ?? 0) * 1000
  await eventually(() => answers(started, startupProbe), 'the startup probe', startBound)

  let aliveAtMs = performance.now()
  let mostMs = 0
  const asking = setInterval(async () => {
    const isAlive = await answers(started, livenessProbe)
    mostMs = Math.max(mostMs, performance.now() - aliveAtMs)
    if (isAlive) aliveAtMs = performance.now()
  }, 1000)
  onTestFinished(() => clearInterval(asking))
  void service.exited.then(() => clearInterval(asking))
  await eventually(() => answers(started, readinessProbe), 'the readiness probe')
  return { ...started, deadForSeconds: () => mostMs / 1000 }
}

function environmentOf({ env }: Container, secrets: string): Record<string, string> {
  const found: Record<string, string> = { DATABASE_URL: '' }
  for (const { name, value = 'streams' } of env) {
    const expanded = value.replace(/\$\((\w+)\)/g, (reference, of: string) => found[of] ?? reference)
    found[name] = expanded.replace('/run/secrets/holdfast', secrets)
  }
  // The cache of compiled code of all tests serves as well as one of its own.
  const { NODE_COMPILE_CACHE: _, ...kept } = found
  return kept
}

/** As a kubelet asks: on a connection of its own, and with the time that the probe gives it. */
async function answers({ probed }: Pick<Pod, 'probed'>, probe: Probe | undefined): Promise<boolean> {
  const signal = AbortSignal.timeout((probe?.timeoutSeconds ?? 1) * 1000)
  const headers = { Connection: 'close' }
  const response = await fetch(`${probed}${probe?.httpGet.path}`, { signal, headers }).catch(() => undefined)
  return response?.ok === true
}
