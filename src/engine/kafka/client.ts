import kafka from '@confluentinc/kafka-javascript'
import { ConfigError } from '../errors.ts'
import type { Header, SourceRecord } from '../record.ts'
import { NO_TIMESTAMP } from '../timestamp.ts'
import { causesOf, listen, unresolvedCluster } from './listening.ts'
import type { Logins } from './logins.ts'
import { CLIENT_PROPERTIES } from './properties.ts'
import type { Token, TokenSource } from './tokens.ts'

/**
 * The typed facade of the native client: the only file that imports it. Its own types miss the calls that a careful
 * consumer needs, and some arguments end the process instead of throwing (a `null` among headers, an undefined topic
 * configuration): what goes in is built here.
 */
export interface KafkaConnection {
  readonly brokers: readonly string[]
  /** librdkafka properties for TLS and SASL. */
  readonly security: Readonly<Record<string, string>>
  /** Further librdkafka properties, already checked against those that the guarantees rest on. */
  readonly extra: Readonly<Record<string, string>>
  /** User and password, where they may change; else those in `security`. */
  readonly logins?: Logins | undefined
  /** With the mechanism OAUTHBEARER. */
  readonly tokens?: TokenSource | undefined
}

export interface NativeTopicPartition {
  readonly topic: string
  readonly partition: number
}

export interface NativePosition extends NativeTopicPartition {
  readonly offset: number
}

export interface NativeError {
  readonly message: string
  readonly code: number
}

export interface NativeRecord extends NativePosition {
  readonly key?: Buffer | null
  readonly value: Buffer | null
  readonly timestamp?: number
  readonly headers?: readonly object[]
  readonly leaderEpoch?: number
}

export interface NativeClient {
  connect(options: { timeout: number }, done: (error: NativeError | null, metadata?: NativeMetadata) => void): void
  disconnect(done: () => void): void
  on(event: string, listener: (...args: never[]) => void): void
  getMetadata(
    options: { topic?: string; allTopics?: boolean; timeout: number },
    done: (error: NativeError | null, metadata: NativeMetadata) => void,
  ): void
  queryWatermarkOffsets(
    topic: string,
    partition: number,
    timeoutMs: number,
    done: (error: NativeError | null, marks: { lowOffset: number; highOffset: number }) => void,
  ): void
}

export interface NativeMetadata {
  readonly brokers: readonly { readonly id: number; readonly host?: string; readonly port?: number }[]
  readonly topics: readonly { readonly name: string; readonly partitions: readonly NativePartition[] }[]
}

export interface NativePartition {
  readonly id: number
  /** Id of a broker; -1: none. */
  readonly leader?: number
  readonly replicas?: readonly number[]
  /** Those of them that are in sync. */
  readonly isrs?: readonly number[]
}

export interface NativeConsumer extends NativeClient {
  subscribe(topics: readonly string[]): void
  /** Without effect where it is not subscribed. */
  unsubscribe(): void
  setDefaultConsumeTimeout(ms: number): void
  setDefaultIsTimeoutOnlyForFirstMessage(only: boolean): void
  consume(max: number, done: (error: NativeError | null, records: NativeRecord[]) => void): void
  /** `offset` of each: a timestamp in ms. Answers the first offset whose record is not older; the end (-1) where there is none. */
  offsetsForTimes(
    wanted: readonly NativePosition[],
    timeoutMs: number,
    done: (
      error: NativeError | null,
      positions: (NativeTopicPartition & { offset?: number; error?: NativeError })[],
    ) => void,
  ): void
  assign(positions: readonly NativePosition[]): void
  unassign(): void
  incrementalAssign(positions: readonly NativePosition[]): void
  incrementalUnassign(partitions: readonly NativeTopicPartition[]): void
  rebalanceProtocol(): 'NONE' | 'EAGER' | 'COOPERATIVE'
  assignmentLost(): boolean
  commit(positions: readonly NativePosition[]): void
  committed(
    partitions: readonly NativeTopicPartition[],
    timeoutMs: number,
    done: (error: NativeError | null, positions: (NativeTopicPartition & { offset?: number })[]) => void,
  ): void
  pause(partitions: readonly NativeTopicPartition[]): void
  resume(partitions: readonly NativeTopicPartition[]): void
  seek(position: NativePosition, timeoutMs: number, done: (error: NativeError | null) => void): void
  getWatermarkOffsets(topic: string, partition: number): { lowOffset: number; highOffset: number }
}

export interface NativeProducer extends NativeClient {
  setPollInBackground(on: boolean): void
  produce(
    topic: string,
    partition: number | null,
    value: Buffer | null,
    key: Buffer | null,
    timestampMs: number | null,
    opaque: unknown,
    headers: readonly object[],
  ): void
}

