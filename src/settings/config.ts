import { ConfigError } from '../engine/errors.ts'
import { createLogins } from '../engine/kafka/logins.ts'
import { commandTokens } from '../engine/kafka/token-command.ts'
import { oidcTokens, type TokenSource } from '../engine/kafka/tokens.ts'
import { firstUrl, throughOneHost } from '../engine/postgres/database-url.ts'
import type { Keyless } from './access.ts'
import { disagreements } from './disagreements.ts'
import { type Environment, effective, filesOf, isGiven, secretsOf } from './origins.ts'
import { rereading } from './secret-files.ts'
import { Mismatch } from './setting.ts'
import { type SettingName, settings, type Values } from './settings.ts'

export type Config = Frozen<ReturnType<typeof toConfig> & { readonly files: SettingFiles }>
type Frozen<T> = T extends (...args: never) => unknown
  ? T
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T

/**
 * Reads the environment, and the files that it names, into a frozen Config.
 * @throws ConfigError naming every setting that cannot be used
 */
export function loadConfig(env: Environment): Config {
  const first = readValues(env)
  const files = filesOf(env)
  const again = () => readValues(env)
  const problemsOf = (error: unknown) => (error instanceof ConfigError ? error.problems : [String(error)])
  const { latest, problems } = rereading([...files.values()], first, again, problemsOf)
  return freeze({
    ...toConfig(first, latest, () => secretsOf(env)),
    files: { names: [...files.keys()], look: () => changesSince(first, latest(), problems()) },
  })
}

/** @throws ConfigError */
function readValues(env: Environment): Values {
  const values: Partial<Record<SettingName, unknown>> = {}
  const problems: string[] = []
  for (const [name, { parse, shown }] of settings()) {
    const { text, file, problem } = effective(env, name)
    if (problem !== undefined) problems.push(problem)
    if (text === undefined) continue
    const value = parse(text)
    if (!(value instanceof Mismatch)) values[name] = value
    else if (file === undefined)
      problems.push(`${name} is ${JSON.stringify(shown(text))}: it must be ${value.expected}`)
    else
      problems.push(
        `${name}_FILE is "${file}", which holds ${JSON.stringify(shown(text))}: it must be ${value.expected}`,
      )
  }
  const mistaken = settings().filter(([name]) => !(name in values) && isGiven(env, name))
  const isKnown = (problem: string) => mistaken.some(([name]) => problem.startsWith(`${name} is not set`))
  problems.push(...disagreements(values as Partial<Values>).filter(problem => !isKnown(problem)))
  if (problems.length > 0) throw new ConfigError(problems)
  // The table gives each name its type; what could not be read is absent, and then nothing is built from it.
  return values as Values
}

/** Files that hold settings. */
export interface SettingFiles {
  /** The settings that are in files. */
  readonly names: readonly string[]
  readonly look: () => FilesSeen
}

/** How the files are now, against the start of the process. */
export interface FilesSeen {
  /** Settings whose file holds another value than at the start. */
  readonly changed: readonly string[]
  /** Those of them that take effect with the next start only. */
  readonly atNextStart: readonly string[]
  /** What cannot be used, a line each; what was read before it stays in effect. */
  readonly problems: readonly string[]
  /** The same while the files are the same. */
  readonly version: unknown
}

/** They shape what was made at the start, or name another server: records must not go to two databases at a time. */
function changesSince(first: Values, now: Values, problems: readonly string[]): FilesSeen {
  const changed = settings().flatMap(([name, { inFile }]) =>
    inFile && JSON.stringify(first[name]) !== JSON.stringify(now[name]) ? [name] : [],
  )
  const atNextStart = changed.filter(name => {
    if (name === 'KAFKA_CONFIG' || name === 'KAFKA_SSL_KEY_PASSWORD') return true
    return (
      name.startsWith('DATABASE_') &&
      withLogin(String(first[name]), String(now[name])) !== withLogin(String(now[name]), String(now[name]))
    )
  })
  return { changed, atNextStart, problems, version: now }
}

