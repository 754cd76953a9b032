import kafka from '@confluentinc/kafka-javascript'
import { ConfigError } from '../errors.ts'
import { listen } from './listening.ts'
import type { Logins } from './logins.ts'
import type { ConsumerCallbacks, NativeAdmin, NativeConsumer, NativeError, NativeProducer } from './native.ts'
import { CLIENT_PROPERTIES } from './properties.ts'
import type { Token, TokenSource } from './tokens.ts'

// Makes clients of the native library; no other file imports it.

/** Where the brokers are, and how they are talked to. */
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