export interface NativeGroups {
  readonly groups: readonly {
    readonly members: readonly unknown[]
    /** How it assigns partitions; empty without members. */
    readonly protocol?: string
    readonly error?: NativeError
    readonly authorizedOperations?: readonly number[]
  }[]
}

export interface NativeTopic {
  readonly name: string
  readonly topicId: { readonly base64: string }
  readonly partitions: readonly {
    readonly partition: number
    readonly leader: object | null
    readonly replicas: readonly object[]
    readonly isr: readonly object[]
  }[]
  readonly error?: NativeError
  readonly authorizedOperations?: readonly number[]
}

export interface NativeAdmin {
  describeTopics(
    topics: readonly string[],
    options: { includeAuthorizedOperations: boolean; timeout: number },
    done: (error: NativeError | null, result: readonly NativeTopic[]) => void,
  ): void
  describeGroups(
    groups: readonly string[],
    options: { includeAuthorizedOperations: boolean; timeout: number },
    done: (error: NativeError | null, result: NativeGroups) => void,
  ): void
  listConsumerGroupOffsets(
    groups: readonly { readonly groupId: string }[],
    options: { timeout: number },
    done: (error: NativeError | null, result: readonly object[]) => void,
  ): void
  createTopic(topic: object, timeoutMs: number, done: (error: NativeError | null) => void): void
  disconnect(): void
}

export interface ConsumerCallbacks {
  /** -175 assign, -174 revoke; anything else is an error of the rebalance itself. */
  rebalance(error: NativeError, partitions: NativeTopicPartition[]): void
  /** The broker's answer to a commit. */
  committed(error: NativeError | null, positions: NativePosition[]): void
}

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

/** @throws ConfigError where librdkafka does not know a property of KAFKA_CONFIG, or the value that it was given */
export function nativeConsumer(
  connection: KafkaConnection,
  properties: Readonly<Record<string, unknown>>,
  callbacks: ConsumerCallbacks,
): NativeConsumer {
  return made(
    connection,
    base =>
      new kafka.KafkaConsumer(
        {
          ...base,
          // A damaged record must not pass for anything else, for any reader: a value, or a marker that progress goes past.
          'check.crcs': true,
          ...properties,
          rebalance_cb: callbacks.rebalance,
          offset_commit_cb: callbacks.committed,
        },
        // Never start elsewhere in silence: a position that is not in the log any more is an event that we handle.
        { 'auto.offset.reset': 'error' },
      ),
  )
}

export function nativeProducer(
  connection: KafkaConnection,
  properties: Readonly<Record<string, unknown>>,
): NativeProducer {
  return made(connection, base => new kafka.Producer({ ...base, ...properties, dr_cb: true }))
}

/**
 * For one or a few questions. The package holds a lock for as long as one of them is under way, and giving the client a token or a
 * password needs that lock: the whole process would stand still, and the question wait for the token. So it has its token when
 * this resolves, gets no other one, and hears of no new password.
 * @throws BrokerUnavailableError where there is no token to be had
 */
export async function nativeAdmin(connection: KafkaConnection): Promise<NativeAdmin> {
  const create = (base: Record<string, unknown>) => kafka.AdminClient.create(base)
  const { tokens, logins, ...rest } = connection
  if (tokens === undefined) return made(withLogin(rest, logins), create)
  const first = await tokens.get()
  const taken = Promise.withResolvers<void>()
  let asked = false
  const admin = made<NativeAdmin & Made>(rest, create, (client, done) => {
    if (!asked) void passToken(client, { get: async () => first }, done).then(taken.resolve)
    asked = true
  })
  await taken.promise
  return admin
}

/** The login as it is now, once and for all. */
function withLogin(connection: KafkaConnection, logins: Logins | undefined): KafkaConnection {
  if (logins === undefined) return connection
  const { username, password } = logins.current()
  const security = { ...connection.security, 'sasl.username': username, 'sasl.password': password }
  return { ...connection, security }
}

/**
 * All other properties are ours, and right.
 * @param renewToken called each time that the client wants a token. Default: it gets one of `tokens`
 */
function made<C extends object>(
  connection: KafkaConnection,
  create: (base: Record<string, unknown>) => unknown,
  renewToken = renewalOf(connection.tokens),
): C {
  const { logins } = connection
  let client: C & Made
  const base = baseProperties(connection)
  // Called from the event loop: the client is there by then.
  if (renewToken !== undefined)
    base.oauthbearer_token_refresh_cb = (_: unknown, done: TokenTaken) => renewToken(client, done)
  try {
    client = create(base) as C & Made
  } catch (error) {
    throw new ConfigError([`KAFKA_CONFIG cannot be used: ${error instanceof Error ? error.message : String(error)}`])
  }
  listen(client, connection)
  if (logins !== undefined) logins.follow(client)
  // The package emits it for a token that it could not be given; without a listener it would end the process.
  if (renewToken !== undefined) client.on('error', () => {})
  return client
}

