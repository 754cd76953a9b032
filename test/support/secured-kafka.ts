import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EmbeddedKafka, startKafka } from '#tools/demo/servers/kafka.ts'
import { type Authority, makeAuthority } from './certificates.ts'
import { askBroker, int8, int16, int32, text } from './kafka-protocol.ts'

/** A broker with TLS, passwords and rights, whose listeners show what goes wrong with them. Ends with its files. */
export interface SecuredKafka extends AsyncDisposable {
  readonly kafka: EmbeddedKafka
  /** `HOST:PORT` of each listener, by name. */
  readonly at: Readonly<Record<(typeof LISTENERS)[number], string>>
  /** PEM files: the authority that signed the brokers, and another one that did not. */
  readonly ca: string
  readonly otherCa: string
  /** A certificate of a client with its key, PEM files. */
  readonly client: { readonly certificate: string; readonly key: string }
  /** Gives a user rights on a topic or a group. */
  allow(
    user: User,
    resource: { readonly topic: string } | { readonly group: string },
    ...rights: Right[]
  ): Promise<void>
  /**
   * Properties of a user: bob has SCRAM-SHA-256, the others PLAIN; the passwords are their names backwards. Carol and dave
   * may only do what they were allowed, the others anything.
   */
  as(user: User, over?: Readonly<Record<string, string>>): Record<string, string>
}

type User = 'alice' | 'bob' | 'carol' | 'dave'
const RIGHTS = { read: 3, write: 4, describe: 8 } as const
type Right = keyof typeof RIGHTS

const LISTENERS = ['TLS', 'EXPIRED', 'OTHERHOST', 'MUTUAL', 'SASL', 'SCRAMONLY', 'SASLTLS', 'LOST', 'MOVED'] as const

const SASL = {
  'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256',
  'plain.sasl.jaas.config':
    'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="ecila" user_carol="lorac" user_dave="evad";',
  'scram-sha-256.sasl.jaas.config': 'org.apache.kafka.common.security.scram.ScramLoginModule required;',
}

const UNKNOWN_HOST = 'kafka-in-docker.invalid'

export async function startSecuredKafka(): Promise<SecuredKafka> {
  await using parts = new AsyncDisposableStack()
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-certificates-'))
  parts.defer(() => rmSync(dir, { recursive: true, force: true }))
  const file = (name: string, text: string) => {
    writeFileSync(join(dir, name), text, { mode: 0o600 })
    return join(dir, name)
  }
  const authority = makeAuthority('Test authority')
  const other = makeAuthority('Another authority')
  const ca = file('ca.pem', authority.certificate)
  const store = (name: string, { certificate, key }: ReturnType<Authority['issue']>) => ({
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': file(name, key + certificate),
  })
  const good = store('good.pem', authority.issue('127.0.0.1'))
  const yesterday = new Date(Date.now() - 86_400_000)
  const kafka = parts.use(
    await startKafka({
      scramUsers: { bob: 'bob' },
      listeners: {
        TLS: { protocol: 'SSL', properties: good },
        EXPIRED: { protocol: 'SSL', properties: store('expired.pem', authority.issue('127.0.0.1', yesterday)) },
        OTHERHOST: { protocol: 'SSL', properties: store('other-host.pem', authority.issue('kafka.example')) },
        MUTUAL: {
          protocol: 'SSL',
          properties: {
            ...good,
            'ssl.client.auth': 'required',
            'ssl.truststore.type': 'PEM',
            'ssl.truststore.location': ca,
          },
        },
        SASL: { protocol: 'SASL_PLAINTEXT', properties: SASL },
        SCRAMONLY: {
          protocol: 'SASL_PLAINTEXT',
          properties: { ...SASL, 'sasl.enabled.mechanisms': 'SCRAM-SHA-256' },
        },
        SASLTLS: { protocol: 'SASL_SSL', properties: { ...good, ...SASL } },
        LOST: { protocol: 'PLAINTEXT', advertisedHost: UNKNOWN_HOST },
      },
      properties: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        // Who comes without a password is an administrator here.
        'super.users': 'User:ANONYMOUS;User:bob;User:alice',
      },
    }),
  )
  const issued = other.issue('client')
  const client = { certificate: file('client.pem', issued.certificate), key: file('client.key', issued.key) }
  const otherCa = file('other-ca.pem', other.certificate)
  const owned = parts.move()
  return {
    kafka,
    at: kafka.listeners as SecuredKafka['at'],
    ca,
    otherCa,
    client,
    allow: (user, resource, ...rights) => createAcls(kafka.brokers, user, resource, rights),
    as: (user, over = {}) => ({
      'security.protocol': 'sasl_plaintext',
      'sasl.mechanism': user === 'bob' ? 'SCRAM-SHA-256' : 'PLAIN',
      'sasl.username': user,
      'sasl.password': [...user].reverse().join(''),
      ...over,
    }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** CreateAcls v1 of Kafka's protocol, by hand: the native client has no call for it, and Kafka's own tool takes seconds. */
async function createAcls(
  brokers: string,
  user: User,
  resource: { readonly topic: string } | { readonly group: string },
  rights: readonly Right[],
): Promise<void> {
  const [type, name] = 'topic' in resource ? [2, resource.topic] : [3, resource.group]
  const rules = rights.map(right =>
    // The pattern type 3 is a literal name, `*` is any host, and the last 3 allows.
    Buffer.concat([int8(type), text(name), int8(3), text(`User:${user}`), text('*'), int8(RIGHTS[right]), int8(3)]),
  )
  const head = [int16(30), int16(1), int32(1), int16(-1)] // api key, version, correlation id, no client id
  const request = Buffer.concat([...head, int32(rules.length), ...rules])
  const answer = await askBroker(brokers, request)
  // Correlation id, throttle time, number of results, and the error code of the first.
  if (answer.readInt16BE(12) !== 0) throw new Error(`the broker refuses the rule: ${answer.toString('latin1')}`)
}