/** @returns the address with user and password of another one */
function withLogin(address: string, login: string): string {
  const { username, password } = new URL(firstUrl(login))
  return throughOneHost(address, one => {
    const url = new URL(one)
    url.username = username
    url.password = password
    return url.href
  })
}

/** Tokens of OAUTHBEARER, the secret of the client as its file holds it; `undefined` with another mechanism. */
function tokensOf(values: Values, latest: () => Values, secrets: () => string[]): TokenSource | undefined {
  const command = values.KAFKA_SASL_OAUTH_TOKEN_COMMAND
  const extensions = values.KAFKA_SASL_OAUTH_EXTENSIONS
  if (command !== undefined) return commandTokens({ command, extensions, secrets })
  const url = values.KAFKA_SASL_OAUTH_TOKEN_URL
  if (url === undefined) return undefined
  return oidcTokens({
    url,
    client() {
      const { KAFKA_SASL_OAUTH_CLIENT_ID: id = '', KAFKA_SASL_OAUTH_CLIENT_SECRET: secret = '' } = latest()
      return { id, secret }
    },
    scope: values.KAFKA_SASL_OAUTH_SCOPE,
    extensions,
    secrets,
  })
}

/**
 * @param latest the values as files hold them now. What is a function in the Config answers by them; all else is as it was at
 * the start.
 * @param secrets that no message may quote, as they are now
 */
