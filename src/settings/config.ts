import { ConfigError } from '../engine/errors.ts'
import { createLogins } from '../engine/kafka/logins.ts'
import { disagreementsOf } from '../engine/kafka/properties.ts'
import { commandTokens, oidcTokens, type TokenSource } from '../engine/kafka/tokens.ts'
import { firstUrl, throughOneHost } from '../engine/postgres/database-url.ts'
import type { Keyless } from './access.ts'
import { hostNameOfAddress, isLoopbackName } from './hosts.ts'
import { filesOfKafka, filesOfPostgres, refusedInUrl } from './nested-settings.ts'
import { readSecretFile, rereading } from './secret-files.ts'
import { Mismatch, type Setting } from './setting.ts'
import { SETTINGS } from './settings.ts'

type SettingName = keyof typeof SETTINGS
type Values = { readonly [N in SettingName]: (typeof SETTINGS)[N] extends Setting<infer T> ? T : never }

/** What `process.env` is. */
export type Environment = Readonly<Record<string, string | undefined>>

export type Config = Frozen<ReturnType<typeof toConfig> & { readonly files: SettingFiles }>
type Frozen<T> = T extends (...args: never) => unknown
  ? T
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T

/**
 * Reads the environment, and the files that it names, into a frozen Config. An empty variable is an unset one: compose files
 * cannot leave one out.
 * @throws ConfigError naming every setting that cannot be used
 */
