import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { allTables } from '#src/cli/stream-tables.ts'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { migrate } from '#src/engine/postgres/migrate.ts'
import type { Stream } from '#src/engine/stream.ts'
import { type Config, loadConfig } from '#src/settings/config.ts'
import { loadStreams } from '#src/settings/streams.ts'
import type { EmbeddedKafka } from '#tools/demo/servers/kafka.ts'
import { type EmbeddedPostgres, startPostgres } from '#tools/demo/servers/postgres.ts'
import { startKafkaBehindAWire } from '../kafka-behind-a-wire.ts'
import { type KafkaCluster, startKafkaCluster } from '../kafka-cluster.ts'
import { oauthBroker } from '../oauth-broker.ts'
import { type PgBouncer, type PgBouncerOptions, type PoolMode, startPgBouncer } from '../pgbouncer.ts'
import { createReplica, type Replica } from './replica.ts'
import { startWire, type WireProcess } from './start-wire.ts'

/** One that is reached over a wire, or a cluster that is reached directly. */
export const BROKER_COUNTS = [1, 3] as const
export type BrokerCount = (typeof BROKER_COUNTS)[number]

/** A broker, and the wire by which the service reaches it. */
export interface LoneBroker {
  readonly kafka: EmbeddedKafka
  readonly wire: WireProcess
}

/**
 * Everything that faults can be done to: a broker or three and a database of our own, the wires by which the service (and only
 * the service) reaches a lone broker and the database, and the service's processes. We ourselves go past the wires.
 */
export interface World extends AsyncDisposable {
  readonly broker: LoneBroker | KafkaCluster
  readonly postgres: EmbeddedPostgres
  readonly storeWire: WireProcess
  /** Behind the store's wire, where the world has one. */
  readonly pooler: PgBouncer | undefined
  readonly replicas: readonly Replica[]
  /** Each process runs all of them. */
  readonly streams: readonly Stream[]
  /** The settings of the service, past the wires. */
  readonly config: Config
  /** Where the replicas' logs are. They stay when the world has gone. */
  readonly logDir: string
  readonly shutdownTimeoutMs: number
  /** On a connection of its own, so that it works as soon as the server does, and in a session that may write. */
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
}

export interface WorldOptions {
  readonly brokers: BrokerCount
  readonly replicas: number
  /** The number of partitions of each stream's topic, by the stream's name. */
  readonly partitions: Readonly<Record<string, number>>
  /** How long a stop may take. */
  readonly shutdownTimeoutMs: number
  /** Default: the service connects without one. */
  readonly pooler?: PoolerOptions | undefined
  /** How the service logs in to Kafka. Default: not at all. */
  readonly security?: Security | undefined
  readonly onDeath: (replica: Replica, code: number, lastLines: readonly string[]) => void
  readonly log: (line: string) => void
}

export type PoolerOptions = Pick<PgBouncerOptions, 'mode' | 'program'>
/** `oauth`: with tokens that live 30 s, and connections that do not live longer than theirs. */
export const SECURITIES = ['none', 'oauth'] as const
export type Security = (typeof SECURITIES)[number]

/** Shorter than the product's own, so that a minute holds more faults; nothing here weakens a guarantee. */
const SERVICE_SETTINGS = {
  // Metadata is asked for often, so that the answer of a broker that has lost its metadata reaches the client.
  KAFKA_CONFIG: 'session.timeout.ms=6000,heartbeat.interval.ms=1500,topic.metadata.refresh.interval.ms=500',
  PG_STATEMENT_TIMEOUT_MS: '4000',
  RETRY_MAX_MS: '2000',
  // Small batches: more of them, so more moments at which a fault can hit.
  BATCH_MAX_RECORDS: '50',
  LOG_LEVEL: 'info',
  HOLDFAST_CONFIG: fileURLToPath(new URL('../two-streams.config.ts', import.meta.url)),
}

