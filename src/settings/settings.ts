import { refusalOf } from '../engine/kafka/properties.ts'
import { isOperatorName, OPERATOR_NAME } from '../engine/operator.ts'
import { DEFAULT_SCHEMA } from '../engine/postgres/schema.ts'
import { START_AT } from '../engine/progress.ts'
import { type ApiKey, maskApiKeys, parseApiKeys } from './access.ts'
import { LOG_LEVELS, LOG_MODULES, parseLogLevels } from './log-levels.ts'
import {
  PEM_FILE,
  readable,
  readBrokers,
  readDuration,
  readDurations,
  readHosts,
  readWebhook,
  readWords,
} from './readers.ts'
import {
  bytes,
  fraction,
  hideAll,
  integer,
  maskCommand,
  oneOf,
  pairs,
  postgresUrl,
  type Setting,
  setting,
  text,
} from './setting.ts'

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB
const DAY_MS = 86_400_000

const topicName = { pattern: /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/, expected: "1 to 249 of A-Z a-z 0-9 '.' '_' '-'" }
const pemFile = { default: undefined, expected: PEM_FILE } as const

/**
 * Every setting, once: validation, `holdfast config`, and docs/settings.md come from here. An empty variable is
 * an unset one, because compose files cannot leave one out.
 */
export const SETTINGS = {
  KAFKA_BROKERS: setting(
    {
      default: 'localhost:9092',
      expected: 'a list as in host:9092,other:9092',
      about: 'Brokers of the cluster; the client learns the others from them.',
    },
    readBrokers,
  ),
  KAFKA_TOPIC: text({
    default: 'orders',
    ...topicName,
    about:
      'The topic of the stream `orders`. Another stream has one of its own name, unless its definition says otherwise.',
  }),
  KAFKA_DLQ_TOPIC: text({
    default: 'orders.dlq',
    ...topicName,
    about: 'The dead-letter topic of the stream `orders`; of another stream: its topic with `.dlq`.',
  }),
  KAFKA_GROUP_ID: text({
    default: 'holdfast',
    pattern: /^[\x21-\x7e]{1,255}$/,
    expected: '1 to 255 visible ASCII characters',
    about: 'The consumer group of the stream `orders`; of another stream: this and `-NAME`. Replicas share it.',
  }),
  KAFKA_CREATE_TOPICS: oneOf({
    default: 'true',
    values: ['true', 'false'],
    about: 'Whether missing topics are created at start.',
  }),
  KAFKA_TOPIC_PARTITIONS: integer({
    default: '6',
    min: 1,
    max: 10_000,
    unit: 'partitions',
    about: 'Partitions of a topic that is created: the most replicas that can share it.',
  }),
  KAFKA_TOPIC_REPLICATION: integer({
    default: undefined,
    min: 1,
    max: 100,
    unit: 'replicas',
    about: "Replicas of a topic that is created; unset: the broker's default.",
  }),
  KAFKA_START_AT: oneOf({
    default: 'earliest',
    values: START_AT,
    about:
      "Where a partition without a progress row starts. `committed`: at the group's offset in Kafka, for a group that is taken over from another application (earliest where there is none); `latest`: at the end. The ledger holds as `skipped` what is passed over. Unset it once the group is taken over: a database that is an older copy has no rows either.",
  }),
  KAFKA_SECURITY_PROTOCOL: oneOf({
    default: undefined,
    values: ['plaintext', 'ssl', 'sasl_plaintext', 'sasl_ssl'],
    about: 'How to talk to the brokers; unset: plaintext.',
  }),
  KAFKA_SASL_MECHANISM: oneOf({
    default: undefined,
    values: ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'],
    about: 'With sasl_plaintext or sasl_ssl.',
  }),
  KAFKA_SASL_USERNAME: text({
    default: undefined,
    pattern: /./s,
    expected: 'a user name',
    inFile: true,
    about: 'With PLAIN and SCRAM.',
  }),
  KAFKA_SASL_PASSWORD: text({
    default: undefined,
    pattern: /./s,
    expected: 'a password',
    secret: true,
    about: 'With PLAIN and SCRAM.',
  }),
  KAFKA_SASL_OAUTH_TOKEN_URL: text({
    default: undefined,
    pattern: /^https?:\/\/[^\s@#]+$/,
    expected: 'a URL without a user, as in https://idp.example.com/oauth2/token',
    about: 'With OAUTHBEARER: where an identity provider gives out tokens for client credentials (OIDC).',
  }),
  KAFKA_SASL_OAUTH_CLIENT_ID: text({
    default: undefined,
    pattern: /\S/,
    expected: 'the id of a client',
    inFile: true,
    about: 'The id of the client there.',
  }),
  KAFKA_SASL_OAUTH_CLIENT_SECRET: text({
    default: undefined,
    pattern: /./s,
    expected: 'the secret of that client',
    secret: true,
    about: 'The secret of that client.',
  }),
  KAFKA_SASL_OAUTH_SCOPE: text({
    default: undefined,
    pattern: /\S/,
    expected: 'one or more scopes, separated by spaces',
    about: 'The scope to ask for, where the identity provider wants one.',
  }),
  KAFKA_SASL_OAUTH_EXTENSIONS: pairs({
    default: undefined,
    expected: 'names and values as in logicalCluster=lkc-1,identityPoolId=pool-2',
    refuse: name =>
      /^[A-Za-z]+$/.test(name) && name !== 'auth' ? undefined : 'a name has letters only, and is not auth',
    about: 'SASL extensions that go to the broker with each token.',
  }),
  KAFKA_SASL_OAUTH_TOKEN_COMMAND: setting(
    {
      default: undefined,
      expected: 'a program and its arguments, separated by spaces; quotes keep one together',
      about:
        'With OAUTHBEARER, instead of a URL: a program that prints a token, for the IAM of a cloud. It is run without a shell; docs/kafka.md says what it prints.',
      shown: maskCommand,
    },
    readWords,
  ),
  KAFKA_SSL_CA_LOCATION: setting(
    { ...pemFile, about: 'The authority that signed the brokers; unset: the system’s.' },
    readable,
  ),
  KAFKA_SSL_CERTIFICATE_LOCATION: setting(
    { ...pemFile, about: 'The certificate of this client, where brokers ask for one.' },
    readable,
  ),
  KAFKA_SSL_KEY_LOCATION: setting({ ...pemFile, about: 'The key of that certificate.' }, readable),
  KAFKA_SSL_KEY_PASSWORD: text({
    default: undefined,
    pattern: /./s,
    expected: 'a password',
    secret: true,
    about: 'The password of that key, where it is encrypted.',
  }),
  KAFKA_CONFIG: pairs({
    default: undefined,
    expected: 'librdkafka properties as in fetch.min.bytes=1,statistics.interval.ms=0',
    refuse: refusalOf,
    inFile: true,
    about: 'Further librdkafka properties; those that would break the guarantees are refused, with the reason.',
  }),
  DATABASE_URL: postgresUrl({
    default: 'postgres://localhost:5432/holdfast',
    about: 'The database; TLS through the URL (`?sslmode=verify-full`; `require` checks as much).',
  }),
  DATABASE_DIRECT_URL: postgresUrl({
    default: undefined,
    about:
      'The same database past a pooler that lends sessions by the transaction: for migrations, and for what needs a session of its own (notices of other replicas, `dlq reindex`). Unset: DATABASE_URL.',
  }),
  PG_PREPARED_STATEMENTS: oneOf({
    default: 'on',
    values: ['on', 'off'],
    about:
      'Whether statements are prepared once for each connection. `off` behind a pooler that lends sessions by the transaction and keeps no account of prepared statements (PgBouncer before 1.21, or with `max_prepared_statements = 0`).',
  }),
  PG_SCHEMA: text({
    default: DEFAULT_SCHEMA,
    // 45: pg-boss takes at most 50 for the schema of the queues, which has `_jobs` behind it.
    pattern: /^(?!pg_|public$|information_schema$|pgboss$)[a-z_][a-z0-9_]{0,44}$/,
    expected:
      "1 to 45 of a-z 0-9 '_', the first no digit; not public, where tables of streams stand, not pgboss, where queues do, and not the name of a schema of Postgres itself (pg_…, information_schema)",
    about:
      'The schema of the tables of Holdfast itself; `holdfast migrate up` makes it, and moves them there from `public`. Installations that share a database have one each.',
  }),
  PG_POOL_MAX: integer({
    default: '4',
    min: 1,
    max: 1000,
    unit: 'connections',
    about:
      'Connections that write, of the whole process: its streams share them equally, each with at least one. Two for each core of the database are enough.',
  }),
  PG_STATEMENT_TIMEOUT_MS: integer({
    default: '10000',
    min: 100,
    max: DAY_MS,
    unit: 'ms',
    about: 'How long a statement may run before the server gives it up.',
  }),
  HTTP_HOST: text({
    default: '127.0.0.1',
    pattern: /^[A-Za-z0-9.:_-]+$/,
    expected: 'an address or a host name of this machine',
    about: 'Where the API listens. One that others can reach needs API_KEYS, or AUTH=off.',
  }),
  HTTP_PORT: integer({
    default: '8081',
    min: 0,
    max: 65_535,
    unit: 'port',
    about: '0 takes a free one, and prints it.',
  }),
  API_KEYS: setting(
    {
      default: '',
      expected: 'name:role:hash, several separated by commas; the hash is the SHA-256 of the key in hexadecimal',
      about:
        'Who may use the API: keys with the role read, write or admin, sent as `Authorization: Bearer …`. None: this machine may read and write, and admin needs the key that is made at each start: on the terminal, and in the file that the log names.',
      shown: maskApiKeys,
      inFile: true,
    },
    (value): readonly ApiKey[] | undefined => (value === '' ? [] : parseApiKeys(value)),
  ),
  HTTP_ALLOWED_HOSTS: setting(
    {
      default: '',
      expected:
        'host names or addresses without a port, several separated by commas, as in orders.example.com,10.0.0.5',
      about:
        'Names under which clients reach the API, besides those of the loopback interface and HTTP_HOST. A request with another `Host`, or from a page of another origin, is refused, whatever AUTH says.',
    },
    readHosts,
  ),
  HTTP_TRUST_LOOPBACK: oneOf({
    default: 'on',
    values: ['on', 'off'],
    about:
      'Whether callers on this machine need no key to read and write while API_KEYS names none. off where a proxy on this machine adds no forwarding header.',
  }),
  TRACE_URL: text({
    default: undefined,
    pattern: /^https?:\/\/[^\s{}]+\{trace_id\}[^\s{}]*$/,
    expected: 'a URL with {trace_id} in it, as in http://localhost:16686/trace/{trace_id}',
    about: 'Where a trace can be looked at: dead letters link to it.',
  }),
  GRAFANA_URL: text({
    default: undefined,
    pattern: /^https?:\/\/[^\s?#]+$/,
    expected: 'a URL without parameters, as in https://grafana.example.com',
    about:
      'The Grafana that has the dashboards of `grafana/`: the console links to them, with the stream and the span of time.',
  }),
  CONSOLE_URL: text({
    default: undefined,
    pattern: /^https?:\/\/[^\s?#]+$/,
    expected: 'a URL without parameters, as in https://holdfast.example.com',
    about:
      'Where operators reach the console: messages to them link there. Unset: the address of the process that sends them.',
  }),
  NOTIFY_WEBHOOK_URL: setting(
    {
      default: undefined,
      expected: 'a URL with http or https and without a user, as in https://hooks.example.com/services/…',
      about: 'Where messages to operators go: each is a POST to it. Unset: none are sent. It is a secret.',
      shown: hideAll,
      inFile: true,
    },
    readWebhook,
  ),
  NOTIFY_FORMAT: oneOf({
    default: 'json',
    values: ['json', 'slack', 'teams'],
    about: 'Who reads the messages: any program, an incoming webhook of Slack, or a workflow of Microsoft Teams.',
  }),
  AUTH: oneOf({
    default: 'on',
    values: ['on', 'off'],
    about: 'off: every client that reaches the API may read and write without a key; admin needs one all the same.',
  }),
  HTTP_WRITES_PER_MINUTE: integer({
    default: '600',
    min: 1,
    max: 10_000_000,
    unit: 'requests',
    about: 'Values that one key, or one address without a key, may send to the API in a minute.',
  }),
  METRICS_HOST: text({
    default: '127.0.0.1',
    pattern: /^[A-Za-z0-9.:_-]+$/,
    expected: 'an address or a host name of this machine',
    about: 'Where METRICS_PORT listens.',
  }),
  METRICS_PORT: integer({
    default: undefined,
    min: 0,
    max: 65_535,
    unit: 'port',
    about:
      'A port of its own for `/metrics` and the probes with their details, without keys; unset: they are on HTTP_PORT, and details only for those who may read.',
  }),
  BATCH_MAX_RECORDS: integer({
    default: '1000',
    min: 1,
    max: 10_000,
    unit: 'records',
    about: 'Records that one transaction settles at most; 500 to 2000 perform alike.',
  }),
  BATCH_MAX_BYTES: bytes({
    default: '8MiB',
    min: KIB,
    max: GIB,
    about: 'Bytes that close a batch; a larger record is a batch of its own.',
  }),
  BATCH_LINGER_MS: integer({
    default: '5',
    min: 0,
    max: 60_000,
    unit: 'ms',
    about: 'How long a record may wait for others to fill its batch.',
  }),
  RECORD_MAX_BYTES: bytes({
    default: '1MiB',
    min: KIB,
    max: GIB,
    about: 'A larger value is a dead letter (`too_large`).',
  }),
  RETRY_INITIAL_MS: integer({
    default: '100',
    min: 1,
    max: DAY_MS,
    unit: 'ms',
    about: 'The first wait after a failure, at most; it doubles with each attempt, with full jitter.',
  }),
  RETRY_MAX_MS: integer({ default: '30000', min: 1, max: DAY_MS, unit: 'ms', about: 'The longest wait.' }),
  RETRY_MAX_ATTEMPTS: integer({
    default: '8',
    min: 1,
    max: 1000,
    unit: 'attempts',
    about: 'Bounds failures that blame a record; an outage is not counted.',
  }),
  OUTAGE_POLICY: oneOf({
    values: ['pause', 'dead-letter'],
    default: 'pause',
    about:
      'What an outage of the database does: wait for it however long, or set a batch aside after RETRY_MAX_ATTEMPTS (`retries_exhausted`).',
  }),
  DLQ_STORM_MAX_CONSECUTIVE: integer({
    default: '1000',
    min: 0,
    max: 1_000_000_000,
    unit: 'dead letters',
    about:
      'So many dead letters in a row on a partition, for whatever reasons, pause it until `holdfast resume`; so does a batch of which the database refuses every record, before any of them is a dead letter. 0: never.',
  }),
  DLQ_STORM_RATIO: fraction({
    default: '0.5',
    about: 'A partition is paused likewise when this share of its last 1,000 records became dead letters; 0: never.',
  }),
  CRASH_LOOP_MAX_STARTS: integer({
    default: '5',
    min: 0,
    max: 1000,
    unit: 'starts',
    about: 'A record that has ended the process this many times becomes a dead letter (`crash_loop`); 0: never.',
  }),
  REPLAY_MAX: integer({
    default: '3',
    min: 1,
    max: 1000,
    unit: 'redrives',
    about: 'A dead letter that failed after so many redrives is parked; from then on only `state:parked` redrives it.',
  }),
  AUTO_REDRIVE: oneOf({
    default: 'off',
    values: ['on', 'off'],
    about:
      'Whether dead letters with a temporary cause (`retries_exhausted`, `unexpected_error`) are redriven automatically; `holdfast dlq auto` overrides it for all processes, also after restarts.',
  }),
  AUTO_REDRIVE_DELAYS: setting(
    {
      default: '10m,1h,6h',
      expected: 'a list of durations, as in 10m,1h,6h',
      about:
        'How long such a dead letter waits after a failure: for its first automatic redrive, its second, and so on.',
    },
    readDurations,
  ),
  DEAD_LETTER_RETENTION_DAYS: integer({
    default: '30',
    min: 0,
    max: 36_500,
    unit: 'days',
    about:
      'How long dead letters stay in the index after they were resolved or discarded; 0: for ever. Their counts stay.',
  }),
  LEDGER_MERGE_AFTER: setting(
    {
      default: '24h',
      expected: 'a duration, as in 24h',
      about:
        'So long after they were settled, rows of the ledger that follow on one another are merged into one for each partition and day, once an hour.',
    },
    readDuration,
  ),
  AUDIT_RETENTION_DAYS: integer({
    default: '365',
    min: 0,
    max: 36_500,
    unit: 'days',
    about:
      'How long the audit log keeps what operators did; 0: for ever. A discard stays in it while it can be undone.',
  }),
  REDRIVE_RETENTION_DAYS: integer({
    default: '365',
    min: 0,
    max: 36_500,
    unit: 'days',
    about:
      'How long a redrive into the store is listed after it ended; 0: for ever. One stays while a dead letter of it does, and so does one that published to a topic.',
  }),
  HOLDFAST_CONFIG: text({
    default: undefined,
    pattern: /\S/,
    expected: 'the path of a file that exports `defineConfig({ streams: [...] })`',
    about:
      'The streams that run. Unset: `holdfast.config.ts` (`.mts`, `.cts`, `.js`, `.mjs`, `.cjs`) of the working directory; where there is none, orders alone.',
  }),
  OPERATOR: setting(
    {
      default: undefined,
      expected: OPERATOR_NAME,
      about:
        'Who runs commands, as the audit log and the list of redrives show it; `--as NAME` overrides it. Unset: the user of the terminal.',
    },
    value => (isOperatorName(value) ? value : undefined),
  ),
  CACHE_MAX_BYTES: bytes({
    default: '64MiB',
    min: 0,
    max: 1024 * GIB,
    about:
      'Memory for values that are served without asking the database, of the whole process: its streams share it equally; 0: none.',
  }),
  CACHE_TTL_MS: integer({
    default: '3600000',
    min: 1,
    max: 365 * DAY_MS,
    unit: 'ms',
    about: 'How long a cached value is served.',
  }),
  CACHE_WARM_ORDERS: setting(
    {
      default: '10000',
      expected: 'a whole number of values, or `all`',
      about: 'Newest values of each stream to load at start; `all`: as many as fit.',
    },
    value => {
      if (value.toLowerCase() === 'all') return Number.POSITIVE_INFINITY
      return /^\d{1,12}$/.test(value) ? Number(value) : undefined
    },
  ),
  CACHE_COHERENCE: oneOf({
    default: 'notify',
    values: ['notify', 'off'],
    about:
      'How replicas learn of what others wrote: notify (LISTEN/NOTIFY of Postgres), or off, which is right only for a single process.',
  }),
  LOG_LEVEL: setting(
    {
      default: 'info',
      expected: `a level, and others for modules, as in info,kafka=debug,http=warn; levels: ${LOG_LEVELS.join(', ')}; modules: ${LOG_MODULES.join(', ')}`,
      about: 'The least that is logged, of all modules and of single ones; debug also shows stacks.',
    },
    parseLogLevels,
  ),
  STUCK_AFTER_MS: integer({
    default: '120000',
    min: 0,
    max: DAY_MS,
    unit: 'ms',
    about:
      'How long a partition may stand still with work at hand, while nothing that it needs is away, before `/livez` asks for a restart; 0: never. More than PG_STATEMENT_TIMEOUT_MS.',
  }),
  SHUTDOWN_TIMEOUT_MS: integer({
    default: '25000',
    min: 100,
    max: 3_600_000,
    unit: 'ms',
    about: 'How long a stop may take to settle what is in flight.',
  }),
} as const satisfies Record<string, Setting<unknown>>

export type SettingName = keyof typeof SETTINGS
/** What is read of all of them. */
export type Values = { readonly [N in SettingName]: (typeof SETTINGS)[N] extends Setting<infer T> ? T : never }

/** The table, row by row. */
export function settings(): [SettingName, Setting<unknown>][] {
  return Object.entries(SETTINGS) as [SettingName, Setting<unknown>][]
}
