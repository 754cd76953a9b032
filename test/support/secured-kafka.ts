import { pbkdf2Sync, randomBytes } from 'node:crypto'
import { type EmbeddedKafka, startKafka } from '#tools/demo/servers/kafka.ts'
import { type Authority, certificateFolder, makeAuthority } from './certificates.ts'
import { askBroker, int8, int16, int32, text } from './kafka-protocol.ts'
import { type OidcIssuer, startOidcIssuer } from './oidc-issuer.ts'

/** A broker with TLS, passwords and rights, whose listeners show what goes wrong with them. Ends with its files. */
export interface SecuredKafka extends AsyncDisposable {
  readonly kafka: EmbeddedKafka
  /** `HOST:PORT` of each listener, by name. */
  readonly at: Readonly<Record<(typeof LISTENERS)[number], string>>
  /** PEM files: the authority that signed the brokers, and another one that did not. */
  readonly ca: string
  readonly otherCa: string
  /** A certificate of a client with its key, PEM files, signed by that other one. */
  readonly client: CertificateFiles
  /** Gives out the tokens that the listener OAUTH takes. */
  readonly issuer: OidcIssuer
  /** A certificate that the brokers take, PEM files; its principal is `CN=name`. Written again at each call with the same name. */
  certify(name: string, validUntil?: Date): CertificateFiles
  /** Gives a principal (`carol`, `CN=service`) rights on a topic, a group or the cluster. */
  allow(principal: string, resource: Resource, ...rights: Right[]): Promise<void>
  /** Takes such rights away again. */
  disallow(principal: string, resource: Resource, ...rights: Right[]): Promise<void>
  /** Gives a user of SCRAM-SHA-512 another password, or makes one. */
  setPassword(user: string, password: string): Promise<void>
  /**
   * Properties of a user: bob has SCRAM-SHA-256, the others PLAIN; the passwords are their names backwards. Carol and dave
   * may only do what they were allowed, the others anything.
   */
  as(user: User, over?: Readonly<Record<string, string>>): Record<string, string>
}

type User = 'alice' | 'bob' | 'carol' | 'dave'
type Resource = { readonly topic: string } | { readonly group: string } | 'cluster'
/** AclOperation of Kafka's protocol. */
const RIGHTS = {
  read: 3,
  write: 4,
  create: 5,
  delete: 6,
  describe: 8,
  describeConfigs: 10,
  idempotentWrite: 12,
} as const
type Right = keyof typeof RIGHTS

export interface CertificateFiles {
  readonly certificate: string
  readonly key: string
}

const LISTENERS = [
  ...(['TLS', 'EXPIRED', 'OTHERHOST', 'MUTUAL', 'SASL', 'SCRAMONLY', 'SASLTLS', 'SCRAM512', 'OAUTH', 'LOST'] as const),
  'MOVED',
] as const

const SASL = {
  'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256',
  'plain.sasl.jaas.config':
    'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="ecila" user_carol="lorac" user_dave="evad";',
  'scram-sha-256.sasl.jaas.config': 'org.apache.kafka.common.security.scram.ScramLoginModule required;',
}

/** A connection lives as long as its token or `max.reauth`, unless the client authenticates again. */
export const OAUTH = {
  'sasl.enabled.mechanisms': 'OAUTHBEARER',
  'oauthbearer.sasl.jaas.config':
    'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="unused";',
  'oauthbearer.sasl.server.callback.handler.class':
    'org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler',
  'oauthbearer.connections.max.reauth.ms': '3600000',
}

/** What a broker has to know of the issuer whose tokens it takes. */
export function oauthOptions({ url, jwksUrl, audience }: OidcIssuer) {
  return {
    // Since Kafka 4 an address is asked only where this allows it.
    systemProperties: { 'org.apache.kafka.sasl.oauthbearer.allowed.urls': jwksUrl },
    properties: {
      'sasl.oauthbearer.jwks.endpoint.url': jwksUrl,
      'sasl.oauthbearer.expected.issuer': url,
      'sasl.oauthbearer.expected.audience': audience,
    },
  }
}

const UNKNOWN_HOST = 'kafka-in-docker.invalid'