/** Starts the servers and the wires, and makes topics and tables. The replicas are the caller's to start. */
export async function startWorld(options: WorldOptions): Promise<World> {
  await using parts = new AsyncDisposableStack()
  const { log } = options
  const secured = options.security === 'oauth' ? parts.use(await oauthBroker()) : undefined
  const [broker, postgres] = await Promise.all([
    options.brokers === 1 ? startKafkaBehindAWire(log, secured?.options) : startKafkaCluster({ log }),
    startPostgres({ log }),
  ])
  parts.use(broker)
  parts.use(postgres)
  const [brokers, wiredBrokers] =
    'wire' in broker ? [broker.kafka.brokers, broker.wiredBrokers] : [broker.brokers, broker.brokers]
  const { pooler, storeWire, databaseUrls } = await startWayToStore(postgres, options, parts)

  const direct = { ...SERVICE_SETTINGS, KAFKA_BROKERS: brokers, DATABASE_URL: postgres.url }
  const config = loadConfig(direct)
  const streams = await loadStreams(config, direct)
  await migrate(postgres.url, 'up')
  await createTables(postgres.url, streams)
  {
    const connection = config.kafka
    await using producer = await startProducer({ connection })
    for (const stream of streams) {
      const partitions = options.partitions[stream.name] ?? 1
      await ensureTopics(connection, producer, { ...stream, partitions, replication: options.brokers })
    }
  }

  const logDir = mkdtempSync(join(tmpdir(), 'holdfast-chaos-'))
  const env = {
    ...SERVICE_SETTINGS,
    KAFKA_BROKERS: wiredBrokers,
    ...databaseUrls,
    ...secured?.env,
    SHUTDOWN_TIMEOUT_MS: String(options.shutdownTimeoutMs),
  }
  const replicas = Array.from({ length: options.replicas }, (_, slot) =>
    createReplica({ slot, env, logDir, onDeath: options.onDeath }),
  )
  parts.defer(async () => {
    await Promise.all(
      replicas.map(replica => {
        replica.thaw()
        return replica.kill()
      }),
    )
  })
  const resources = parts.move()

  return {
    broker,
    postgres,
    storeWire,
    pooler,
    replicas,
    streams,
    config,
    logDir,
    shutdownTimeoutMs: options.shutdownTimeoutMs,
    async query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []) {
      // Long, because a run of an hour must not break off where a busy machine takes no connection for a while.
      const client = new pg.Client({ connectionString: postgres.url, connectionTimeoutMillis: 30_000 })
      client.on('error', () => {})
      await client.connect()
      try {
        await client.query('SET default_transaction_read_only = off')
        return (await client.query<Row>(text, values)).rows
      } finally {
        await client.end().catch(() => {})
      }
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

/** In session mode each connection of each replica has a session of its own. */
const SIZES: Readonly<Record<PoolMode, Readonly<Record<string, string>>>> = {
  session: { default_pool_size: '120' },
  transaction: {},
  statement: {},
}

/** With a pooler there are two ways, and what happens on the wire happens on both. */
async function startWayToStore(
  postgres: EmbeddedPostgres,
  { pooler: options }: WorldOptions,
  parts: AsyncDisposableStack,
): Promise<{
  readonly pooler: PgBouncer | undefined
  readonly storeWire: WireProcess
  readonly databaseUrls: Readonly<Record<string, string>>
}> {
  const wire = parts.use(await startWire({ targetPort: postgres.port }))
  const direct = at(postgres.url, wire.port)
  if (options === undefined) return { pooler: undefined, storeWire: wire, databaseUrls: { DATABASE_URL: direct } }
  const pooler = parts.use(
    await startPgBouncer({ databaseUrl: postgres.url, settings: SIZES[options.mode], ...options }),
  )
  const pooledWire = parts.use(await startWire({ targetPort: pooler.port }))
  const isTransaction = options.mode === 'transaction'
  return {
    pooler,
    storeWire: {
      ...wire,
      set: async mode => void (await Promise.all([wire.set(mode), pooledWire.set(mode)])),
    },
    databaseUrls: {
      DATABASE_URL: at(postgres.url, pooledWire.port),
      ...(isTransaction ? { DATABASE_DIRECT_URL: direct } : {}),
      ...(isTransaction && !options.program.keepsStatements ? { PG_PREPARED_STATEMENTS: 'off' } : {}),
    },
  }
}

function at(databaseUrl: string, port: number): string {
  const url = new URL(databaseUrl)
  url.port = String(port)
  return url.href
}

/** Creates the tables that the migrations of Holdfast do not, by the SQL that `holdfast stream migration` prints. */
async function createTables(url: string, streams: readonly Stream[]): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const { name, plan } of streams) if (name !== 'orders') await client.query(allTables(plan).up)
  } finally {
    await client.end()
  }
}
