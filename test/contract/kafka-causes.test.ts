import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { examine, type Finding } from '#src/cli/doctor-checks.ts'
import { verifyStream } from '#src/cli/proof.ts'
import { BrokerFatalError, BrokerUnavailableError } from '#src/engine/errors.ts'
import { createConsumer } from '#src/engine/kafka/consumer.ts'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import type { TokenSource } from '#src/engine/kafka/tokens.ts'
import { loadConfig } from '#src/settings/config.ts'
import { holdfast } from '../support/cli.ts'
import { migratedDatabase } from '../support/database.ts'
import { createTopic, joinWith } from '../support/kafka-tools.ts'
import { type SecuredKafka, startSecuredKafka } from '../support/secured-kafka.ts'
import { freshTopics } from '../support/stack.ts'
import { orderStream } from '../support/streams.ts'

let secured: SecuredKafka

beforeAll(async () => {
  secured = await startSecuredKafka()
})
afterAll(async () => {
  await secured[Symbol.asyncDispose]()
})

interface Failure {
  readonly message: string
  readonly isMistake: boolean
  readonly seconds: number
}

/** Without a cause that waiting does not cure, a client would go on until then. */
const CONNECT_TIMEOUT_MS = 120_000
/** It takes one second on a machine that has nothing else to do, and many where each reply is late. */
const WITHIN_S = 60

async function connecting(
  brokers: string,
  security: Readonly<Record<string, string>>,
  connectTimeoutMs = CONNECT_TIMEOUT_MS,
  tokens?: TokenSource,
): Promise<Failure> {
  const startedAtMs = performance.now()
  const connection = { brokers: [brokers], security, extra: {}, tokens }
  try {
    await using _ = await startProducer({ connection, connectTimeoutMs })
  } catch (error) {
    if (!(error instanceof BrokerUnavailableError)) throw error
    const seconds = (performance.now() - startedAtMs) / 1000
    return { message: error.message, isMistake: error.isMistake, seconds }
  }
  throw new Error('it has connected')
}

const tls = (over: Readonly<Record<string, string>> = {}) => ({
  'security.protocol': 'ssl',
  'ssl.ca.location': secured.ca,
  ...over,
})

