/** A real Apache Kafka, of one node (KRaft) or as a node of several, on free ports of the loopback interface, for demo, tests and benches. */
import { randomBytes } from 'node:crypto'
import { existsSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type GuardedOptions, type GuardedProcess, runGuarded, startGuarded, untilReady } from './guarded-process.ts'
import { fetchKafkaJars, findJava } from './kafka-jars.ts'
import { askForMetadata } from './kafka-probe.ts'
import { freePorts } from './machine.ts'
import { keptFolder, temporaryFolder, writePrivate } from './private-files.ts'
import { cleanLeftovers } from './runs.ts'

export interface KafkaOptions {
  /** Keeps its data here between runs; without it, a temporary folder that is removed with the broker. */
  readonly dir?: string | undefined
  /** Called with one line for each step that takes time. */
  readonly log?: ((line: string) => void) | undefined
  /**
   * Opens a second listener which advertises this port of 127.0.0.1, where a
   * proxy of the caller forwards to {@link EmbeddedKafka.proxied}: so that all their traffic passes the proxy.
   */
  readonly proxyPort?: number | undefined
  /** How that listener is secured. Default: not at all. */
  readonly proxied?: Omit<KafkaListener, 'advertisedHost'> | undefined
  /** Further listeners by name, in upper case: with TLS, SASL, or another advertised host. */
  readonly listeners?: Readonly<Record<string, KafkaListener>> | undefined
  /** Users of both mechanisms of SCRAM and their passwords; made with a new folder only. */
  readonly scramUsers?: Readonly<Record<string, string>> | undefined
  /** System properties of its JVM, as `{'org.apache.kafka.sasl.oauthbearer.allowed.urls': 'http://…'}`. */
  readonly systemProperties?: Readonly<Record<string, string>> | undefined
  /** Broker properties on top of ours, as `{'log.retention.ms': '1000'}`. */
  readonly properties?: Readonly<Record<string, string>> | undefined
  /** Makes it one node of several, started side by side; without it, it is a cluster of its own. */
  readonly node?: ClusterNode | undefined
}

/** A node's place in a cluster: what all nodes are told alike, and what is its own. */
export interface ClusterNode {
  readonly id: number
  /** As {@link newClusterId} makes it. */
  readonly clusterId: string
  /** Ports of the nodes by id, of clients and of controllers: fixed, because each node must know those of the others. */
  readonly ports: ReadonlyMap<number, { readonly port: number; readonly controllerPort: number }>
}

export interface KafkaListener {
  readonly protocol: 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'
  /** Where clients are sent once they have connected. Default: 127.0.0.1. */
  readonly advertisedHost?: string
  /** Properties of this listener alone, without the prefix `listener.name.NAME.`. */
  readonly properties?: Readonly<Record<string, string>>
}

export interface EmbeddedKafka extends AsyncDisposable {
  /** For `bootstrap.servers`: `127.0.0.1:PORT`. */
  readonly brokers: string
  /** With `proxyPort`: where the proxy forwards to (`upstreamPort`), and what its clients are given (`brokers`). */
  readonly proxied: { readonly upstreamPort: number; readonly brokers: string } | undefined
  /** Where each of {@link KafkaOptions.listeners} listens: `127.0.0.1:PORT`. */
  readonly listeners: Readonly<Record<string, string>>
  /** The pid of the running broker; it changes with {@link restart}. */
  readonly pid: number
  readonly dir: string
  readonly logFile: string
  /** Stops it cleanly: logs are flushed and marked clean. Its folder stays. */
  stop(): Promise<void>
  /** As `kill -s`: SIGKILL for a crash, SIGSTOP and SIGCONT for a freeze. Does not wait. */
  kill(signal: NodeJS.Signals): void
  /** Stops it if it runs, and starts it again on the same ports and data. */
  restart(): Promise<void>
  /** Stops it for good: with a kept folder cleanly; with a temporary one at once, and the folder is removed. */
  [Symbol.asyncDispose](): Promise<void>
}

