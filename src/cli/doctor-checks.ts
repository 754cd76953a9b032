import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { type Config, loadConfig } from '../config.ts'
import { BrokerFatalError, ConfigError, StreamError } from '../core/errors.ts'
import type { KafkaInspector } from '../kafka/inspector.ts'

/** What was looked at, and what came of it. */
export interface Finding {
  readonly name: string
  readonly ok: boolean
  /** What is the case. */
  readonly detail: string
  /** What to do about it; only where it is not well. */
  readonly fix?: string
}

/** How our consumers share the partitions of a group; all members must agree. */
const OUR_STRATEGY = 'cooperative-sticky'

type Environment = Readonly<Record<string, string | undefined>>

/** Looks at everything that a start needs, changes nothing, and goes on after what fails. */
export async function* examine(env: Environment): AsyncGenerator<Finding> {
  yield await nodeVersion()
  yield await nativeClient()
  let config: Config
  try {
    config = loadConfig(env)
    yield { name: 'settings', ok: true, detail: 'all can be used' }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const problem of error.problems) {
      yield { name: 'settings', ok: false, detail: problem, fix: 'correct it in the environment or in .env' }
    }
    return
  }
  yield await port('HTTP_PORT', config.http.host, config.http.port)
  if (config.metrics.port !== undefined) yield await port('METRICS_PORT', config.metrics.host, config.metrics.port)
  yield* kafka(config)
  yield* postgres(config)
}

async function nodeVersion(): Promise<Finding> {
  const manifest: { engines: { node: string } } = JSON.parse(
    await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
  )
  const wanted = manifest.engines.node
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const [from = 0, fromMinor = 0, below = 0] = (wanted.match(/\d+/g) ?? []).map(Number)
  const ok = (major > from || (major === from && minor >= fromMinor)) && major < below
  return {
    name: 'node',
    ok,
    detail: `${process.version} (${wanted})`,
    ...(ok ? {} : { fix: 'run "make setup", which brings the right one' }),
  }
}

/** Each is a thing that some cluster needs; a build without a library lacks it. */
const NEEDED_FEATURES = ['ssl', 'sasl_scram', 'lz4', 'zstd'] as const

async function nativeClient(): Promise<Finding> {
  const name = 'native client'
  try {
    const { nativeFeatures } = await import('../kafka/client.ts')
    const { version, features } = nativeFeatures()
    const missing = NEEDED_FEATURES.filter(feature => !features.includes(feature))
    if (missing.length === 0) return { name, ok: true, detail: `librdkafka ${version}` }
    return {
      name,
      ok: false,
      detail: `librdkafka ${version} was built without ${missing.join(', ')}`,
      fix: 'install the libraries that README.md names under Requirements, delete node_modules and run "make setup"',
    }
  } catch (error) {
    return { name, ok: false, detail: messageOf(error), fix: 'run "make setup", which compiles it where need be' }
  }
}

async function port(setting: string, host: string, number: number): Promise<Finding> {
  const name = setting === 'HTTP_PORT' ? 'port' : 'metrics port'
  if (number === 0) return { name, ok: true, detail: 'any that is free' }
  const taken = await new Promise<NodeJS.ErrnoException | undefined>(resolve => {
    const server = createServer()
    server.once('error', resolve)
    server.listen(number, host, () => server.close(() => resolve(undefined)))
  })
  if (taken === undefined) return { name, ok: true, detail: `${host}:${number} is free` }
  if (taken.code === 'EADDRINUSE' && (await isHoldfast(host, number))) {
    return { name, ok: true, detail: `${host}:${number} is in use, by Holdfast` }
  }
  return {
    name,
    ok: false,
    detail: `${host}:${number} cannot be listened on (${taken.code ?? taken.message})`,
    fix: `set ${setting} to another one, or to 0 for any that is free`,
  }
}

async function isHoldfast(host: string, number: number): Promise<boolean> {
  const address = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
  try {
    const answer = await fetch(`http://${address}:${number}/livez`, { signal: AbortSignal.timeout(2_000) })
    return typeof ((await answer.json()) as { status?: unknown }).status === 'string'
  } catch {
    return false
  }
}

async function* kafka({ kafka: settings }: Config): AsyncGenerator<Finding> {
  const at = settings.brokers.join(', ')
  const { startInspector } = await import('../kafka/inspector.ts')
  try {
    await using inspector = await startInspector({ connection: settings, groupId: settings.groupId })
    // Any question that a broker answers.
    await inspector.partitions(settings.topic)
    yield { name: 'kafka', ok: true, detail: `reached at ${at}` }
    yield* group(settings, inspector)
  } catch (error) {
    yield {
      name: 'kafka',
      ok: false,
      detail: messageOf(error),
      fix:
        remedyOf(error) ??
        'check KAFKA_BROKERS, KAFKA_CONFIG and the KAFKA_S* settings; "holdfast demo" or "docker compose up" start a broker',
    }
    return
  }
  yield* topics(settings)
}

/** The line that gives a right to the user of these settings. */
function grant({ security, brokers }: Config['kafka'], operations: readonly string[], resource: string): string {
  return (
    `kafka-acls --bootstrap-server ${brokers[0]} --add --allow-principal User:${security['sasl.username'] ?? 'USER'} ` +
    `${operations.map(operation => `--operation ${operation}`).join(' ')} ${resource}`
  )
}