describe('a client that does not reach Kafka says why within seconds, and what to do:', () => {
  const cases: Readonly<Record<string, () => [string, Readonly<Record<string, string>>, ...RegExp[]]>> = {
    'an authority that did not sign the brokers': () => [
      secured.at.TLS,
      tls({ 'ssl.ca.location': secured.otherCa }),
      /signed by an authority \("Test authority"\) that is not among those we trust; KAFKA_SSL_CA_LOCATION/,
    ],
    'a certificate that has expired': () => [secured.at.EXPIRED, tls(), /its certificate expired on .*2\d\d\d/],
    'a certificate for another host': () => [
      secured.at.OTHERHOST,
      tls(),
      /for another host name: it names DNS:kafka\.example, and we connect to 127\.0\.0\.1/,
    ],
    'no certificate of ours, where one is asked for': () => [
      secured.at.MUTUAL,
      tls(),
      /asks for a certificate of the client.*KAFKA_SSL_CERTIFICATE_LOCATION/,
    ],
    'a certificate of ours that the broker does not take': () => [
      secured.at.MUTUAL,
      tls({ 'ssl.certificate.location': secured.client.certificate, 'ssl.key.location': secured.client.key }),
      /refuses our certificate/,
    ],
    'a port with TLS, spoken to in plaintext': () => [
      secured.at.TLS,
      {},
      /speaks TLS, and KAFKA_SECURITY_PROTOCOL is plaintext; set KAFKA_SECURITY_PROTOCOL=ssl/,
    ],
    'a port without TLS, spoken to with TLS': () => [
      secured.kafka.brokers,
      tls(),
      /does not speak TLS, and KAFKA_SECURITY_PROTOCOL is ssl/,
    ],
    'a wrong password': () => [
      secured.at.SASL,
      secured.as('alice', { 'sasl.password': 'guessed' }),
      /refuses the user or the password.*KAFKA_SASL_PASSWORD/,
    ],
    'a wrong password of SCRAM': () => [
      secured.at.SASL,
      secured.as('bob', { 'sasl.password': 'guessed' }),
      /refuses the user or the password/,
    ],
    'a wrong password over TLS': () => [
      secured.at.SASLTLS,
      secured.as('alice', { 'sasl.password': 'guessed', ...tls({ 'security.protocol': 'sasl_ssl' }) }),
      /refuses the user or the password/,
    ],
    'an unknown user': () => [
      secured.at.SASL,
      secured.as('bob', { 'sasl.username': 'mallory' }),
      /refuses the user or the password/,
    ],
    'a mechanism that is not enabled': () => [
      secured.at.SCRAMONLY,
      secured.as('alice'),
      /does not take the SASL mechanism PLAIN; it takes SCRAM-SHA-256; set KAFKA_SASL_MECHANISM/,
    ],
    'a port that wants SASL': () => [
      secured.at.SASL,
      {},
      /wants SASL \(it takes .*PLAIN.*\).*set KAFKA_SECURITY_PROTOCOL=sasl_plaintext/,
    ],
    'a port that wants SASL over TLS': () => [
      secured.at.SASLTLS,
      tls(),
      /wants SASL.*set KAFKA_SECURITY_PROTOCOL=sasl_ssl/,
    ],
    'a port that takes no SASL': () => [
      secured.kafka.brokers,
      secured.as('alice'),
      /takes no SASL.*KAFKA_SECURITY_PROTOCOL=plaintext/,
    ],
  }
  it.concurrent.each(Object.keys(cases))('%s', async name => {
    const [brokers, security, ...expected] = cases[name]?.() ?? ['', {}]
    const { message, isMistake, seconds } = await connecting(brokers, security)
    for (const pattern of expected) expect(message).toMatch(pattern)
    expect(message).toContain(brokers.split(':')[1])
    expect(message).not.toMatch(/guessed|ecila/)
    // A start of the service ends with it.
    expect(isMistake).toBe(true)
    expect(seconds).toBeLessThan(WITHIN_S)
  })

  it.concurrent('a token that the brokers do not take', async () => {
    const token = { value: 'e30.e30.e30', expiresAtMs: Date.now() + 600_000, principal: '', extensions: {} }
    const security = { ...tls({ 'security.protocol': 'sasl_ssl' }), 'sasl.mechanism': 'OAUTHBEARER' }
    const source = { get: async () => ({ token }) }
    const { message, isMistake, seconds } = await connecting(secured.at.OAUTH, security, CONNECT_TIMEOUT_MS, source)
    expect(message).toMatch(/refuses the token \(it says: .*invalid_token.*\).*sasl\.oauthbearer\.expected/)
    expect(message).not.toContain('e30')
    expect(isMistake).toBe(true)
    expect(seconds).toBeLessThan(WITHIN_S)
  })

  it.concurrent('a name that does not resolve', async () => {
    const { message, isMistake, seconds } = await connecting('nowhere.invalid:9092', {})
    expect(message).toMatch(/the name nowhere\.invalid cannot be resolved.*KAFKA_BROKERS/)
    expect(isMistake).toBe(false)
    expect(seconds).toBeLessThan(WITHIN_S)
  })

  it('an advertised listener that does not resolve', async () => {
    const { message, seconds } = await connecting(secured.at.LOST, {})
    expect(message).toMatch(/come back to kafka-in-docker\.invalid:\d+, and the name .* cannot be resolved here/)
    expect(message).toContain('advertised.listeners')
    expect(seconds).toBeLessThan(WITHIN_S)
  })

  it.concurrent('a broker that is not there', async () => {
    const { message, isMistake } = await connecting('127.0.0.1:1', {}, 1_000)
    expect(message).toMatch(/cannot connect to 127\.0\.0\.1:1: Connection refused.*a broker runs there/)
    expect(isMistake).toBe(false)
  })
})