function toConfig(values: Values, latest: () => Values, secrets: () => string[]) {
  return {
    kafka: {
      brokers: values.KAFKA_BROKERS,
      startAt: values.KAFKA_START_AT,
      createTopics: values.KAFKA_CREATE_TOPICS === 'true',
      topicPartitions: values.KAFKA_TOPIC_PARTITIONS,
      /** `undefined`: the broker's default. */
      topicReplication: values.KAFKA_TOPIC_REPLICATION,
      /** librdkafka properties. */
      security: present({
        'security.protocol': values.KAFKA_SECURITY_PROTOCOL,
        'sasl.mechanism': values.KAFKA_SASL_MECHANISM,
        'sasl.username': values.KAFKA_SASL_USERNAME,
        'sasl.password': values.KAFKA_SASL_PASSWORD,
        'ssl.ca.location': values.KAFKA_SSL_CA_LOCATION,
        'ssl.certificate.location': values.KAFKA_SSL_CERTIFICATE_LOCATION,
        'ssl.key.location': values.KAFKA_SSL_KEY_LOCATION,
        'ssl.key.password': values.KAFKA_SSL_KEY_PASSWORD,
      }),
      /** User and password, and who is to hear of others; `undefined` where none are used. */
      logins:
        values.KAFKA_SASL_PASSWORD === undefined
          ? undefined
          : createLogins(() => {
              const { KAFKA_SASL_USERNAME: username = '', KAFKA_SASL_PASSWORD: password = '' } = latest()
              return { username, password }
            }),
      tokens: tokensOf(values, latest, secrets),
      /** Further librdkafka properties, checked against those that the guarantees rest on. */
      extra: values.KAFKA_CONFIG,
    },
    /** As it was written: relative to the working directory. `undefined`: the usual names are looked for. */
    streamFile: values.HOLDFAST_CONFIG,
    /** Who runs commands; `undefined`: the user of the terminal. */
    operator: values.OPERATOR,
    postgres: {
      ...addressOf(values.DATABASE_URL, () => latest().DATABASE_URL),
      /** Past a pooler; the same where none is in between. */
      direct: addressOf(directUrlOf(values), () => directUrlOf(latest())),
      preparedStatements: values.PG_PREPARED_STATEMENTS === 'on',
      /** Of our own tables. */
      schema: values.PG_SCHEMA,
      poolMax: values.PG_POOL_MAX,
      statementTimeoutMs: values.PG_STATEMENT_TIMEOUT_MS,
    },
    http: {
      host: values.HTTP_HOST,
      port: values.HTTP_PORT,
      apiKeys: values.API_KEYS,
      currentKeys: () => latest().API_KEYS,
      keyless: keylessOf(values),
      allowedHosts: values.HTTP_ALLOWED_HOSTS,
      writesPerMinute: values.HTTP_WRITES_PER_MINUTE,
    },
    /** Port `undefined`: served by the API. */
    metrics: { host: values.METRICS_HOST, port: values.METRICS_PORT },
    batch: {
      maxRecords: values.BATCH_MAX_RECORDS,
      maxBytes: values.BATCH_MAX_BYTES,
      lingerMs: values.BATCH_LINGER_MS,
    },
    recordMaxBytes: values.RECORD_MAX_BYTES,
    retry: {
      initialMs: values.RETRY_INITIAL_MS,
      maxMs: values.RETRY_MAX_MS,
      maxAttempts: values.RETRY_MAX_ATTEMPTS,
    },
    outagePolicy: values.OUTAGE_POLICY,
    stormLimit: values.DLQ_STORM_MAX_CONSECUTIVE,
    stormRatio: values.DLQ_STORM_RATIO,
    crashLoopMaxStarts: values.CRASH_LOOP_MAX_STARTS,
    redriveMax: values.REPLAY_MAX,
    /** Until an operator uses the switch; and how long a dead letter waits for its first automatic redrive, its second … */
    automaticRedrive: { on: values.AUTO_REDRIVE === 'on', delaysMs: values.AUTO_REDRIVE_DELAYS },
    deadLetterRetentionDays: values.DEAD_LETTER_RETENTION_DAYS,
    auditRetentionDays: values.AUDIT_RETENTION_DAYS,
    redriveRetentionDays: values.REDRIVE_RETENTION_DAYS,
    ledgerMergeAfterMs: values.LEDGER_MERGE_AFTER,
    cache: {
      maxBytes: values.CACHE_MAX_BYTES,
      ttlMs: values.CACHE_TTL_MS,
      /** Infinity: as many as fit. */
      warmOrders: values.CACHE_WARM_ORDERS,
      coherence: values.CACHE_COHERENCE,
    },
    /** With `{trace_id}` in it. */
    traceUrl: values.TRACE_URL,
    /** Without a slash at its end. */
    grafanaUrl: values.GRAFANA_URL?.replace(/\/+$/, ''),
    /** Messages to operators. */
    notify: {
      url: values.NOTIFY_WEBHOOK_URL,
      currentUrl: () => latest().NOTIFY_WEBHOOK_URL,
      format: values.NOTIFY_FORMAT,
      consoleUrl: values.CONSOLE_URL,
    },
    logLevels: values.LOG_LEVEL,
    shutdownTimeoutMs: values.SHUTDOWN_TIMEOUT_MS,
    /** 0: never. */
    stuckAfterMs: values.STUCK_AFTER_MS,
  }
}

function directUrlOf({ DATABASE_DIRECT_URL: direct, DATABASE_URL: url }: Values): string {
  return direct ?? url
}

function addressOf(url: string, latest: () => string) {
  return {
    url,
    /** The same with user and password as they are now. Another host or database takes effect with the next start. */
    currentUrl: () => {
      const now = latest()
      return now === url ? now : withLogin(url, now)
    },
  }
}

function keylessOf(values: Values): Keyless {
  if (values.AUTH === 'off') return 'everyone'
  return values.API_KEYS.length === 0 && values.HTTP_TRUST_LOOPBACK === 'on' ? 'loopback' : 'nobody'
}

function present(properties: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  const entries = Object.entries(properties).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return Object.fromEntries(entries)
}

function freeze<T extends object>(value: T): Frozen<T> {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) freeze(part)
  return Object.freeze(value) as Frozen<T>
}