function renewalOf(tokens: TokenSource | undefined): ((client: Made, done: TokenTaken) => void) | undefined {
  return tokens === undefined ? undefined : (client, done) => void passToken(client, tokens, done)
}

/** What every client of the package has. */
interface Made {
  on(event: string, listener: () => void): void
  emit(event: string, error: NativeError): void
  setSaslCredentials(username: string, password: string): void
}

type TokenTaken = (
  error: Error | null,
  token?: { tokenValue: string; lifetime: number; principal: string; extensions: Token['extensions'] },
) => void

/** Authentication failed, as the client itself calls it. */
const AUTHENTICATION = -169

/** The client asks again: before the token expires, and 10 s after a failure. A promise instead of `done` would reject unheard where the client has gone. */
async function passToken(client: Made, tokens: TokenSource, done: TokenTaken): Promise<void> {
  try {
    const { token, trouble } = await tokens.get()
    const { value: tokenValue, expiresAtMs: lifetime, principal, extensions } = token
    done(null, { tokenValue, lifetime, principal, extensions })
    if (trouble === undefined) return
    const message = `${trouble.message}. The token in use is valid until ${new Date(lifetime).toISOString()}`
    client.emit('event.error', { code: AUTHENTICATION, message })
  } catch (error) {
    try {
      done(error as Error)
    } catch {
      // The client was closed while it waited.
    }
  }
}

/** Which features the native library was built with, for `doctor` and start-up checks. */
export function nativeFeatures(): { readonly version: string; readonly features: readonly string[] } {
  return { version: kafka.librdkafkaVersion, features: kafka.features }
}

function baseProperties({ brokers, security, extra, logins }: KafkaConnection): Record<string, unknown> {
  const login = logins?.current()
  return {
    ...(brokers.length === 0 ? {} : { 'metadata.broker.list': brokers.join(',') }),
    ...CLIENT_PROPERTIES,
    ...security,
    ...(login === undefined ? {} : { 'sasl.username': login.username, 'sasl.password': login.password }),
    ...extra,
  }
}

/**
 * Headers as the client delivers them (objects of one key) to name and value, in order, repeats kept. A header called
 * `__proto__` arrives as the object's prototype, with no key of its own.
 */
export function fromNativeHeaders(headers: readonly object[] | undefined): readonly Header[] {
  if (headers === undefined || headers.length === 0) return NO_HEADERS
  return headers.map((header): Header => {
    const [entry] = Object.entries(header) as [string, Buffer | string][]
    if (entry !== undefined) return [entry[0], toBuffer(entry[1])]
    const prototype: unknown = Object.getPrototypeOf(header)
    return ['__proto__', Buffer.isBuffer(prototype) ? prototype : EMPTY]
  })
}

/** A record in the form that the other modules use. Its timestamp is a double already: the rule is that of `engine/timestamp.ts`. */
export function fromNative(record: NativeRecord): SourceRecord {
  return {
    topic: record.topic,
    partition: record.partition,
    offset: BigInt(record.offset),
    timestampMs: record.timestamp ?? NO_TIMESTAMP,
    key: record.key ?? null,
    value: record.value,
    headers: fromNativeHeaders(record.headers),
    leaderEpoch: record.leaderEpoch,
  }
}

/**
 * The other way. Values are Buffers, because strings are cut at NUL and anything else throws *and still sends*; but for an
 * empty one, of which the client would make null: an empty string is sent as an empty value. The client delivers null and
 * empty alike, as an empty Buffer, so a null of the producer's is sent on as an empty value.
 */
export function toNativeHeaders(headers: readonly Header[]): object[] {
  // A computed key makes `__proto__` an own property, where a literal one would set the prototype.
  return headers.map(([name, value]) => ({ [name]: value.length === 0 ? EMPTY_TEXT : value }))
}

const NO_HEADERS: readonly Header[] = Object.freeze([])
const EMPTY = Buffer.alloc(0)
const EMPTY_TEXT = ''

function toBuffer(value: Buffer | string): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(value)
}

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

/** A native call with a Node callback, as a promise that rejects with the native error. */
export function call<R = void>(start: (done: (error: NativeError | null, result?: R) => void) => void): Promise<R> {
  return new Promise((resolve, reject) => {
    start((error, result) => (error ? reject(error) : resolve(result as R)))
  })
}
