/** Which servers the demo works on: its own, unless the user asks for others and types their name. */

import { confirmByTyping, type TypedQuestion } from '../../src/cli/confirm.ts'
import { UsageError } from '../../src/engine/errors.ts'
import { firstUrl, urlsOfHosts } from '../../src/engine/postgres/database-url.ts'
import { loadConfig } from '../../src/settings/config.ts'
import type { Environment } from '../../src/settings/origins.ts'
import { loadStreams } from '../../src/settings/streams.ts'

export interface DemoSettings {
  /** Named: this Kafka is used, and none is started. Only after it was confirmed. */
  readonly kafkaBrokers?: string | undefined
  /** Named: this database is used, and none is started. Only after it was confirmed. */
  readonly databaseUrl?: string | undefined
  /** Settings that are not in effect, because they lead to other servers. */
  readonly ignored: readonly string[]
}

export interface DemoFlags {
  readonly useEnv?: boolean | undefined
  readonly produce: boolean
  /** Records a second of the generator. */
  readonly rate?: number | undefined
}

/**
 * What names servers, topics, a database, users or addresses, by our settings and by what the libraries read themselves
 * (`PGHOST`, `OTEL_EXPORTER_OTLP_ENDPOINT`). What tunes (BATCH_…, CACHE_…, LOG_LEVEL) stays in effect. HTTP_PROXY is not ours:
 * Maven may need it.
 */
const LEADS_ELSEWHERE =
  /^(KAFKA_|DATABASE_|PG|HTTP_(?!PROXY$)|METRICS_|API_KEYS(_|$)|AUTH$|OTEL_EXPORTER_|TRACE_URL$|NOTIFY_|GRAFANA_URL)/
/** What other commands read to find the servers. */
const FINDS_SERVERS = /^(KAFKA_|DATABASE_|PG)/

/**
 * Settles which servers the demo works on, and removes from the environment what must not be in effect: libraries read it
 * themselves.
 * @param env `process.env`
 * @param file what `.env` holds
 * @throws UsageError when there is nothing to use, or no terminal to confirm on; CommandFailed when it is not confirmed
 */
export async function takeDemoSettings(
  env: Record<string, string | undefined>,
  file: Environment,
  flags: DemoFlags,
  terminal: Pick<TypedQuestion, 'input' | 'output'> = {},
): Promise<DemoSettings> {
  if (flags.useEnv === true) return await confirmed(env, flags, terminal)
  const ignored = Object.keys(env)
    .filter(name => LEADS_ELSEWHERE.test(name) && env[name]?.trim() !== '' && !isPortOfShell(name, env, file))
    .sort()
  for (const name of ignored) delete env[name]
  return { ignored }
}

/** A port of this machine for the demo's pages may be chosen. That of `.env` is the service's. */
function isPortOfShell(name: string, env: Environment, file: Environment): boolean {
  return name === 'HTTP_PORT' && file[name] !== env[name]
}

/** Names the ignored settings in one line; `undefined` when all are in effect. */
export function ignoredLine({ ignored }: DemoSettings): string | undefined {
  if (ignored.length === 0) return undefined
  const are = ignored.length === 1 ? 'is' : 'are'
  return `${ignored.join(', ')} ${are} set and not used: the demo starts servers of its own. --use-env uses those of the environment.`
}

async function confirmed(
  env: Environment,
  { produce, rate }: DemoFlags,
  terminal: Pick<TypedQuestion, 'input' | 'output'>,
): Promise<DemoSettings> {
  const config = loadConfig(env)
  const { kafka, postgres } = config
  const streams = await loadStreams(config, env)
  const kafkaBrokers = env.KAFKA_BROKERS?.trim() || undefined
  const databaseUrl = env.DATABASE_URL?.trim() || undefined
  if (kafkaBrokers === undefined && databaseUrl === undefined) {
    throw new UsageError('--use-env: neither KAFKA_BROKERS nor DATABASE_URL is set. Set one, or leave --use-env out.')
  }
  const { pathname, username } = new URL(firstUrl(postgres.url))
  const host = urlsOfHosts(postgres.url)
    .map(url => new URL(url).host)
    .join()
  const database = decodeURIComponent(pathname.slice(1))
  const rows = [
    ...(kafkaBrokers === undefined
      ? []
      : [
          ['Kafka', kafka.brokers.join()],
          ...streams.map(({ name, topic, dlqTopic, groupId }) => {
            return ['Stream', `${name}: topics ${topic} and ${dlqTopic}, group ${groupId}`]
          }),
        ]),
    ...(databaseUrl === undefined
      ? []
      : [
          [
            'Postgres',
            `${host}, database ${database}${username === '' ? '' : `, user ${decodeURIComponent(username)}`}`,
          ],
        ]),
  ]
  const writes = produce
    ? [`sends ${rate === undefined ? 'invented records as fast as it can' : `${rate} invented records a second`}`]
    : []
  await confirmByTyping({
    about: [
      '--use-env lets the demo change servers that it did not start.',
      ...rows.map(([name = '', value = '']) => `  ${name.padEnd(10)} ${value}`),
      `It creates missing topics, migrates the database, consumes the topics${writes.length > 0 ? ' and ' : ''}${writes.join()}.`,
    ],
    ...(databaseUrl === undefined
      ? { word: streams[0].topic, what: 'the name of the topic' }
      : { word: database, what: 'the name of the database' }),
    otherwise: 'Without --use-env the demo starts servers of its own.',
    ...terminal,
  })
  return { kafkaBrokers, databaseUrl, ignored: [] }
}

/**
 * The line that lets other commands find the demo's servers, in another shell. What was ignored is set empty there, which
 * also hides it where `.env` has it.
 * @param started the servers that the demo has started itself
 * @returns nothing where there are none: the environment names them already
 */
export function exportLine(
  started: Readonly<Record<string, string | undefined>>,
  { ignored }: DemoSettings,
): string | undefined {
  const set = Object.entries(started).filter(entry => entry[1] !== undefined)
  if (set.length === 0) return undefined
  const hidden = ignored.filter(name => FINDS_SERVERS.test(name) && started[name] === undefined)
  const parts = [...set.map(([name, value = '']) => `${name}=${quoted(value)}`), ...hidden.map(name => `${name}=`)]
  return `export ${parts.join(' ')}`
}

/** For a POSIX shell. */
function quoted(value: string): string {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`
}