async function* group(settings: Config['kafka'], inspector: KafkaInspector): AsyncGenerator<Finding> {
  const name = `group ${settings.groupId}`
  const toJoin = grant(settings, ['Read'], `--group ${settings.groupId}`)
  try {
    const { members, strategy, mayRead } = await inspector.group(settings.topic)
    if (!mayRead) yield { name, ok: false, detail: 'this user may see it, and not join it', fix: toJoin }
    else if (strategy !== undefined && strategy !== OUR_STRATEGY) {
      yield {
        name,
        ok: false,
        detail: `${members} other consumers are in it, which assign partitions by "${strategy}": we could not join`,
        fix: `stop them, or choose another KAFKA_GROUP_ID (ours is ${OUR_STRATEGY})`,
      }
    } else yield { name, ok: true, detail: `${members} in it; this user may join` }
  } catch (error) {
    const fix = error instanceof BrokerFatalError ? toJoin : (remedyOf(error) ?? 'ask again in a moment')
    yield { name, ok: false, detail: messageOf(error), fix }
  }
}

/** Each right that the service needs, with the line that gives it. */
async function* topics(settings: Config['kafka']): AsyncGenerator<Finding> {
  const { topic, dlqTopic, createTopics } = settings
  const { topicRights } = await import('../kafka/topic-rights.ts')
  let rights: Awaited<ReturnType<typeof topicRights>>
  try {
    rights = await topicRights(settings, [topic, dlqTopic])
  } catch (error) {
    yield { name: 'topics', ok: false, detail: messageOf(error), fix: remedyOf(error) ?? 'ask again in a moment' }
    return
  }
  for (const found of rights) {
    const isSource = found.topic === topic
    // Dead letters are read as well: to show them, to redrive them, to prove the stream.
    const needed = isSource ? ['Read'] : ['Write', 'Read']
    const lacking = needed.filter(operation => !(operation === 'Read' ? found.mayRead : found.mayWrite))
    const of = { name: `topic ${found.topic}`, resource: `--topic ${found.topic}` }
    if (!found.mayDescribe) {
      const fix = grant(settings, needed, of.resource)
      yield { name: of.name, ok: false, detail: 'this user may not even see whether it is there', fix }
    } else if (found.partitions === 0) {
      const coming =
        'not there yet; the service creates it at start (KAFKA_CREATE_TOPICS), for which this user needs CREATE'
      yield createTopics
        ? { name: of.name, ok: true, detail: coming }
        : { name: of.name, ok: false, detail: 'not there', fix: 'create it, or set KAFKA_CREATE_TOPICS=true' }
    } else if (lacking.length > 0) {
      const detail = `${found.partitions} partitions; this user may not ${lacking.join(' and ').toLowerCase()}`
      yield { name: of.name, ok: false, detail, fix: grant(settings, lacking, of.resource) }
    } else {
      const only =
        isSource && !found.mayWrite ? ', and not write: POST /orders/create and redrives to the topic need that' : ''
      const may = needed.join(' and ').toLowerCase()
      yield { name: of.name, ok: true, detail: `${found.partitions} partitions; this user may ${may}${only}` }
    }
    if (found.leaderless.length > 0) {
      yield {
        name: `leaders of ${found.topic}`,
        ok: false,
        detail: `no broker leads ${found.leaderless.map(id => `${found.topic}-${id}`).join(', ')}: they wait, the others go on`,
        fix: 'start the brokers that hold their replicas, and look at the disks of those that run (kafka-topics --describe --unavailable-partitions)',
      }
    }
  }
}

async function* postgres({ postgres: settings }: Config): AsyncGenerator<Finding> {
  const [{ createPool, query }, { missingMigrations, requireFitDatabase }, { serverFacts }, { requireQueueSchema }] =
    await Promise.all([
      import('../postgres/pool.ts'),
      import('../postgres/migrate.ts'),
      import('../postgres/table-rights.ts'),
      import('../jobs/queue-schema.ts'),
    ])
  await using parts = new AsyncDisposableStack()
  const pool = createPool({ ...settings, max: 1, name: 'doctor' })
  parts.defer(() => pool.end())
  // What is looked at just now; the finding of it has its name when it fails.
  let name = 'postgres'
  try {
    const { version, readOnly, forbidden } = await serverFacts(pool)
    yield {
      name,
      ok: !readOnly,
      detail: `PostgreSQL ${version}${readOnly ? ', read-only' : ''}`,
      ...(readOnly ? { fix: 'name the primary in DATABASE_URL: this server takes no writes' } : {}),
    }
    name = 'encoding'
    await requireFitDatabase(pool)
    name = 'migrations'
    const missing = await missingMigrations(pool)
    // Not advised where it would fail.
    await requireFitDatabase(pool, missing)
    yield {
      name,
      ok: missing.length === 0,
      detail: missing.length === 0 ? 'up to date' : `missing: ${missing.join(', ')}`,
      ...(missing.length === 0 ? {} : { fix: 'run: holdfast migrate up' }),
    }
    if (missing.length > 0) return
    yield {
      name: 'table rights',
      ok: forbidden.length === 0,
      detail:
        forbidden.length === 0 ? 'may read and write' : `this user may not read and write ${forbidden.join(', ')}`,
      ...(forbidden.length === 0
        ? {}
        : { fix: 'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO it' }),
    }
    name = 'jobs'
    await requireQueueSchema((text, values) => query(pool, { text, values: [...values] }))
    yield { name, ok: true, detail: 'may keep their queue' }
  } catch (error) {
    yield {
      name,
      ok: false,
      detail: messageOf(error),
      fix: remedyOf(error) ?? 'check DATABASE_URL; "holdfast demo" or "docker compose up" start a server',
    }
  }
}

function remedyOf(error: unknown): string | undefined {
  return error instanceof StreamError ? error.remedy : undefined
}

function messageOf(error: unknown): string {
  if (!(error instanceof StreamError)) return error instanceof Error ? error.message : String(error)
  const { cause, what } = error
  return cause instanceof Error && cause.message !== '' && !error.message.includes(cause.message)
    ? `${what} (${cause.message})`
    : what
}
