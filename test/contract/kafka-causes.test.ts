import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BrokerUnavailableError } from '#src/core/errors.ts'
import { startInspector } from '#src/kafka/inspector.ts'
import { startProducer } from '#src/kafka/producer.ts'
import { type SecuredKafka, startSecuredKafka } from '../support/secured-kafka.ts'

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

async function connecting(
  brokers: string,
  security: Readonly<Record<string, string>>,
  connectTimeoutMs = 4_000,
): Promise<Failure> {
  const startedAtMs = performance.now()
  const connection = { brokers: [brokers], security, extra: {} }
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
    expect(seconds).toBeLessThan(3)
  })

  it.concurrent('a name that does not resolve', async () => {
    const { message, isMistake, seconds } = await connecting('nowhere.invalid:9092', {})
    expect(message).toMatch(/the name nowhere\.invalid cannot be resolved.*KAFKA_BROKERS/)
    expect(isMistake).toBe(false)
    expect(seconds).toBeLessThan(3)
  })

  it('an advertised listener that does not resolve', async () => {
    const { message, seconds } = await connecting(secured.at.LOST, {})
    expect(message).toMatch(/come back to kafka-in-docker\.invalid:\d+, and the name .* cannot be resolved here/)
    expect(message).toContain('advertised.listeners')
    // The clients of the tests above are still being let go of, which takes the threads of this process.
    expect(seconds).toBeLessThan(8)
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
