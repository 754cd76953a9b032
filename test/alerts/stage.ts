import { execFile } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { type KafkaProducer, startProducer } from '#src/engine/kafka/producer.ts'
import { migrate } from '#src/engine/postgres/migrate.ts'
import { createGenerator } from '#src/streams/orders/generator.ts'
import { type EmbeddedKafka, startKafka } from '#tools/demo/servers/kafka.ts'
import { fetchKafkaJars, findJava } from '#tools/demo/servers/kafka-jars.ts'
import { freePorts } from '#tools/demo/servers/machine.ts'
import { type EmbeddedPostgres, startPostgres } from '#tools/demo/servers/postgres.ts'
import { createReplica, type Replica } from '../support/faults/replica.ts'
import { eventually } from '../support/service.ts'
import { RETURN_TABLES, TWO_STREAMS } from '../support/two-streams.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const TOPIC = 'orders'
export const PARTITIONS = 2
export const STORM_LIMIT = 50
const ORDERS_A_SECOND = 40

/** The service as it stands in production, twice, with all that trouble can be made with. */
export interface Stage extends AsyncDisposable {
  readonly kafka: EmbeddedKafka
  readonly postgres: EmbeddedPostgres
  readonly producer: KafkaProducer
  readonly replicas: readonly (Replica & { readonly target: string })[]
  readonly logDir: string
  /** A separate session, which may hold locks. The caller ends it. */
  session(): Promise<pg.Client>
  /** A command as an operator types it. @returns what it printed */
  holdfast(...args: readonly string[]): Promise<string>
  /** One of the tools that Kafka brings, by its class. */
  kafkaTool(mainClass: string, ...args: readonly string[]): Promise<string>
  /** Orders come in steadily; not while this is true. */
  quiet: boolean
  ready(): Promise<void>
}

async function statement(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(text)
  await client.end()
}

export async function startStage(say: (line: string) => void): Promise<Stage> {
  await using parts = new AsyncDisposableStack()
  const [kafka, postgres] = await Promise.all([startKafka({ log: say }), startPostgres({ log: say })])
  parts.use(kafka)
  parts.use(postgres)
  await migrate(postgres.url, 'up')
  await statement(postgres.url, RETURN_TABLES)
  const connection = { brokers: [kafka.brokers], security: {}, extra: {} }
  const producer = parts.use(await startProducer({ connection }))
  await ensureTopics(connection, producer, {
    topic: TOPIC,
    dlqTopic: 'orders.dlq',
    partitions: PARTITIONS,
    replication: 1,
  })

  const logDir = mkdtempSync(join(tmpdir(), 'holdfast-alerts-log-'))
  const shared = { KAFKA_BROKERS: kafka.brokers, DATABASE_URL: postgres.url }
  const ports = await freePorts(2)
  const replicas = ports.map((port, slot) => {
    const env = {
      ...shared,
      HTTP_PORT: String(port),
      HOLDFAST_CONFIG: TWO_STREAMS,
      KAFKA_CONFIG: 'session.timeout.ms=6000,heartbeat.interval.ms=1000',
      DLQ_STORM_MAX_CONSECUTIVE: String(STORM_LIMIT),
      PG_POOL_MAX: '2',
      RETRY_MAX_MS: '2000',
    }
    const replica = createReplica({
      slot,
      env,
      logDir,
      onDeath: (_, code, lines) => say(`replica ${slot} ended with ${code}: ${lines.join('\n')}`),
    })
    return Object.defineProperty(replica, 'target', { value: `http://127.0.0.1:${port}` }) as Replica & {
      target: string
    }
  })
  parts.defer(async () => void (await Promise.all(replicas.map(replica => replica.kill()))))
  await Promise.all(replicas.map(replica => replica.start()))

  const generator = createGenerator({ seed: 7, invalidRatio: 0, updatesRatio: 0.1 })
  const ending = new AbortController()
  const stage: Stage = {
    kafka,
    postgres,
    producer,
    replicas,
    logDir,
    quiet: false,
    async session() {
      const client = new pg.Client({ connectionString: postgres.url })
      client.on('error', () => {})
      await client.connect()
      return client
    },
    async holdfast(...args) {
      const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}`, ...shared }
      const { stdout, stderr } = await promisify(execFile)('bin/holdfast', args, { cwd: ROOT, env })
      return (stdout + stderr).trim()
    },
    async kafkaTool(mainClass, ...args) {
      const jars = await fetchKafkaJars()
      const { stdout } = await promisify(execFile)(await findJava(), [
        '-cp',
        join(jars, '*'),
        mainClass,
        '--bootstrap-server',
        kafka.brokers,
        ...args,
      ])
      return stdout.trim()
    },
    async ready() {
      const areReady = async () =>
        (await Promise.all(replicas.map(({ target }) => fetch(`${target}/readyz`).catch(() => undefined)))).every(
          answer => answer?.ok,
        )
      await eventually(areReady, 'both replicas being ready', 60_000, 200)
    },
    async [Symbol.asyncDispose]() {
      ending.abort()
      await resources.disposeAsync()
    },
  }
  void deliver()
  await stage.ready()
  const resources = parts.move()
  return stage

  async function deliver(): Promise<void> {
    while (!ending.signal.aborted) {
      if (!stage.quiet) {
        const { key, value } = generator.next()
        // The topic may be missing for a moment, because a scene deletes it.
        producer.produce({ topic: TOPIC, key, value, headers: [] }).catch(() => {})
      }
      await sleep(1_000 / ORDERS_A_SECOND)
    }
  }
}