/** JVM options for a small machine: half of Kafka's default heap, or less of several, the plainest collector, no second compiler stage. */
const jvmOptions = ({ node }: KafkaOptions) => [
  ...[
    node === undefined ? '-Xmx512m' : '-Xmx320m',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-Djava.awt.headless=true',
  ],
  '-XX:-UsePerfData', // else it writes a file that everybody may read below /tmp/hsperfdata_USER
]
const loggingOptions = ['showDateTime=true', 'dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS', 'showShortLogName=true'].map(
  setting => `-Dorg.slf4j.simpleLogger.${setting}`,
)

/**
 * Starts a broker and waits until it serves.
 * @throws SetupError when Java, or Maven with nothing cached, is missing; Error with the end of its log when it fails.
 */
export async function startKafka(options: KafkaOptions = {}): Promise<EmbeddedKafka> {
  const log = options.log ?? (() => {})
  await cleanLeftovers(log)
  const java = await findJava()
  const jars = await fetchKafkaJars(log)
  const temporary = options.dir === undefined
  const dir = options.dir === undefined ? temporaryFolder('kafka') : resolve(options.dir)
  // The folder holds orders, so no other user may read it.
  keptFolder(dir)
  const names = Object.keys(options.listeners ?? {})
  const [anyPort = 0, anyControllerPort = 0, upstreamPort = 0, ...others] = await freePorts(3 + names.length)
  const { node } = options
  const { port, controllerPort } = node?.ports.get(node.id) ?? { port: anyPort, controllerPort: anyControllerPort }
  const addresses = Object.fromEntries(names.map((name, at) => [name, `127.0.0.1:${others[at]}`]))
  const ports = { port, controllerPort, upstreamPort, addresses }
  const logFile = join(dir, 'kafka.log')
  const propertiesFile = join(dir, 'server.properties')
  writePrivate(propertiesFile, brokerProperties(ports, options))

  const systemProperties = Object.entries(options.systemProperties ?? {}).map(([name, value]) => `-D${name}=${value}`)
  const javaProcess = (mainClass: string, ...args: string[]): GuardedOptions => ({
    command: java,
    args: [
      ...jvmOptions(options),
      `-Djava.io.tmpdir=${dir}`,
      ...systemProperties,
      ...loggingOptions,
      '-cp',
      join(jars, '*'),
      mainClass,
      ...args,
    ],
    // Whatever the machine's locale: Java reads names of files by it, and those of our folders may hold any letter.
    env: { PATH: process.env.PATH ?? '', HOME: dir, LC_ALL: 'C.UTF-8' },
    cwd: dir,
    logFile,
    stopSignal: 'SIGTERM',
    graceMs: 15_000,
    temporaryDir: temporary ? dir : undefined,
  })

  const start = async (): Promise<GuardedProcess> => {
    const broker = await startGuarded(javaProcess('kafka.Kafka', propertiesFile))
    try {
      await untilReady('Kafka', broker, { logFile }, () => askForMetadata(port, node?.id ?? 1))
      return broker
    } catch (error) {
      await broker.stop('SIGKILL')
      throw error
    }
  }

  let broker: GuardedProcess
  try {
    if (!existsSync(join(dir, 'data', 'meta.properties'))) {
      const users = Object.entries(options.scramUsers ?? {}).flatMap(([name, password]) =>
        ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap(mechanism => [
          '--add-scram',
          `${mechanism}=[name=${name},password=${password}]`,
        ]),
      )
      const args = ['format', '-t', node?.clusterId ?? newClusterId(), '-c', propertiesFile, ...users]
      await runGuarded('Formatting the folder of Kafka', javaProcess('kafka.tools.StorageTool', ...args))
    }
    broker = await start()
  } catch (error) {
    if (temporary) rmSync(dir, { recursive: true, force: true })
    throw error
  }

  return {
    brokers: `127.0.0.1:${port}`,
    proxied: options.proxyPort === undefined ? undefined : { upstreamPort, brokers: `127.0.0.1:${options.proxyPort}` },
    listeners: addresses,
    get pid() {
      return broker.pid
    },
    dir,
    logFile,
    stop: () => broker.stop(),
    kill: signal => broker.kill(signal),
    restart: async () => {
      await broker.stop()
      broker = await start()
    },
    [Symbol.asyncDispose]: async () => {
      await broker.stop(temporary ? 'SIGKILL' : undefined)
      if (temporary) rmSync(dir, { recursive: true, force: true })
    },
  }
}

