import { ConfigError } from '../errors.ts'
import { type KafkaConnection, nativeProducer } from './client.ts'
import { causesOf, unresolvedCluster } from './listening.ts'
import { call, type NativeClient, type NativeError, type NativeMetadata, type NativeProducer } from './native.ts'
import type { TokenSource } from './tokens.ts'

/** What is asked first, and how long for, in ms: between two questions it is seen whether waiting has any sense. */
const FIRST_QUESTIONS_MS = [500, 1_000, 2_500]

/**
 * Connects, or gives up after `timeoutMs`; sooner when every broker has reported the cause, and waiting will not change it (a wrong
 * password, a certificate). A client whose connect failed goes on emitting errors: the caller drops it and makes a new one.
 * @throws ConfigError where a file of a certificate or a key does not hold one
 * @throws BrokerUnavailableError where there is no token to connect with
 */
export async function connect(client: NativeClient, timeoutMs: number): Promise<void> {
  const causes = causesOf(client)
  // The client itself would wait for one, and report a timeout. It is connected all the same, however briefly: to release one of
  // this package that was never connected ends the process (a segmentation fault).
  const withoutToken = await causes?.token().then(
    () => undefined,
    (error: unknown) => error,
  )
  const patienceMs = withoutToken === undefined ? timeoutMs : 1
  const ask = client.getMetadata.bind(client)
  const askPatiently: NativeClient['getMetadata'] = (options, done) => {
    void patiently(patienceMs, ms => call<NativeMetadata>(answer => ask({ ...options, timeout: ms }, answer))).then(
      metadata => done(null, metadata),
      (error: NativeError) => done(error, NO_METADATA),
    )
  }
  async function patiently<R>(leftMs: number, question: (ms: number) => Promise<R>): Promise<R> {
    const deadline = performance.now() + leftMs
    for (const [index, ms] of FIRST_QUESTIONS_MS.entries()) {
      try {
        return await question(Math.min(ms, leftMs))
      } catch (error) {
        await causes?.settled()
        // A client lets go of the brokers that it was given as soon as it knows the advertised ones. Where the answer that named
        // them came after its question had timed out, no later question is ever answered.
        const isStranded = index === FIRST_QUESTIONS_MS.length - 1 && causes?.stranded()
        if (isStranded || causes?.hopeless() || performance.now() >= deadline) throw error
      }
    }
    return await question(Math.max(1, Math.round(deadline - performance.now())))
  }

  // The client asks for metadata itself while it connects, once, and nothing can break that question off.
  if (causes !== undefined) client.getMetadata = askPatiently
  const metadata = await call<NativeMetadata>(done => client.connect({ timeout: patienceMs }, done))
    .catch((error: NativeError) => {
      if (withoutToken !== undefined) throw withoutToken
      throw isUnusable(error) ? unusable(error) : error
    })
    .finally(() => {
      client.getMetadata = ask
    })
  // After a freeze, a lone broker reports no brokers for a moment; a client that accepts this never sends a request again.
  if (metadata.brokers.length === 0) throw new Error('the cluster says that it has no brokers')
  causes?.heard()
  const lost = await unresolvedCluster(metadata.brokers)
  if (lost === undefined) return
  causes?.note(lost)
  throw new Error('no broker of the cluster can be found')
}

const NO_METADATA: NativeMetadata = { brokers: [], topics: [] }

/**
 * Reaches for no broker.
 * @throws ConfigError as {@link nativeConsumer}, and where a file of a certificate or a key does not hold one
 */
export async function checkProperties(connection: KafkaConnection): Promise<void> {
  const client = nativeProducer({ ...connection, brokers: [], tokens: connection.tokens && NO_TOKENS }, {})
  // Files are read when a client connects. It finds no brokers, which is no news here.
  const failure = await call<NativeMetadata>(done => client.connect({ timeout: 1 }, done)).then(
    () => undefined,
    (error: NativeError) => error,
  )
  if (isUnusable(failure)) throw unusable(failure)
}

/** Nobody is asked for one. */
const NO_TOKENS: TokenSource = { get: () => new Promise(() => {}) }

/** Erroneous state: before it has connected, librdkafka reports it for properties that it cannot use. */
function isUnusable(error: NativeError | undefined): error is NativeError {
  return error?.code === -172
}

const SETTING_OF: readonly (readonly [RegExp, string])[] = [
  [/ssl\.ca\./, 'KAFKA_SSL_CA_LOCATION'],
  [/ssl\.certificate\./, 'KAFKA_SSL_CERTIFICATE_LOCATION'],
  [/ssl\.key\./, 'KAFKA_SSL_KEY_LOCATION'],
]

function unusable({ message }: NativeError): ConfigError {
  const name = SETTING_OF.find(([pattern]) => pattern.test(message))?.[1] ?? 'KAFKA_CONFIG'
  const mismatch = /key values mismatch/.test(message) ? ': the key does not belong to the certificate' : ''
  return new ConfigError([`${name} cannot be used${mismatch}: ${message}`])
}

/**
 * Releases a producer that did not connect. Its own `disconnect` flushes first, and throws when there is no connection;
 * the one that it inherits frees the client's threads.
 */
export function abandon(producer: NativeProducer & { _disconnect?: (done: () => void) => void }): void {
  producer._disconnect?.(() => {})
}