it('who has the right certificate or password is let in', async () => {
  for (const [brokers, security] of [
    [secured.at.TLS, tls()],
    [secured.at.SASL, secured.as('alice')],
    [secured.at.SASL, secured.as('bob')],
    [secured.at.SASLTLS, secured.as('alice', tls({ 'security.protocol': 'sasl_ssl' }))],
  ] as const) {
    const connection = { brokers: [brokers], security, extra: {} }
    await using inspector = await startInspector({ connection, groupId: 'let-in' })
    expect(await inspector.partitions('not-there')).toEqual([])
  }
})

describe('a right that is missing', () => {
  /** What doctor finds of Kafka. */
  async function examined(user: 'alice' | 'carol', topic: string): Promise<readonly Finding[]> {
    const security = secured.as(user)
    const env = {
      KAFKA_BROKERS: secured.at.SASL,
      KAFKA_TOPIC: topic,
      KAFKA_DLQ_TOPIC: `${topic}.dlq`,
      KAFKA_GROUP_ID: `${topic}-group`,
      KAFKA_SECURITY_PROTOCOL: 'sasl_plaintext',
      KAFKA_SASL_MECHANISM: 'PLAIN',
      KAFKA_SASL_USERNAME: security['sasl.username'],
      KAFKA_SASL_PASSWORD: security['sasl.password'],
      DATABASE_URL: 'postgres://127.0.0.1:1/none',
      HTTP_PORT: '0',
    }
    const findings = await Array.fromAsync(examine(env))
    return findings.filter(({ name }) => /^(kafka|group|topic)/.test(name))
  }

  async function topics(topic: string): Promise<void> {
    for (const name of [topic, `${topic}.dlq`]) await createTopic(secured.kafka.brokers, name, 1)
  }

  it('is named by doctor with the line that gives it, each for itself', async () => {
    await topics('seen')
    const acls = `kafka-acls --bootstrap-server ${secured.at.SASL} --add --allow-principal User:carol`
    expect(await examined('carol', 'seen')).toEqual([
      { name: 'kafka', ok: true, detail: expect.any(String) },
      {
        name: 'group seen-group',
        ok: false,
        detail: expect.stringContaining('may not be used by this user'),
        fix: `${acls} --operation Read --group seen-group`,
      },
      {
        name: 'topic seen',
        ok: false,
        detail: 'this user may not even see whether it exists',
        fix: `${acls} --operation Read --topic seen`,
      },
      {
        name: 'topic seen.dlq',
        ok: false,
        detail: 'this user may not even see whether it exists',
        fix: `${acls} --operation Write --operation Read --topic seen.dlq`,
      },
    ])

    await secured.allow('carol', { topic: 'seen' }, 'read')
    await secured.allow('carol', { topic: 'seen.dlq' }, 'read')
    await secured.allow('carol', { group: 'seen-group' }, 'describe')
    expect((await examined('carol', 'seen')).filter(({ ok }) => !ok).map(({ fix }) => fix)).toEqual([
      `${acls} --operation Read --group seen-group`,
      `${acls} --operation Write --topic seen.dlq`,
    ])

    await secured.allow('carol', { topic: 'seen.dlq' }, 'write')
    await secured.allow('carol', { group: 'seen-group' }, 'read')
    expect((await examined('carol', 'seen')).filter(({ ok }) => !ok)).toEqual([])
  })

  it('is named with whom the brokers take us for: by a certificate, and by a token', async () => {
    await topics('unseen')
    const { issuer, at, ca, certify } = secured
    const files = certify('nobody')
    const common = {
      KAFKA_TOPIC: 'unseen',
      KAFKA_DLQ_TOPIC: 'unseen.dlq',
      KAFKA_GROUP_ID: 'unseen-group',
      KAFKA_SSL_CA_LOCATION: ca,
      DATABASE_URL: 'postgres://127.0.0.1:1/none',
      HTTP_PORT: '0',
    }
    const byCertificate = {
      ...common,
      KAFKA_BROKERS: at.MUTUAL,
      KAFKA_SECURITY_PROTOCOL: 'ssl',
      KAFKA_SSL_CERTIFICATE_LOCATION: files.certificate,
      KAFKA_SSL_KEY_LOCATION: files.key,
    }
    const byToken = {
      ...common,
      KAFKA_BROKERS: at.OAUTH,
      KAFKA_SECURITY_PROTOCOL: 'sasl_ssl',
      KAFKA_SASL_MECHANISM: 'OAUTHBEARER',
      KAFKA_SASL_OAUTH_TOKEN_URL: issuer.tokenUrl,
      KAFKA_SASL_OAUTH_CLIENT_ID: issuer.clientId,
      KAFKA_SASL_OAUTH_CLIENT_SECRET: issuer.clientSecret,
    }
    for (const [env, principal] of [
      [byCertificate, "User:'CN=nobody'"],
      [byToken, `User:${issuer.clientId}`],
    ] as const) {
      const found = (await Array.fromAsync(examine(env))).filter(({ name }) => name.startsWith('topic '))
      expect(found.map(({ ok }) => ok)).toEqual([false, false])
      for (const { fix } of found) expect(fix).toContain(`--allow-principal ${principal} --operation`)
    }
  })

  it('leaves the proof without an answer, and is named there', async () => {
    // Given a group that has consumed a topic to its end, which is empty
    await topics('proven')
    await using database = await migratedDatabase()
    await database.pool.query(
      `INSERT INTO holdfast.stream_progress (topic, partition, group_id, first_offset, next_offset) VALUES ('proven', 0, 'g', 0, 0)`,
    )
    const proofOf = async (user: 'alice' | 'carol' | 'dave') => {
      const security = secured.as(user)
      const env = {
        KAFKA_BROKERS: secured.at.SASL,
        KAFKA_TOPIC: 'proven',
        KAFKA_DLQ_TOPIC: 'proven.dlq',
        KAFKA_GROUP_ID: 'g',
        KAFKA_SECURITY_PROTOCOL: 'sasl_plaintext',
        KAFKA_SASL_MECHANISM: 'PLAIN',
        KAFKA_SASL_USERNAME: security['sasl.username'],
        KAFKA_SASL_PASSWORD: security['sasl.password'],
        DATABASE_URL: database.url,
      }
      const { result, findings, unasked } = await verifyStream(loadConfig(env), orderStream(env))
      return { result, findings, unasked: unasked.map(({ what, why }) => `${what}: ${why}`) }
    }

    // Then it is proven to whoever may see all of it, and to nobody else
    expect(await proofOf('alice')).toEqual({ result: 'ok', findings: [], unasked: [] })
    const hidden = await proofOf('dave')
    expect(hidden).toMatchObject({ result: 'could_not_ask', findings: [] })
    expect(hidden.unasked).toEqual([
      expect.stringMatching(
        /^the topic proven: .* does not show the topic proven to this user: grant DESCRIBE and READ/,
      ),
    ])
    await secured.allow('carol', { topic: 'proven' }, 'read')
    const half = await proofOf('carol')
    expect(half).toMatchObject({ result: 'could_not_ask', findings: [] })
    expect(half.unasked).toEqual([
      expect.stringMatching(/^the committed offsets of the group g: .*grant READ on the group/),
    ])
  })

  it('is named by the consumer and by the producer', async () => {
    await topics('kept')
    await secured.allow('carol', { topic: 'kept' }, 'read')
    const connection = { brokers: [secured.at.SASL], security: secured.as('carol'), extra: {} }
    const consumer = createConsumer({ connection, topic: 'kept', groupId: 'kept-group', onWarning: () => {} })
    await consumer.start()
    await expect(pollUntilItFails(consumer)).rejects.toThrow(/consumer group may not be used by this user.*grant READ/)
    await consumer.close()

    // Given two users who may see the dead-letter topic: one may write to another, one to none
    const expected = [
      ['carol', /producing to kept\.dlq: the topic may not be read or written by this user.*WRITE on the dead-letter/],
      ['dave', /producing to kept\.dlq: this user may write to no topic.*grant WRITE on the dead-letter topic/],
    ] as const
    await secured.allow('carol', { topic: 'another' }, 'write')
    for (const [user, message] of expected) {
      await secured.allow(user, { topic: 'kept.dlq' }, 'describe')
      const producer = await startProducer({ connection: { ...connection, security: secured.as(user) } })
      const produced = producer.produce({ topic: 'kept.dlq', partition: 0, key: null, value: null, headers: [] })
      await expect(produced).rejects.toThrow(BrokerFatalError)
      await expect(produced).rejects.toThrow(message)
      await producer.close()
    }
  })
})

