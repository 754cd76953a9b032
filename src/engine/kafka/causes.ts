import { certificateFault, type Place, saslMechanisms, speaksTls } from './port-probe.ts'

/** How the brokers are talked to; librdkafka properties. */
export type Security = Readonly<Record<string, string>>

/** Why a client does not reach Kafka, for people. */
export interface Cause {
  readonly kind: CauseKind
  /** What is the case, with the broker's address. */
  readonly what: string
  /** What to do about it. */
  readonly remedy: string
}

export type CauseKind =
  | 'certificate'
  | 'client_certificate'
  | 'credentials'
  | 'mechanism'
  | 'plaintext_port'
  | 'tls_port'
  | 'tls_mismatch'
  | 'sasl_required'
  | 'sasl_not_offered'
  | 'not_kafka'
  | 'unresolved'
  | 'advertised'
  | 'refused'
  | 'silent'
  | 'closed'
  | 'fatal'

/** Nothing but another setting, certificate or listener helps: a start ends with these. */
const MISTAKES: ReadonlySet<CauseKind> = new Set<CauseKind>([
  'certificate',
  'client_certificate',
  'credentials',
  'mechanism',
  'plaintext_port',
  'tls_port',
  'tls_mismatch',
  'sasl_required',
  'sasl_not_offered',
  'not_kafka',
])

export function isMistake({ kind }: Cause): boolean {
  return MISTAKES.has(kind)
}

/** A line of librdkafka's log about one broker. */
export interface BrokerLine {
  readonly place: Place
  /** From KAFKA_BROKERS; else a broker whose address the cluster has given out. */
  readonly bootstrap: boolean
  readonly text: string
}

/** @returns `undefined` when the line is about no broker */
export function readBrokerLine(message: string): BrokerLine | undefined {
  const match =
    /^(?:\[thrd:.*?\]: )?(?:[a-z_]+:\/\/)?(\[[0-9A-Fa-f:.]+\]|[^\s/:]+):(\d+)\/(bootstrap|-?\d+): (.*)$/s.exec(message)
  if (match === null) return undefined
  const [, host = '', port = '', id, text = ''] = match
  return { place: { host: host.replace(/^\[|\]$/g, ''), port: Number(port) }, bootstrap: id === 'bootstrap', text }
}

interface Seen extends BrokerLine {
  readonly at: string
  readonly protocol: string
  readonly security: Security
}

type Explain = (match: RegExpExecArray, seen: Seen) => Cause | undefined

const CA_REMEDY =
  'KAFKA_SSL_CA_LOCATION must name a PEM file with the authority that signed the certificates of the brokers, and the certificate must be in date and name the host that we connect to'

/**
 * Maps a message of librdkafka 2.15 to its cause. The first match counts. The messages were observed on real brokers:
 * test/contract/kafka-causes.test.ts, test/unit/engine/kafka/causes.test.ts.
 */