/**
 * 16 random bytes in URL-safe base64, as Kafka's own tool makes them. Never with a dash in front, which one in 64
 * would have and which the formatter would take for an option.
 */
export function newClusterId(): string {
  for (;;) {
    const id = randomBytes(16).toString('base64url')
    if (!id.startsWith('-')) return id
  }
}

interface Ports {
  readonly port: number
  readonly controllerPort: number
  readonly upstreamPort: number
  /** The addresses of further listeners, by name. */
  readonly addresses: Readonly<Record<string, string>>
}

/** server.properties of a node that is broker and controller in one; each setting off its default says why. */
function brokerProperties(ports: Ports, options: KafkaOptions): string {
  const { id, ports: nodes } = options.node ?? { id: 1, ports: new Map([[1, ports]]) }
  // Each record on all nodes; one may be away.
  const [replicas, inSync] = [String(nodes.size), String(Math.max(1, nodes.size - 1))]
  const proxied = options.proxyPort !== undefined
  const plain = `PLAINTEXT://127.0.0.1:${ports.port}`
  const controller = `CONTROLLER://127.0.0.1:${ports.controllerPort}`
  const further = Object.entries(options.listeners ?? {})
  const { protocol: proxiedProtocol = 'PLAINTEXT', properties: proxiedProperties = {} } = options.proxied ?? {}
  const ofListeners = [
    ...further.map(([name, { properties = {} }]) => [name, properties] as const),
    ['PROXIED', proxiedProperties] as const,
  ]
  const addressOf = (name: string) => ports.addresses[name] ?? ''
  const portOf = (name: string) => addressOf(name).split(':')[1]
  return Object.entries({
    'process.roles': 'broker,controller',
    'node.id': String(id),
    'controller.quorum.voters': [...nodes]
      .map(([voter, { controllerPort }]) => `${voter}@127.0.0.1:${controllerPort}`)
      .join(),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    listeners: [
      plain,
      controller,
      ...(proxied ? [`PROXIED://127.0.0.1:${ports.upstreamPort}`] : []),
      ...further.map(([name]) => `${name}://${addressOf(name)}`),
    ].join(),
    'advertised.listeners': [
      plain,
      ...(proxied ? [`PROXIED://127.0.0.1:${options.proxyPort}`] : []),
      ...further.map(([name, { advertisedHost = '127.0.0.1' }]) => `${name}://${advertisedHost}:${portOf(name)}`),
    ].join(),
    'listener.security.protocol.map': [
      `PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:${proxiedProtocol}`,
      ...further.map(([name, { protocol }]) => `${name}:${protocol}`),
    ].join(),
    ...Object.fromEntries(
      ofListeners.flatMap(([name, properties]) =>
        Object.entries(properties).map(([key, value]) => [`listener.name.${name.toLowerCase()}.${key}`, value]),
      ),
    ),
    // Within the folder in which it is started: a list that commas divide, in a file in which backslashes mean something else.
    'log.dirs': 'data',
    'default.replication.factor': replicas,
    'offsets.topic.replication.factor': replicas,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSync,
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': inSync,
    'min.insync.replicas': inSync,
    // 50 partitions each by default: as many folders to make when the first group joins.
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.num.partitions': '4',
    // A typing error should fail, not make a topic.
    'auto.create.topics.enable': 'false',
    // Tests start members one by one and would wait 3 s for each first one.
    'group.initial.rebalance.delay.ms': '0',
    // Lets a test see a dead member go in less than the default minimum of 6 s.
    'group.min.session.timeout.ms': '1000',
    // After a crash the broker is let in again only when its former life has expired: 9 s by default.
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '1000',
    // 128 MB by default, a quarter of the heap.
    'log.cleaner.dedupe.buffer.size': String(16 * 1024 * 1024),
    // Tests write records that say they are years old: retention would delete them, read or not, at its next check.
    ...(options.dir === undefined ? { 'log.retention.ms': '-1' } : {}),
    ...options.properties,
  })
    .map(([name, value]) => `${name}=${escaped(value)}\n`)
    .join('')
}

/** Encodes a value for a file of Java properties: ISO 8859-1, backslash escapes. */
function escaped(value: string): string {
  return value
    .replaceAll('\\', '\\\\')
    .replace(/[^\x20-\x7e]/g, letter => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