it('a group that another client uses in its own way is named', async () => {
  await createTopic(secured.kafka.brokers, 'shared', 1)
  await using _ = await joinWith(secured.kafka.brokers, { topic: 'shared', groupId: 'shared-group', strategy: 'range' })
  const connection = { brokers: [secured.kafka.brokers], security: {}, extra: {} }
  const consumer = createConsumer({ connection, topic: 'shared', groupId: 'shared-group', onWarning: () => {} })
  await consumer.start()
  await expect(pollUntilItFails(consumer)).rejects.toThrow(/another client uses this consumer group.*KAFKA_GROUP_ID/)
  await consumer.close()

  await using inspector = await startInspector({ connection, groupId: 'shared-group' })
  expect(await inspector.group('shared')).toEqual({ members: 1, strategy: 'range', mayRead: true })
})

async function pollUntilItFails(
  consumer: Pick<ReturnType<typeof createConsumer>, 'poll' | 'nextEvent'>,
): Promise<void> {
  for (const until = performance.now() + 90_000; performance.now() < until; ) {
    consumer.nextEvent()
    await consumer.poll(1, 100)
  }
}

describe('a command with settings that do not fit', () => {
  async function run(env: Readonly<Record<string, string>>, ...args: readonly string[]) {
    const names = freshTopics('unfit')
    await using database = await migratedDatabase()
    const configured = {
      ...names,
      databaseUrl: database.url,
      brokers: secured.at.SASLTLS,
      env: { HTTP_PORT: '0', ...env },
    }
    const startedAtMs = performance.now()
    const failure = await holdfast(configured, ...args).then(
      () => undefined,
      (error: { code: number; stdout: string; stderr: string }) => error,
    )
    return { code: failure?.code, said: `${failure?.stdout}${failure?.stderr}`, ms: performance.now() - startedAtMs }
  }

  const wrongPassword = () => ({
    KAFKA_SECURITY_PROTOCOL: 'sasl_ssl',
    KAFKA_SSL_CA_LOCATION: secured.ca,
    KAFKA_SASL_MECHANISM: 'PLAIN',
    KAFKA_SASL_USERNAME: 'alice',
    KAFKA_SASL_PASSWORD: 'guessed',
  })

  it.each([['serve'], ['produce', '--count', '1'], ['lag']])(
    'ends and says so: a wrong password, %s',
    async (...args) => {
      const { code, said, ms } = await run(wrongPassword(), ...args)
      expect(code).toBe(1)
      expect(said).toContain('refuses the user or the password')
      expect(said).toContain('KAFKA_SASL_PASSWORD')
      expect(said).not.toContain('guessed')
      // Most of it is the start of the process, on a machine that is busy with other tests.
      expect(ms).toBeLessThan(60_000)
    },
  )

  it('is a mistake of usage: a file that holds no certificate', async () => {
    const { code, said } = await run({ ...wrongPassword(), KAFKA_SSL_CA_LOCATION: secured.client.key }, 'serve')
    expect(said).toMatch(/KAFKA_SSL_CA_LOCATION cannot be used/)
    expect(code).toBe(2)
  })
})
