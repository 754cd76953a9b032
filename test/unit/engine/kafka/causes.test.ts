import { describe, expect, it } from 'vitest'
import { causeOf, isMistake, readBrokerLine } from '#src/engine/kafka/causes.ts'

/** @param said a line of librdkafka 2.15, as it was met */
function cause(said: string, security: Readonly<Record<string, string>> = {}) {
  const line = readBrokerLine(said)
  return line === undefined ? undefined : causeOf(line, security)
}

const SSL = { 'security.protocol': 'ssl' }
const SASL = { 'security.protocol': 'sasl_plaintext', 'sasl.mechanism': 'PLAIN' }

describe('a line of librdkafka names its cause:', () => {
  it.each([
    [
      'certificate',
      SSL,
      '[thrd:ssl://127.0.0.1:16438/bootstrap]: ssl://127.0.0.1:16438/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified, verify that ssl.ca.location is correctly configured or root CA certificates are installed (install ca-certificates package) (after 252ms in state SSL_HANDSHAKE)',
    ],
    [
      'client_certificate',
      SSL,
      '[thrd:ssl://127.0.0.1:25561/bootstrap]: ssl://127.0.0.1:25561/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert number 42 (after 5ms in state APIVERSION_QUERY)',
    ],
    [
      'plaintext_port',
      SSL,
      '[thrd:ssl://127.0.0.1:18243/bootstrap]: ssl://127.0.0.1:18243/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker listener? (after 22ms in state SSL_HANDSHAKE)',
    ],
    [
      'tls_mismatch',
      SSL,
      'ssl://b:1/bootstrap: SSL handshake failed: error:0A00042E:SSL routines::tlsv1 alert protocol version: SSL alert number 70 (after 5ms in state SSL_HANDSHAKE)',
    ],
    [
      'credentials',
      SASL,
      '[thrd:sasl_plaintext://127.0.0.1:22626/bootstrap]: sasl_plaintext://127.0.0.1:22626/bootstrap: SASL authentication error: Authentication failed: Invalid username or password (after 292ms in state AUTH_REQ)',
    ],
    [
      'credentials',
      { ...SASL, 'sasl.mechanism': 'OAUTHBEARER' },
      '[thrd:sasl_ssl://127.0.0.1:17235/bootstrap]: sasl_ssl://127.0.0.1:17235/bootstrap: SASL authentication error: {"status":"invalid_token"} (after 37ms in state AUTH_REQ)',
    ],
    // The client's own words: a wrong password would end a start.
    [
      'closed',
      SASL,
      '[thrd:sasl_plaintext://127.0.0.1:22626/bootstrap]: sasl_plaintext://127.0.0.1:22626/bootstrap: SASL authentication error: SaslAuthenticateRequest failed: Local: Broker transport failure (after 3ms in state AUTH_REQ)',
    ],
    [
      'mechanism',
      SASL,
      "[thrd:sasl_plaintext://127.0.0.1:29209/bootstrap]: sasl_plaintext://127.0.0.1:29209/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: SCRAM-SHA-256 (after 304ms in state AUTH_HANDSHAKE)",
    ],
    [
      'sasl_not_offered',
      SASL,
      "[thrd:sasl_plaintext://127.0.0.1:18243/bootstrap]: sasl_plaintext://127.0.0.1:18243/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Request not valid in current SASL state: broker's supported mechanisms:  (after 6ms in state AUTH_HANDSHAKE)",
    ],
    [
      'not_kafka',
      {},
      '[thrd:10.255.255.1:9092/bootstrap]: 10.255.255.1:9092/bootstrap: Receive failed: Invalid response size 1213486160 (0..100000000): increase receive.message.max.bytes (after 0ms in state APIVERSION_QUERY)',
    ],
    // Brokers before Kafka 2 answer plaintext with an alert of TLS.
    [
      'tls_port',
      {},
      'b:9093/bootstrap: Receive failed: Invalid response size 352518912 (0..100000000): increase receive.message.max.bytes (after 0ms in state APIVERSION_QUERY)',
    ],
    [
      'unresolved',
      {},
      "[thrd:nowhere.invalid:9092/bootstrap]: nowhere.invalid:9092/bootstrap: Failed to resolve 'nowhere.invalid:9092': Name or service not known (after 1ms in state CONNECT)",
    ],
    [
      'advertised',
      {},
      "[thrd:kafka-in-docker.invalid:19377/1]: kafka-in-docker.invalid:19377/1: Failed to resolve 'kafka-in-docker.invalid:19377': Name or service not known (after 1ms in state CONNECT)",
    ],
    [
      'refused',
      {},
      '[thrd:127.0.0.1:1/bootstrap]: 127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)',
    ],
    [
      'silent',
      {},
      '[thrd:b:9092/bootstrap]: b:9092/bootstrap: Connection setup timed out in state CONNECT (after 30028ms in state CONNECT)',
    ],
    [
      'closed',
      {},
      '[thrd:127.0.0.1:22771/bootstrap]: 127.0.0.1:22771/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after 135ms in state APIVERSION_QUERY)',
    ],
  ] as const)('%s', (kind, security, said) => {
    const found = cause(said, security)
    expect(found?.kind).toBe(kind)
    expect(found?.what).not.toContain('(after')
    expect(found?.remedy).not.toBe('')
  })

  it('and says what to do with what is set already', () => {
    const alert =
      'ssl://b:1/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert unknown ca: SSL alert number 48 (after 5ms in state APIVERSION_QUERY)'
    expect(cause(alert, SSL)?.what).toContain('asks for a certificate')
    expect(cause(alert, { ...SSL, 'ssl.certificate.location': '/c.pem' })?.what).toContain('refuses our certificate')
  })

  it('of a broker by the address that the cluster gives out', () => {
    const refused = (id: string) => `h:9092/${id}: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 0ms)`
    expect(cause(refused('bootstrap'))?.kind).toBe('refused')
    expect(cause(refused('2'))?.remedy).toMatch(/check that it runs, and that its advertised\.listeners/)
  })
})

it('what is about no broker, or tells of no trouble, has no cause', () => {
  expect(cause('[thrd:app]: Configuration property batch.size is a producer property')).toBeUndefined()
  expect(cause('[thrd:b:1/1]: b:1/1: Leaving the group')).toBeUndefined()
})

it('an IPv6 address is read whole', () => {
  expect(readBrokerLine('[thrd:[::1]:9092/bootstrap]: [::1]:9092/bootstrap: Connect to x failed')?.place).toEqual({
    host: '::1',
    port: 9092,
  })
})

it('a start ends with a mistake of the settings, and waits for what may come', () => {
  const of = (kind: 'credentials' | 'refused' | 'unresolved') => isMistake({ kind, what: '', remedy: '' })
  expect([of('credentials'), of('refused'), of('unresolved')]).toEqual([true, false, false])
})
