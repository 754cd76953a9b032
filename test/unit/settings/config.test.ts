import { fileURLToPath } from 'node:url'
import { PgBoss } from 'pg-boss'
import { describe, expect, it } from 'vitest'
import { ConfigError, UsageError } from '#src/engine/errors.ts'
import { queueSchemaOf } from '#src/inbox/jobs/queue-schema.ts'
import { loadConfig } from '#src/settings/config.ts'
import { describeConfig, settingsTables } from '#src/settings/describe.ts'
import type { Environment } from '#src/settings/origins.ts'

const FILE = fileURLToPath(import.meta.url)

function problemsOf(env: Environment): readonly string[] {
  try {
    loadConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

describe('an empty environment', () => {
  it('is enough', () => {
    // Besides it, there is what answers anew when a file changes: functions.
    expect(loadConfig({})).toMatchObject({
      kafka: {
        brokers: ['localhost:9092'],
        startAt: 'earliest',
        createTopics: true,
        topicPartitions: 6,
        topicReplication: undefined,
        security: {},
        extra: {},
      },
      postgres: {
        url: 'postgres://localhost:5432/holdfast',
        direct: { url: 'postgres://localhost:5432/holdfast' },
        preparedStatements: true,
        schema: 'holdfast',
        poolMax: 4,
        statementTimeoutMs: 10_000,
      },
      http: {
        host: '127.0.0.1',
        port: 8081,
        apiKeys: [],
        keyless: 'loopback',
        allowedHosts: [],
        writesPerMinute: 600,
      },
      metrics: { host: '127.0.0.1', port: undefined },
      notify: { url: undefined, format: 'json', consoleUrl: undefined },
      batch: { maxRecords: 1000, maxBytes: 8 * 1024 * 1024, lingerMs: 5 },
      recordMaxBytes: 1024 * 1024,
      retry: { initialMs: 100, maxMs: 30_000, maxAttempts: 8 },
      outagePolicy: 'pause',
      stormLimit: 1000,
      stormRatio: 0.5,
      crashLoopMaxStarts: 5,
      redriveMax: 3,
      automaticRedrive: { on: false, delaysMs: [600_000, 3_600_000, 21_600_000] },
      deadLetterRetentionDays: 30,
      auditRetentionDays: 365,
      redriveRetentionDays: 365,
      ledgerMergeAfterMs: 86_400_000,
      cache: { maxBytes: 64 * 1024 * 1024, ttlMs: 3_600_000, warmOrders: 10_000, coherence: 'notify' },
      logLevels: { level: 'info', modules: {} },
      shutdownTimeoutMs: 25_000,
      stuckAfterMs: 120_000,
    })
  })

  it('is what empty variables mean, too', () => {
    expect(JSON.stringify(loadConfig({ HTTP_PORT: '', KAFKA_TOPIC: '  ' }))).toBe(JSON.stringify(loadConfig({})))
  })
})

describe('settings that are given', () => {
  it('are read by their unit', () => {
    const config = loadConfig({
      KAFKA_BROKERS: 'a:9092, [::1]:9093,c',
      KAFKA_CREATE_TOPICS: 'FALSE',
      KAFKA_TOPIC_REPLICATION: '3',
      CACHE_MAX_BYTES: '2GiB',
      BATCH_MAX_BYTES: '4096',
      CACHE_WARM_ORDERS: 'all',
      HTTP_PORT: '0',
      LOG_LEVEL: 'DEBUG,http=warn',
      AUTO_REDRIVE: 'ON',
      AUTO_REDRIVE_DELAYS: '90s, 2d',
    })
    expect(config.kafka.brokers).toEqual(['a:9092', '[::1]:9093', 'c'])
    expect(config.kafka).toMatchObject({ createTopics: false, topicReplication: 3 })
    expect(config.cache).toMatchObject({ maxBytes: 2 * 1024 ** 3, warmOrders: Number.POSITIVE_INFINITY })
    expect(config.batch.maxBytes).toBe(4096)
    expect(config.http.port).toBe(0)
    expect(config.logLevels).toEqual({ level: 'debug', modules: { http: 'warn' } })
    expect(config.automaticRedrive).toEqual({ on: true, delaysMs: [90_000, 172_800_000] })
  })

  it('become librdkafka properties where they concern the connection', () => {
    const config = loadConfig({
      KAFKA_SECURITY_PROTOCOL: 'SASL_SSL',
      KAFKA_SASL_MECHANISM: 'scram-sha-512',
      KAFKA_SASL_USERNAME: 'app',
      KAFKA_SASL_PASSWORD: ' with spaces ',
      KAFKA_SSL_CA_LOCATION: FILE,
      KAFKA_CONFIG: 'fetch.min.bytes=1, client.rack=eu\\,west ,debug=',
    })
    expect(config.kafka.security).toEqual({
      'security.protocol': 'sasl_ssl',
      'sasl.mechanism': 'SCRAM-SHA-512',
      'sasl.username': 'app',
      'sasl.password': ' with spaces ',
      'ssl.ca.location': FILE,
    })
    expect(config.kafka.extra).toEqual({ 'fetch.min.bytes': '1', 'client.rack': 'eu,west', debug: '' })
  })

  it.each([
    ['?sslmode=require', '?sslmode=verify-full'],
    ['?a=b&sslmode=verify-ca&c=d', '?a=b&sslmode=verify-full&c=d'],
    ['?sslmode=disable', '?sslmode=disable'],
    ['?uselibpqcompat=true&sslmode=require', '?uselibpqcompat=true&sslmode=require'],
  ])('check the certificate of the database where %s asks for TLS', (given, taken) => {
    expect(loadConfig({ DATABASE_URL: `postgres://h/d${given}` }).postgres.url).toBe(`postgres://h/d${taken}`)
  })

  it('go past a pooler where a direct URL says so, else the same way', () => {
    const url = 'postgres://pooler/d'
    expect(loadConfig({ DATABASE_URL: url }).postgres).toMatchObject({ url, direct: { url }, preparedStatements: true })
    const pooled = { DATABASE_URL: url, DATABASE_DIRECT_URL: 'postgres://h/d', PG_PREPARED_STATEMENTS: 'off' }
    expect(loadConfig(pooled).postgres).toMatchObject({
      url,
      direct: { url: 'postgres://h/d' },
      preparedStatements: false,
    })
  })

  it('cannot be changed afterwards, at any depth', () => {
    const config = loadConfig({})
    expect(Object.isFrozen(config)).toBe(true)
    expect(Object.isFrozen(config.kafka.brokers)).toBe(true)
    expect(Object.isFrozen(config.kafka.extra)).toBe(true)
  })
})

describe('settings that cannot be used', () => {
  it('are told all at once, each with name, value and what would be right', () => {
    const problems = problemsOf({
      HTTP_PORT: '99999',
      KAFKA_BROKERS: 'kafka://x',
      KAFKA_TOPIC: 'or ders',
      PG_POOL_MAX: '0',
      CACHE_MAX_BYTES: '64 megabytes',
      LOG_LEVEL: 'loud',
      CACHE_WARM_ORDERS: 'some',
      RETRY_INITIAL_MS: '1.5',
    })
    expect(problems).toHaveLength(8)
    expect(problems).toContain('HTTP_PORT is "99999": it must be a whole number from 0 to 65535 (port)')
    expect(problems).toContainEqual(
      expect.stringMatching(/^LOG_LEVEL is "loud": it must be a level, and others for modules/),
    )
  })

  it('are a usage error, for the exit code', () => {
    expect(() => loadConfig({ HTTP_PORT: 'x' })).toThrow(UsageError)
  })

  it.each<[string, Environment, RegExp]>([
    ['a share in percent', { DLQ_STORM_RATIO: '50' }, /DLQ_STORM_RATIO.*a share from 0 to 1, as in 0\.5/],
    ['a share of more than all', { DLQ_STORM_RATIO: '1.5' }, /DLQ_STORM_RATIO.*a share from 0 to 1/],
    ['a wait that ends before it begins', { RETRY_INITIAL_MS: '500', RETRY_MAX_MS: '100' }, /^RETRY_MAX_MS is "100"/],
    ['dead letters back into the source', { KAFKA_DLQ_TOPIC: 'orders' }, /^KAFKA_DLQ_TOPIC is "orders"/],
    ['an open host', { HTTP_HOST: '0.0.0.0' }, /^HTTP_HOST is "0\.0\.0\.0".*AUTH=off/],
    ['an open host by name', { HTTP_HOST: 'localhost.example.com' }, /^HTTP_HOST/],
    ['a password without SASL', { KAFKA_SASL_PASSWORD: 'x' }, /^KAFKA_SASL_PASSWORD is set, but/],
    ['a certificate without its key', { KAFKA_SECURITY_PROTOCOL: 'ssl', KAFKA_SSL_CERTIFICATE_LOCATION: FILE }, /KEY/],
    ['a CA without TLS', { KAFKA_SSL_CA_LOCATION: FILE }, /^KAFKA_SSL_CA_LOCATION is set, but/],
    [
      'a CA that is not there',
      { KAFKA_SECURITY_PROTOCOL: 'ssl', KAFKA_SSL_CA_LOCATION: '/no/ca.pem' },
      /^KAFKA_SSL_CA_LOCATION is "\/no\/ca\.pem": it must be the path of a PEM file that can be read/,
    ],
    [
      'one port for two',
      { HTTP_PORT: '9000', METRICS_PORT: '9000' },
      /^METRICS_PORT is "9000": it must be another port/,
    ],
    ['another database', { DATABASE_URL: 'mysql://h/d' }, /^DATABASE_URL is "mysql:\/\/h\/d"/],
    ['no database', { DATABASE_URL: 'postgres://h' }, /^DATABASE_URL/],
    ['port 0 of a broker', { KAFKA_BROKERS: 'a:0' }, /^KAFKA_BROKERS/],
    ['a delay of nothing', { AUTO_REDRIVE_DELAYS: '10m,0s' }, /^AUTO_REDRIVE_DELAYS is "10m,0s": it must be a list/],
    ['a delay without a unit', { AUTO_REDRIVE_DELAYS: '10' }, /^AUTO_REDRIVE_DELAYS/],
    [
      'two ages of the ledger',
      { LEDGER_MERGE_AFTER: '10m,1h' },
      /^LEDGER_MERGE_AFTER is "10m,1h": it must be a duration, as in 24h/,
    ],
    ['a property without a value', { KAFKA_CONFIG: 'linger.ms' }, /^KAFKA_CONFIG/],
  ])('%s', (_, env, expected) => {
    expect(problemsOf(env)).toEqual([expect.stringMatching(expected)])
  })

  it('asks for all that SASL needs', () => {
    expect(problemsOf({ KAFKA_SECURITY_PROTOCOL: 'sasl_ssl' })).toHaveLength(3)
  })

  it('names every property of KAFKA_CONFIG that is refused, each with its reason', () => {
    expect(problemsOf({ KAFKA_CONFIG: 'acks=1,fetch.min.bytes=1,isolation.level=x,linger.ms=9999' })).toEqual([
      expect.stringMatching(
        /; acks is refused: .*; isolation\.level is refused: .*; linger\.ms is refused: it must be a whole number from 0 to 1000/,
      ),
    ])
  })

  it.each([
    ['heartbeat.interval.ms=6000', /^KAFKA_CONFIG: heartbeat\.interval\.ms \(6000\) must be at most half of session/],
    ['max.poll.interval.ms=6000', /^KAFKA_CONFIG: session\.timeout\.ms \(10000\) must be at most max\.poll/],
    ['reconnect.backoff.ms=3000', /^KAFKA_CONFIG: reconnect\.backoff\.ms \(3000\) must be at most reconnect/],
  ])('KAFKA_CONFIG refuses %s, which the other properties do not allow', (KAFKA_CONFIG, expected) => {
    expect(problemsOf({ KAFKA_CONFIG })).toEqual([expect.stringMatching(expected)])
  })
})

describe('the schema of our own tables', () => {
  it.each([
    'public',
    'pg_holdfast',
    'information_schema',
    'Orders',
    '1st',
    'a-b',
    'a.b',
    '"a"',
    'pgboss',
    'x'.repeat(46),
  ])('is not %s', PG_SCHEMA => {
    expect(problemsOf({ PG_SCHEMA })).toEqual([
      expect.stringMatching(/^PG_SCHEMA is .* 1 to 45 of a-z 0-9 '_'.* not public/),
    ])
  })

  it.each(['holdfast', '_orders_2', 'user', 'x'.repeat(45)])('may be %s', PG_SCHEMA => {
    expect(loadConfig({ PG_SCHEMA }).postgres.schema).toBe(PG_SCHEMA)
    // pg-boss refuses a longer one, or another kind of name, when it is made.
    const db = { executeSql: () => Promise.resolve({ rows: [] }) }
    expect(() => new PgBoss({ db, schema: queueSchemaOf(PG_SCHEMA) })).not.toThrow()
  })
})

describe('the limit of standing still', () => {
  it('is longer than a statement may take, or off', () => {
    expect(problemsOf({ PG_STATEMENT_TIMEOUT_MS: '120000' })).toEqual([
      expect.stringMatching(
        /^STUCK_AFTER_MS is "120000": it must be more than PG_STATEMENT_TIMEOUT_MS \(120000\), or 0/,
      ),
    ])
    expect(loadConfig({ PG_STATEMENT_TIMEOUT_MS: '120000', STUCK_AFTER_MS: '0' }).stuckAfterMs).toBe(0)
    expect(loadConfig({ PG_STATEMENT_TIMEOUT_MS: '120000', STUCK_AFTER_MS: '120001' }).stuckAfterMs).toBe(120_001)
  })
})

describe('names that the API answers to', () => {
  it('are read in one form', () => {
    const { http } = loadConfig({ HTTP_ALLOWED_HOSTS: 'Orders.Example, 10.0.0.5,fd00::7,[fd00:0::8]' })
    expect(http.allowedHosts).toEqual(['orders.example', '10.0.0.5', 'fd00::7', 'fd00::8'])
  })

  it.each(['orders.example:443', 'https://orders.example', 'a b', '*', 'a,,b', '[::1]:80'])('are not %s', text => {
    expect(problemsOf({ HTTP_ALLOWED_HOSTS: text })).toEqual([expect.stringMatching(/^HTTP_ALLOWED_HOSTS is/)])
  })
})

it('callers on this machine need a key where HTTP_TRUST_LOOPBACK is off', () => {
  expect(loadConfig({ HTTP_TRUST_LOOPBACK: 'off' }).http.keyless).toBe('nobody')
  expect(loadConfig({ HTTP_TRUST_LOOPBACK: 'off', AUTH: 'off' }).http.keyless).toBe('everyone')
})

describe('an open host', () => {
  it.each(['127.0.0.1', '127.1.2.3', 'localhost', '::1'])('is not %s', host => {
    expect(loadConfig({ HTTP_HOST: host }).http.host).toBe(host)
  })

  it('is taken when AUTH=off says so', () => {
    const { http } = loadConfig({ HTTP_HOST: '0.0.0.0', AUTH: 'off' })
    expect(http).toMatchObject({ host: '0.0.0.0', keyless: 'everyone' })
  })

  it('is taken when API_KEYS says who may', () => {
    const { http } = loadConfig({ HTTP_HOST: '0.0.0.0', API_KEYS: `web:read:${'a'.repeat(64)}` })
    expect(http).toMatchObject({ keyless: 'nobody', apiKeys: [{ name: 'web', role: 'read' }] })
  })

  it('is not complained of when it is the keys that cannot be read', () => {
    const problems = problemsOf({ HTTP_HOST: '0.0.0.0', API_KEYS: 'web:read:geheim' })
    expect(problems).toEqual([expect.stringMatching(/^API_KEYS is "web:read:\*\*\*": it must be name:role:hash/)])
  })
})

describe('secrets', () => {
  const secret = 'geheim'
  const environments: readonly Environment[] = [
    { KAFKA_SASL_PASSWORD: secret },
    { API_KEYS: secret },
    { API_KEYS: `web:read:${secret}` },
    { DATABASE_URL: `postgres://u:${secret}@h/d` },
    { DATABASE_DIRECT_URL: `postgres://u:${secret}@h` },
    { DATABASE_URL: `postgres://u:${secret}@h` },
    { DATABASE_URL: `mysql://u:${secret}@h/d` },
    { DATABASE_URL: `postgres://u:1/${secret}@h/d` },
    { DATABASE_URL: `postgres://u:a#${secret}@h/d` },
    { DATABASE_URL: `host=h password=${secret}` },
    { DATABASE_URL: `postgres://h/d?password=${secret}&sslpassword=${secret}` },
    { KAFKA_BROKERS: `kafka://u:${secret}@h:9092` },
    { KAFKA_CONFIG: `sasl.password=${secret}` },
    { KAFKA_CONFIG: `sasl.oauthbearer.client.secret=${secret},ssl.key.password=${secret},acks=1` },
    { KAFKA_CONFIG: `sasl.password=a\\,${secret}` },
    { KAFKA_CONFIG: `ssl.key.password=a,${secret}` },
    { KAFKA_CONFIG: `ssl.key.password=a,${secret}=b,c=${secret}` },
    { KAFKA_CONFIG: `ssl.key.password=a,b,acks=${secret},${secret}` },
    { KAFKA_CONFIG: `ssl.key.password=${secret},fetch.min.bytes=1` },
    { KAFKA_CONFIG: `sasl.oauthbearer.config=principal=${secret}` },
    { KAFKA_CONFIG: secret },
    { KAFKA_BROKERS: `kafka://u:pa,${secret}/x@h:9092` },
    { KAFKA_BROKERS: `kafka://${secret}@h:9092` },
    { TRACE_URL: `https://u:${secret}@h/{trace_id}` },
    { TRACE_URL: `https://h/{trace_id}?api_token=${secret}&x=1` },
    { TRACE_URL: `h/{trace_id}?access_token=${secret}` },
    { GRAFANA_URL: `https://u:${secret}@h/grafana` },
    { DATABASE_URL: `postgres://u:a,${secret}@h/d` },
    { DATABASE_URL: `postgres://u:a@h1,h2/d?password=${secret}` },
    { DATABASE_URL: `postgres://u:${secret}@h1:1,h2:2/d` },
    { DATABASE_URL: `postgres://u:a,${secret}@h1:1,h2:x/d` },
    { API_KEYS: `web:read:a,${secret},b` },
    { KAFKA_SASL_OAUTH_TOKEN_COMMAND: `sign --client-secret ${secret} --region eu` },
    { KAFKA_SASL_OAUTH_TOKEN_COMMAND: `sign -password='a ${secret}' --url https://u:${secret}@h` },
    { KAFKA_SASL_OAUTH_TOKEN_COMMAND: `sign --api-key "a ${secret}` },
    { KAFKA_SASL_OAUTH_TOKEN_COMMAND: `sign --verbose --password ${secret}` },
    { KAFKA_SASL_OAUTH_TOKEN_COMMAND: `sign -- --password ${secret} --x` },
  ]
  it.each(environments)('are neither told nor shown: %j', env => {
    expect(JSON.stringify(problemsOf(env))).not.toContain(secret)
    expect(JSON.stringify(describeConfig(env))).not.toContain(secret)
  })
})

describe('the description', () => {
  it('shows a program with its arguments', () => {
    const command = 'node /app/token.mjs --region "eu west"'
    const rows = describeConfig({ KAFKA_SASL_OAUTH_TOKEN_COMMAND: command })
    expect(rows).toContainEqual(expect.objectContaining({ name: 'KAFKA_SASL_OAUTH_TOKEN_COMMAND', value: command }))
  })

  it('says what is in effect, and where it comes from', () => {
    const rows = describeConfig({ HTTP_PORT: '9000', DATABASE_URL: 'postgres://u:p@h/d' })
    expect(rows.find(({ name }) => name === 'HTTP_PORT')).toMatchObject({ value: '9000', origin: 'environment' })
    expect(rows.find(({ name }) => name === 'HTTP_HOST')).toMatchObject({ value: '127.0.0.1', origin: 'default' })
    expect(rows.find(({ name }) => name === 'DATABASE_URL')).toMatchObject({ value: 'postgres://u:***@h/d' })
    const [several] = describeConfig({ DATABASE_URL: 'postgres://u:p@h1:1,h2:2/d' }).filter(
      row => row.name === 'DATABASE_URL',
    )
    expect(several?.value).toBe('postgres://u:***@h1:1,h2:2/d')
  })

  it('says which file a secret comes from, and nothing of what it holds', () => {
    const rows = describeConfig({ KAFKA_SASL_PASSWORD_FILE: FILE })
    expect(rows.find(({ name }) => name === 'KAFKA_SASL_PASSWORD')).toMatchObject({
      ...{ value: '***', origin: 'file', file: FILE },
    })
  })

  it('tells what stands in .env from what the environment says otherwise', () => {
    const rows = describeConfig({ HTTP_PORT: '9000', LOG_LEVEL: 'warn' }, { HTTP_PORT: '9001', LOG_LEVEL: 'warn' })
    expect(rows.find(({ name }) => name === 'HTTP_PORT')).toMatchObject({ value: '9000', origin: 'environment' })
    expect(rows.find(({ name }) => name === 'LOG_LEVEL')).toMatchObject({ value: 'warn', origin: '.env' })
  })

  it('is in tables of Markdown, with a row for each setting', () => {
    const lines = settingsTables().split('\n')
    expect(lines[0]).toBe('## Kafka')
    const heads = lines.flatMap((line, i) => (line.startsWith('## ') ? lines.slice(i + 1, i + 4) : []))
    expect(new Set(heads)).toEqual(new Set(['', '| variable | default | |', '| --- | --- | --- |']))
    const rows = lines.filter(line => line.startsWith('| `'))
    expect(rows.map(row => row.split('`')[1])).toEqual(describeConfig({}).map(({ name }) => name))
    for (const row of rows) expect(row.match(/(?<!\\)\|/g)).toHaveLength(4)
  })
})

describe('a file that a setting names and that is not there', () => {
  it.each([
    [{ KAFKA_SECURITY_PROTOCOL: 'ssl', KAFKA_SSL_CA_LOCATION: '/nowhere/ca.pem' }, 'KAFKA_SSL_CA_LOCATION'],
    [{ KAFKA_CONFIG: 'ssl.crl.location=/nowhere/crl.pem' }, 'KAFKA_CONFIG holds ssl.crl.location=/nowhere/crl.pem'],
    [{ DATABASE_URL: 'postgres://u:secret@h/d?sslrootcert=/nowhere/ca.pem' }, 'DATABASE_URL holds sslrootcert='],
    [{ DATABASE_URL: `postgres://h/d?sslcert=${FILE}&sslkey=/nowhere/key` }, 'DATABASE_URL holds sslkey='],
  ])('is a mistake of the settings: %o', (env, expected) => {
    const [problem, ...others] = problemsOf(env)
    expect(problem).toContain(expected)
    expect(problem).not.toContain('secret')
    expect(others).toEqual([])
  })

  it('is none where it is there', () => {
    const env = { KAFKA_CONFIG: `ssl.crl.location=${FILE}`, DATABASE_URL: `postgres://h/d?sslrootcert=${FILE}` }
    expect(problemsOf(env)).toEqual([])
  })
})

it('the URL of the database cannot take away the limits that hold a zombie off', () => {
  expect(problemsOf({ DATABASE_URL: 'postgres://h/d?lock_timeout=0&sslmode=require' })).toEqual([
    expect.stringContaining('DATABASE_URL holds lock_timeout'),
  ])
})