const TABLE: readonly (readonly [RegExp, Explain])[] = [
  [
    /certificate verify failed/,
    (_, { at }) => ({
      kind: 'certificate',
      what: `the certificate of ${at} cannot be verified`,
      remedy: CA_REMEDY,
    }),
  ],
  [
    /(?:ssl|tls)\S* alert (bad certificate|certificate required|unknown ca|certificate unknown|certificate expired|certificate revoked|unsupported certificate|unknown|access denied)/,
    ([, alert], { at, security }) =>
      security['ssl.certificate.location'] === undefined
        ? {
            kind: 'client_certificate',
            what: `${at} asks for a certificate of the client, and none is set (its alert: ${alert})`,
            remedy: 'set KAFKA_SSL_CERTIFICATE_LOCATION and KAFKA_SSL_KEY_LOCATION',
          }
        : {
            kind: 'client_certificate',
            what: `${at} refuses our certificate (its alert: ${alert})`,
            remedy:
              'KAFKA_SSL_CERTIFICATE_LOCATION must name a certificate that is in date and signed by an authority which the brokers trust',
          },
  ],
  [
    /(?:ssl|tls)\S* alert |no protocols available|unsupported protocol|no shared cipher/,
    (_, { at, text }) => ({
      kind: 'tls_mismatch',
      what: `${at} and we agree on no version of TLS or no cipher (${shortened(text)})`,
      remedy: 'compare ssl.enabled.protocols and ssl.cipher.suites of the broker with KAFKA_CONFIG',
    }),
  ],
  [
    /connecting to a PLAINTEXT broker listener|wrong version number|packet length too long|unknown protocol/,
    (_, { at, protocol }) => ({
      kind: 'plaintext_port',
      what: `${at} does not speak TLS, and KAFKA_SECURITY_PROTOCOL is ${protocol}`,
      remedy: `name the TLS port of the brokers in KAFKA_BROKERS, or set KAFKA_SECURITY_PROTOCOL=${protocol === 'ssl' ? 'plaintext' : 'sasl_plaintext'}`,
    }),
  ],
  [
    /Invalid response size (\d+)/,
    ([, size], { at }) =>
      // The first four bytes of what came: an alert of TLS is a record of type 21, version 3.
      (Number(size) & 0xff_ff_00_00) === 0x15_03_00_00
        ? tlsPort(at)
        : {
            kind: 'not_kafka',
            what: `what answers at ${at} is no Kafka broker${Number(size) === 0x48_54_54_50 ? ' but an HTTP server' : ''}`,
            remedy: 'correct KAFKA_BROKERS',
          },
  ],
  [
    /Unsupported SASL mechanism: broker's supported mechanisms: ?([^(]*)/,
    ([, mechanisms = ''], { at, security }) => ({
      kind: 'mechanism',
      what: `${at} does not take the SASL mechanism ${security['sasl.mechanism'] ?? ''}; it takes ${mechanisms.trim() || 'none'}`,
      remedy: 'set KAFKA_SASL_MECHANISM to one of those, or enable it on the broker (sasl.enabled.mechanisms)',
    }),
  ],
  [
    /Request not valid in current SASL state/,
    (_, { at, protocol }) => ({
      kind: 'sasl_not_offered',
      what: `${at} takes no SASL, and KAFKA_SECURITY_PROTOCOL is ${protocol}`,
      remedy: `name a port with SASL in KAFKA_BROKERS, or set KAFKA_SECURITY_PROTOCOL=${protocol === 'sasl_ssl' ? 'ssl' : 'plaintext'}`,
    }),
  ],
  [
    // Not the broker's word but the client's own: the connection ended during the login.
    /SASL.*: Local: (?!Authentication)(.*)/s,
    ([, said = ''], { at }) => ({
      kind: 'closed',
      what: `${at} ends the connection while we log in (${shortened(said)})`,
      remedy: 'check the log of the broker, and what stands between here and there',
    }),
  ],
  [
    /SASL (?:authentication error|OAUTHBEARER authentication failed[^:]*): (.*)/s,
    ([, said = ''], { at, security }) =>
      security['sasl.mechanism'] === 'OAUTHBEARER'
        ? {
            kind: 'credentials',
            what: `${at} refuses the token (it says: ${shortened(said)})`,
            remedy:
              'compare its issuer, audience and scope with what the brokers expect (sasl.oauthbearer.expected.* and their log), and the clocks',
          }
        : {
            kind: 'credentials',
            what: `${at} refuses the user or the password (it says: ${shortened(said)})`,
            remedy:
              'check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM; brokers do not say which of them is wrong',
          },
  ],
  [
    /Failed to resolve '[^']*': (.*)/s,
    ([, said = ''], { at, place, bootstrap }) =>
      bootstrap
        ? {
            kind: 'unresolved',
            what: `the name ${place.host} cannot be resolved (${shortened(said)})`,
            remedy: 'correct KAFKA_BROKERS, or the name service of this machine',
          }
        : advertised(at, `the name ${place.host} cannot be resolved here`),
  ],
  [
    /Connect to \S+ failed: (.*)/s,
    ([, said = ''], { at, bootstrap }) =>
      bootstrap
        ? {
            kind: 'refused',
            what: `cannot connect to ${at}: ${shortened(said)}`,
            remedy: 'check that a broker runs there and that KAFKA_BROKERS names it',
          }
        : unreached(at, shortened(said)),
  ],
  [
    /setup timed out|timed out in state/i,
    (_, { at, bootstrap }) =>
      bootstrap
        ? {
            kind: 'silent',
            what: `${at} does not answer`,
            remedy: 'check KAFKA_BROKERS, the network and its firewalls between here and there',
          }
        : unreached(at, 'nothing answers there'),
  ],
  [
    /closed by peer|Disconnected/,
    (_, { at }) => ({
      kind: 'closed',
      what: `${at} closes the connection`,
      remedy: 'check that KAFKA_SECURITY_PROTOCOL is what this port of the brokers speaks, and the log of the broker',
    }),
  ],
]