export function loadConfig(env: Environment): Config {
  const first = readValues(env)
  const files = filesOf(env)
  const again = () => readValues(env)
  const problemsOf = (error: unknown) => (error instanceof ConfigError ? error.problems : [String(error)])
  const { latest, problems } = rereading([...files.values()], first, again, problemsOf)
  return freeze({
    ...toConfig(first, latest),
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
  // The table gives each name its type; what could not be read is absent, and then nothing is built from it.
  const mistaken = settings().filter(([name]) => !(name in values) && isGiven(env, name))
  const isKnown = (problem: string) => mistaken.some(([name]) => problem.startsWith(`${name} is not set`))
  problems.push(...disagreements(values as Partial<Values>).filter(problem => !isKnown(problem)))
  if (problems.length > 0) throw new ConfigError(problems)
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

/** Settings that are right one by one and wrong together. */
function disagreements(values: Partial<Values>): string[] {
  const problems: string[] = []
  const { KAFKA_SECURITY_PROTOCOL: protocol = 'plaintext', HTTP_HOST: host, AUTH: auth } = values
  problems.push(...saslProblems(values))
  const tls = [
    ...(['KAFKA_SSL_CA_LOCATION', 'KAFKA_SSL_CERTIFICATE_LOCATION', 'KAFKA_SSL_KEY_LOCATION'] as const),
    'KAFKA_SSL_KEY_PASSWORD' as const,
  ]
  for (const name of tls) {
    if (values[name] !== undefined && !protocol.endsWith('ssl')) {
      problems.push(`${name} is set, but KAFKA_SECURITY_PROTOCOL is ${protocol}: it must be ssl or sasl_ssl`)
    }
  }
  if ((values.KAFKA_SSL_CERTIFICATE_LOCATION === undefined) !== (values.KAFKA_SSL_KEY_LOCATION === undefined)) {
    problems.push('KAFKA_SSL_CERTIFICATE_LOCATION and KAFKA_SSL_KEY_LOCATION must be set together, or neither')
  }
  if (values.KAFKA_TOPIC !== undefined && values.KAFKA_TOPIC === values.KAFKA_DLQ_TOPIC) {
    problems.push(`KAFKA_DLQ_TOPIC is "${values.KAFKA_DLQ_TOPIC}": it must be another topic than KAFKA_TOPIC`)
  }
  const { HTTP_PORT: port = 0, METRICS_PORT: metricsPort, METRICS_HOST: metricsHost } = values
  if (port > 0 && metricsPort === port && metricsHost === host) {
    problems.push(`METRICS_PORT is "${metricsPort}": it must be another port than HTTP_PORT`)
  }
  for (const problem of disagreementsOf(values.KAFKA_CONFIG ?? {})) problems.push(`KAFKA_CONFIG: ${problem}`)
  const { RETRY_INITIAL_MS: initialMs = 0, RETRY_MAX_MS: maxMs = Number.POSITIVE_INFINITY } = values
  if (maxMs < initialMs) {
    problems.push(`RETRY_MAX_MS is "${maxMs}": it must be at least RETRY_INITIAL_MS (${initialMs})`)
  }
  const { STUCK_AFTER_MS: stuckAfterMs = 0, PG_STATEMENT_TIMEOUT_MS: statementTimeoutMs = 0 } = values
  if (stuckAfterMs > 0 && stuckAfterMs <= statementTimeoutMs) {
    problems.push(
      `STUCK_AFTER_MS is "${stuckAfterMs}": it must be more than PG_STATEMENT_TIMEOUT_MS (${statementTimeoutMs}), or 0; ` +
        'a statement that may take so long is not stuck',
    )
  }
  problems.push(...filesOfKafka(values.KAFKA_CONFIG ?? {}))
  for (const setting of ['DATABASE_URL', 'DATABASE_DIRECT_URL'] as const) {
    const url = values[setting]
    if (url === undefined) continue
    problems.push(...filesOfPostgres(setting, url))
    for (const name of refusedInUrl(url)) {
      problems.push(
        `${setting} holds ${name}, which would replace a value of Holdfast: leave it out (PG_STATEMENT_TIMEOUT_MS bounds statements)`,
      )
    }
  }
  // Keys that cannot be parsed have a message of their own.
  const hasKeys = values.API_KEYS === undefined || values.API_KEYS.length > 0
  if (host !== undefined && auth === 'on' && !hasKeys && !isLoopbackName(hostNameOfAddress(host))) {
    problems.push(
      `HTTP_HOST is "${host}", which others can reach: it must be 127.0.0.1, unless API_KEYS says who may, or AUTH=off that all may`,
    )
  }
  return problems
}

const PASSWORD_LOGIN = ['KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD'] as const
const OAUTH_CLIENT = ['KAFKA_SASL_OAUTH_CLIENT_ID', 'KAFKA_SASL_OAUTH_CLIENT_SECRET'] as const
const OAUTH = [
  'KAFKA_SASL_OAUTH_TOKEN_URL',
  ...OAUTH_CLIENT,
  'KAFKA_SASL_OAUTH_SCOPE',
  'KAFKA_SASL_OAUTH_EXTENSIONS',
  'KAFKA_SASL_OAUTH_TOKEN_COMMAND',
] as const

/** Which of the settings of SASL belong together. */
function saslProblems(values: Partial<Values>): string[] {
  const { KAFKA_SECURITY_PROTOCOL: protocol = 'plaintext', KAFKA_SASL_MECHANISM: mechanism } = values
  const isSet = (name: SettingName) => values[name] !== undefined && !isEmpty(values[name])
  const needed = (because: string, names: readonly SettingName[]) =>
    names.filter(name => !isSet(name)).map(name => `${name} is not set: ${because} needs it`)
  const unneeded = (because: string, names: readonly SettingName[]) =>
    names.filter(isSet).map(name => `${name} is set, but ${because}`)
  if (!protocol.startsWith('sasl')) {
    const because = `KAFKA_SECURITY_PROTOCOL is ${protocol}: it must be sasl_ssl or sasl_plaintext`
    return unneeded(because, ['KAFKA_SASL_MECHANISM', ...PASSWORD_LOGIN, ...OAUTH])
  }
  const because = `KAFKA_SECURITY_PROTOCOL=${protocol}`
  if (mechanism === undefined) return needed(because, ['KAFKA_SASL_MECHANISM', ...PASSWORD_LOGIN])
  if (mechanism !== 'OAUTHBEARER') {
    const other = `KAFKA_SASL_MECHANISM is ${mechanism}: it must be OAUTHBEARER`
    return [...needed(because, PASSWORD_LOGIN), ...unneeded(other, OAUTH)]
  }
  const problems = unneeded('KAFKA_SASL_MECHANISM is OAUTHBEARER, which has none: leave it out', PASSWORD_LOGIN)
  if (isSet('KAFKA_SASL_OAUTH_TOKEN_COMMAND')) {
    const byCommand = 'KAFKA_SASL_OAUTH_TOKEN_COMMAND gets the tokens: leave one of them out'
    return [
      ...problems,
      ...unneeded(byCommand, ['KAFKA_SASL_OAUTH_TOKEN_URL', ...OAUTH_CLIENT, 'KAFKA_SASL_OAUTH_SCOPE']),
    ]
  }
  if (!isSet('KAFKA_SASL_OAUTH_TOKEN_URL')) {
    const what = 'KAFKA_SASL_OAUTH_TOKEN_URL or KAFKA_SASL_OAUTH_TOKEN_COMMAND must be set'
    return [...problems, `${what}: KAFKA_SASL_MECHANISM=OAUTHBEARER needs one of them`]
  }
  return [...problems, ...needed('KAFKA_SASL_OAUTH_TOKEN_URL', OAUTH_CLIENT)]
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}

/** Tokens of OAUTHBEARER, the secret of the client as its file holds it; `undefined` with another mechanism. */
function tokensOf(values: Values, latest: () => Values): TokenSource | undefined {
  const command = values.KAFKA_SASL_OAUTH_TOKEN_COMMAND
  const extensions = values.KAFKA_SASL_OAUTH_EXTENSIONS
  if (command !== undefined) return commandTokens({ command, extensions })
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
  })
}

/**
 * @param latest the values as files hold them now. What is a function in the Config answers by them; all else is as it was at
 * the start.
 */
function toConfig(values: Values, latest: () => Values) {
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
      tokens: tokensOf(values, latest),
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

export interface SettingRow {
  readonly name: string
  /** In effect, secrets hidden; empty when unset. */
  readonly value: string
  readonly origin: 'default' | 'environment' | '.env' | 'file'
  readonly description: string
}

/**
 * Every setting as it is in effect, in the order of the table.
 * @param file what `.env` holds. Node has put it into the environment already, where that did not say otherwise.
 */
export function describeConfig(env: Environment, file: Environment = {}): SettingRow[] {
  return settings().map(([name, { shown, about }]) => {
    const { text, origin } = effective(env, name)
    const fromFile = origin === 'environment' && file[name] === text
    return {
      name,
      value: text === undefined ? '' : shown(text),
      origin: fromFile ? '.env' : origin,
      description: about,
    }
  })
}

/** The first setting of each part of the page: a setting belongs to the part above it. */
const PARTS: Readonly<Partial<Record<SettingName, string>>> = {
  KAFKA_BROKERS: 'Kafka',
  DATABASE_URL: 'Postgres',
  HTTP_HOST: 'HTTP, console and messages to operators',
  METRICS_HOST: 'A port for metrics and probes',
  BATCH_MAX_RECORDS: 'Batches and retries',
  DLQ_STORM_MAX_CONSECUTIVE: 'Dead letters and redrives',
  DEAD_LETTER_RETENTION_DAYS: 'What is kept for how long',
  HOLDFAST_CONFIG: 'Streams and operators',
  CACHE_MAX_BYTES: 'Cache',
  LOG_LEVEL: 'Log, liveness and stop',
}

/** Every setting in tables of Markdown, under the headings of its parts. */
export function settingsTables(): string {
  const lines = settings().flatMap(([name, setting]) => {
    const value = setting.default ? `\`${setting.default}\`` : ''
    const file = setting.inFile ? ` Or \`${name}_FILE\`: a file that holds it.` : ''
    const cells = [`\`${name}\``, value, `${setting.about} Takes ${setting.expected}.${file}`]
    const row = `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
    const part = PARTS[name]
    return part === undefined ? [row] : ['', `## ${part}`, '', '| variable | default | |', '| --- | --- | --- |', row]
  })
  return lines.join('\n').trim()
}

function settings(): [SettingName, Setting<unknown>][] {
  return Object.entries(SETTINGS) as [SettingName, Setting<unknown>][]
}

interface Effective {
  readonly text: string | undefined
  readonly origin: 'default' | 'environment' | 'file'
  /** Where the text was read. */
  readonly file?: string
  /** Why there is no text. */
  readonly problem?: string
}

/** Whether it has a value of its own, one that can be used or not. */
function isGiven(env: Environment, name: SettingName): boolean {
  return effective(env, name).origin !== 'default'
}

function effective(env: Environment, name: SettingName): Effective {
  const given = env[name]
  const isSet = given !== undefined && given.trim() !== ''
  const file = fileOf(env, name)
  if (file === undefined) {
    return isSet ? { text: given, origin: 'environment' } : { text: SETTINGS[name].default, origin: 'default' }
  }
  if (isSet) {
    return { text: undefined, origin: 'file', problem: `${name} and ${name}_FILE are both set: leave one of them out` }
  }
  const text = readSecretFile(file)
  if (!(text instanceof Mismatch)) return { text, origin: 'file', file }
  return { text: undefined, origin: 'file', problem: `${name}_FILE is "${file}": it must be ${text.expected}` }
}

/** The file that holds a setting; `undefined` where it has none, or may have none. */
function fileOf(env: Environment, name: SettingName): string | undefined {
  const path = SETTINGS[name].inFile ? env[`${name}_FILE`] : undefined
  return path === undefined || path.trim() === '' ? undefined : path
}

function filesOf(env: Environment): ReadonlyMap<SettingName, string> {
  const files = settings().map(([name]) => [name, fileOf(env, name)] as const)
  return new Map(files.filter((entry): entry is [SettingName, string] => entry[1] !== undefined))
}

function present(properties: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  const entries = Object.entries(properties).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return Object.fromEntries(entries)
}

function freeze<T extends object>(value: T): Frozen<T> {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) freeze(part)
  return Object.freeze(value) as Frozen<T>
}
