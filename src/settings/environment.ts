import { nearest } from '../engine/nearest.ts'
import { SETTINGS } from './settings.ts'

/**
 * Makes the environment say what the settings say, before anything reads it. Libraries look into it behind our back: the Postgres
 * client takes what DATABASE_URL does not name from PG* variables (`PGSSLMODE=disable` turns TLS off without a word), and Node
 * checks no certificate with NODE_TLS_REJECT_UNAUTHORIZED=0.
 * @param env `process.env`; it is changed
 * @returns warnings about it, a line each
 */
export function tidyEnvironment(env: NodeJS.ProcessEnv): string[] {
  const notes: string[] = []
  for (const [name, value] of Object.entries(env)) {
    // The byte-order mark with which some editors begin a .env becomes a part of its first name.
    if (!name.startsWith('\uFEFF')) continue
    delete env[name]
    env[name.slice(1)] ??= value
  }
  const ofPostgres = Object.keys(env).filter(isReadByPostgresClient)
  for (const name of ofPostgres) delete env[name]
  if (ofPostgres.length > 0) {
    notes.push(
      `${ofPostgres.join(', ')} ${ofPostgres.length === 1 ? 'has' : 'have'} no effect: DATABASE_URL alone says how Postgres is reached`,
    )
  }
  if (env.NODE_TLS_REJECT_UNAUTHORIZED !== undefined) {
    delete env.NODE_TLS_REJECT_UNAUTHORIZED
    notes.push(
      'NODE_TLS_REJECT_UNAUTHORIZED has no effect: certificates are always checked; name their authority instead (sslrootcert in DATABASE_URL, KAFKA_SSL_CA_LOCATION)',
    )
  }
  return notes
}

/** Those that pg 8 and its helpers read: https://www.postgresql.org/docs/current/libpq-envars.html has their like. */
const POSTGRES_CLIENT: ReadonlySet<string> = new Set(
  [
    ...['HOST', 'HOSTADDR', 'PORT', 'DATABASE', 'USER', 'PASSWORD', 'PASSFILE', 'OPTIONS', 'SSLMODE', 'SSLNEGOTIATION'],
    ...[
      'SSLROOTCERT',
      'SSLCERT',
      'SSLKEY',
      'REQUIRESSL',
      'APPNAME',
      'CONNECT_TIMEOUT',
      'CLIENT_ENCODING',
      'CLIENTENCODING',
    ],
    ...['BINARY', 'REPLICATION', 'TARGETSESSIONATTRS', 'SERVICE', 'SERVICEFILE', 'FALLBACK_APPLICATION_NAME'],
  ].map(name => `PG${name}`),
)

function isReadByPostgresClient(name: string): boolean {
  return POSTGRES_CLIENT.has(name) || name === 'NODE_PG_FORCE_NATIVE'
}

/** All names of variables that begin like this are ours, but for those below. */
const OUR_PREFIXES = /^(KAFKA|DLQ|CACHE|BATCH|RETRY|PG|HTTP|METRICS|STUCK|OUTAGE|CRASH_LOOP|SHUTDOWN|AUTO_REDRIVE)_/
/** Other programs have too many variables with these prefixes: only what is nearly a setting is reported. */
const SHARED_PREFIXES = /^(DATABASE|API|LOG|RECORD|REPLAY|TRACE|DEAD_LETTER|AUTH)(_|$)/

/** What Kafka's scripts and images, Kubernetes (for a service called kafka), proxies and images of Postgres call theirs. */
const OF_OTHERS: readonly RegExp[] = [
  /^KAFKA_(OPTS|HEAP_OPTS|HOME|VERSION|DEBUG|CLUSTER_ID|NODE_ID|BROKER_ID|PROCESS_ROLES|LISTENERS?|PORT|HOST)$/,
  /^KAFKA_(JVM|LOG4J|GC|JMX|CFG|ADVERTISED|LISTENER|CONTROLLER|INTER|ZOOKEEPER|OFFSETS|TRANSACTION|KRAFT|SHARE)_/,
  // docker-compose.yml and cluster.env.
  /^KAFKA_(IN_SYNC|REPLICAS|VOTERS)$/,
  /_SERVICE_(HOST|PORT)(_\w+)?$/,
  /_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$/,
  /^HTTP_PROXY$/,
  /^PG_(CONFIG|VERSION|MAJOR|SHA256|COLORS?|HOME|DATA)$/,
]

type Variables = Readonly<Record<string, string | undefined>>

/**
 * Variables that look like settings of ours and are none, a line each, with the nearest name where there is one.
 * @param file what `.env` holds, which is written for us: there each name that is nearly a setting is reported, whatever its prefix
 */
export function misspeltSettings(env: Variables, file: Variables = {}): string[] {
  const known = Object.entries(SETTINGS).flatMap(([name, { inFile }]) => (inFile ? [name, `${name}_FILE`] : [name]))
  return Object.keys(env).flatMap(name => {
    if (known.includes(name) || OF_OTHERS.some(pattern => pattern.test(name))) return []
    const isOurs = OUR_PREFIXES.test(name)
    if (!isOurs && !SHARED_PREFIXES.test(name) && !(name in file)) return []
    const meant = nearest(name, known, 2)
    const near = meant === undefined ? '' : `; did you mean ${meant}?`
    return isOurs || near !== '' ? [`${name} is no setting of Holdfast, and has no effect${near}`] : []
  })
}