/** @param message of the line with which a client fails permanently: from then on its calls report nothing more specific */
export function causeOfEnd(message: string): Cause {
  const said = shortened(message.replace(/^\[thrd:.*?\]: /, '').replace(/^Fatal error: /, ''))
  if (/idempotence PID.*authorization failed|authorization failed.*idempotence PID/.test(message)) {
    return {
      kind: 'fatal',
      what: `this user may write to no topic (${said})`,
      remedy: 'grant WRITE on the dead-letter topic; "holdfast doctor" has the line for it',
    }
  }
  return { kind: 'fatal', what: said, remedy: 'a restart makes a new client' }
}

/** @returns `undefined` for a line that names no known problem */
export function causeOf(line: BrokerLine, security: Security): Cause | undefined {
  const protocol = security['security.protocol'] ?? 'plaintext'
  const seen = { ...line, at: addressOf(line.place), protocol, security }
  for (const [pattern, explain] of TABLE) {
    const match = pattern.exec(line.text)
    if (match !== null) return explain(match, seen)
  }
  return undefined
}

/**
 * Finds out by a request of its own what librdkafka does not report: what is wrong with a certificate, and what a port speaks
 * that closes the connection.
 */
export async function refined(cause: Cause, { place }: BrokerLine, security: Security): Promise<Cause> {
  const at = addressOf(place)
  const protocol = security['security.protocol'] ?? 'plaintext'
  if (cause.kind === 'certificate') {
    const ask = () => certificateFault(place, security['ssl.ca.location'])
    // Once more: a machine that is busy may not have come to it in time, and the answer is worth it.
    const fault = (await ask()) ?? (await ask())
    return fault === undefined ? cause : { ...cause, what: `${at} is not trusted: ${fault}` }
  }
  const tls = protocol.endsWith('ssl')
  if (!tls && (await speaksTls(place))) return tlsPort(at, protocol)
  if (protocol.startsWith('sasl')) return cause
  const mechanisms = await saslMechanisms(place, tls)
  if (mechanisms === undefined || mechanisms.length === 0) return cause
  return {
    kind: 'sasl_required',
    what: `${at} wants SASL (it takes ${mechanisms.join(', ')}), and KAFKA_SECURITY_PROTOCOL is ${protocol}`,
    remedy: `set KAFKA_SECURITY_PROTOCOL=${tls ? 'sasl_ssl' : 'sasl_plaintext'} and the KAFKA_SASL_* settings`,
  }
}

function tlsPort(at: string, protocol = 'plaintext'): Cause {
  return {
    kind: 'tls_port',
    what: `${at} speaks TLS, and KAFKA_SECURITY_PROTOCOL is ${protocol}`,
    remedy: `set KAFKA_SECURITY_PROTOCOL=${protocol.startsWith('sasl') ? 'sasl_ssl' : 'ssl'} (sasl_ssl where the brokers ask for a password), and KAFKA_SSL_CA_LOCATION where they are not signed by a public authority`,
  }
}

/** The mistake that many make with Kafka in a container. */
export function advertised(at: string, why: string): Cause {
  return {
    kind: 'advertised',
    what: `the cluster tells its clients to come back to ${at}, and ${why}`,
    remedy:
      'advertised.listeners of that broker must name a host and port that can be reached from here (Kafka in a container needs a listener of its own for clients outside)',
  }
}

/** A broker that is down, mostly; or that mistake again, where no broker of the cluster was ever reached at such an address. */
function unreached(at: string, why: string): Cause {
  return {
    kind: 'advertised',
    what: `the broker that the cluster lists at ${at} cannot be reached: ${why}`,
    remedy:
      'check that it runs, and that its advertised.listeners names a host and port that can be reached from here (Kafka in a ' +
      'container needs a listener of its own for clients outside)',
  }
}

export function addressOf({ host, port }: Place): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Without librdkafka's note on when and how often, on one line. */
function shortened(text: string): string {
  return text
    .replace(/\s*\(after \d+ms in state.*$/s, '')
    .replace(/\s+/g, ' ')
    .slice(0, 200)
}