export async function startSecuredKafka(): Promise<SecuredKafka> {
  await using parts = new AsyncDisposableStack()
  const { file } = parts.use(certificateFolder())
  const authority = makeAuthority('Test authority')
  const other = makeAuthority('Another authority')
  const ca = file('ca.pem', authority.certificate)
  const store = (name: string, { certificate, key }: ReturnType<Authority['issue']>) => ({
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': file(name, key + certificate),
  })
  const certify = (name: string, validUntil?: Date): CertificateFiles => {
    const { certificate, key } = authority.issue(name, validUntil)
    return { certificate: file(`${name}.pem`, certificate), key: file(`${name}.key`, key) }
  }
  const issuer = parts.use(await startOidcIssuer())
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
        SCRAM512: {
          protocol: 'SASL_SSL',
          properties: {
            ...good,
            'sasl.enabled.mechanisms': 'SCRAM-SHA-512',
            'scram-sha-512.sasl.jaas.config': 'org.apache.kafka.common.security.scram.ScramLoginModule required;',
          },
        },
        OAUTH: { protocol: 'SASL_SSL', properties: { ...good, ...OAUTH } },
        LOST: { protocol: 'PLAINTEXT', advertisedHost: UNKNOWN_HOST },
      },
      systemProperties: oauthOptions(issuer).systemProperties,
      properties: {
        ...oauthOptions(issuer).properties,
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
    issuer,
    certify,
    allow: (principal, resource, ...rights) => createAcls(kafka.brokers, principal, resource, rights),
    disallow: (principal, resource, ...rights) => deleteAcls(kafka.brokers, principal, resource, rights),
    setPassword: (user, password) => alterPassword(kafka.brokers, user, password),
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

/** Rules as both requests write them: to be made, or as filters for what is to go. */
function bindingsOf(principal: string, resource: Resource, rights: readonly Right[]): Buffer[] {
  const [type, name] = kindAndName(resource)
  // The pattern type 3 is a literal name, `*` is any host, and the last 3 allows.
  const before = [int8(type), text(name), int8(3), text(`User:${principal}`), text('*')]
  return rights.map(right => Buffer.concat([...before, int8(RIGHTS[right]), int8(3)]))
}

/** CreateAcls v1 of Kafka's protocol, by hand: the native client has no call for it, and Kafka's own tool takes seconds. */
async function createAcls(
  brokers: string,
  principal: string,
  resource: Resource,
  rights: readonly Right[],
): Promise<void> {
  const rules = bindingsOf(principal, resource, rights)
  const head = [int16(30), int16(1), int32(1), int16(-1)] // api key, version, correlation id, no client id
  const request = Buffer.concat([...head, int32(rules.length), ...rules])
  const answer = await askBroker(brokers, request)
  // Correlation id, throttle time, number of results, and the error code of the first.
  if (answer.readInt16BE(12) !== 0) throw new Error(`the broker refuses the rule: ${answer.toString('latin1')}`)
}

/** DeleteAcls v1: the same rules as filters. */
async function deleteAcls(
  brokers: string,
  principal: string,
  resource: Resource,
  rights: readonly Right[],
): Promise<void> {
  const filters = bindingsOf(principal, resource, rights)
  const head = [int16(31), int16(1), int32(1), int16(-1)]
  const answer = await askBroker(brokers, Buffer.concat([...head, int32(filters.length), ...filters]))
  // Correlation id, throttle time, number of results; of the first its error code, its message, the number of rules that it met.
  const message = Math.max(0, answer.readInt16BE(14))
  if (answer.readInt16BE(12) !== 0 || answer.readInt32BE(16 + message) === 0) {
    throw new Error(`the broker removes no such rule: ${answer.toString('latin1')}`)
  }
}

function kindAndName(resource: Resource): [type: number, name: string] {
  if (resource === 'cluster') return [4, 'kafka-cluster']
  return 'topic' in resource ? [2, resource.topic] : [3, resource.group]
}

const ITERATIONS = 4096

/** AlterUserScramCredentials v0: a version with compact lengths (one more than the length) and tags, of which there are none. */
async function alterPassword(brokers: string, user: string, password: string): Promise<void> {
  const compact = (bytes: Buffer) => Buffer.concat([int8(bytes.length + 1), bytes])
  const noTags = int8(0)
  const salt = randomBytes(16)
  const salted = pbkdf2Sync(password, salt, ITERATIONS, 64, 'sha512')
  const upsertion = [compact(Buffer.from(user)), int8(2), int32(ITERATIONS), compact(salt), compact(salted), noTags]
  const head = [int16(51), int16(0), int32(1), int16(-1), noTags]
  const answer = await askBroker(brokers, Buffer.concat([...head, int8(1), int8(2), ...upsertion, noTags]))
  // Correlation id, tags, throttle time, number of results, the user, and the error code.
  if (answer.readInt16BE(4 + 1 + 4 + 1 + 1 + Buffer.byteLength(user)) !== 0) {
    throw new Error(`the broker refuses the password: ${answer.toString('latin1')}`)
  }
}
