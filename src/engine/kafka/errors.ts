import {
  BrokerFatalError,
  BrokerUnavailableError,
  ConfigError,
  PartitionUnavailableError,
  type StreamError,
} from '../errors.ts'
import { isMistake } from './causes.ts'
import { within } from './hearing.ts'
import { causesOf } from './listening.ts'
import type { NativeError } from './native.ts'

/** librdkafka codes that modules above must distinguish. Negative: the client's own; positive: the broker's. */
export const CODE = {
  badMessage: -199,
  badCompression: -198,
  state: -172,
  notImplemented: -170,
  corruptMessage: 2,
  assignPartitions: -175,
  revokePartitions: -174,
  autoOffsetReset: -140,
  maxPollExceeded: -147,
  messageTimedOut: -192,
  timedOut: -185,
  queueFull: -184,
  unknownPartition: -190,
  illegalGeneration: 22,
  unknownMember: 25,
  rebalanceInProgress: 27,
  unknownTopic: 3,
  recordTooLarge: 10,
  notEnoughReplicas: 19,
  notEnoughReplicasAfterAppend: 20,
  topicAuthorization: 29,
  invalidTimestamp: 32,
  topicExists: 36,
  invalidConfig: 40,
  policyViolation: 44,
  invalidRecord: 87,
} as const

/**
 * After these only a new process helps: fatal, fenced by another static member, authorization. Not authentication: the client calls so whatever
 * ends a connection while it logs in, and makes a new one; what the broker says of the credentials is among its reports, and ends a start.
 */
const FATAL: ReadonlyMap<number, readonly [what: string, remedy?: string]> = new Map([
  [-150, ['the client cannot go on']],
  [82, ['another consumer with the same group.instance.id has taken its place']],
  [
    29,
    [
      'the topic may not be read or written by this user',
      'grant READ on the source topic, WRITE on the dead-letter topic; "holdfast doctor" says which is missing',
    ],
  ],
  [
    23,
    [
      'another client uses this consumer group with another assignment strategy',
      'stop that client, or choose another KAFKA_GROUP_ID (ours is cooperative-sticky)',
    ],
  ],
  [
    26,
    [
      'the broker refuses the session timeout',
      'set session.timeout.ms in KAFKA_CONFIG within group.min.session.timeout.ms and group.max.session.timeout.ms of the broker',
    ],
  ],
  [30, ['the consumer group may not be used by this user', 'grant READ on the group']],
  [31, ['the cluster refuses this user', 'grant the missing right; "holdfast doctor" says which']],
])

/** Errors of one batch, which comes no other way however often it is fetched. */
const UNREADABLE: ReadonlyMap<number, string> = new Map([
  [
    CODE.badMessage,
    'its CRC does not match its bytes, or they cannot be parsed: it is probably damaged on the disk of the broker',
  ],
  [CODE.corruptMessage, 'the broker found its CRC wrong: it is damaged on the disk of the broker'],
  [CODE.badCompression, 'it cannot be decompressed'],
  [CODE.notImplemented, 'its format is not known to this client, or it is damaged on the disk of the broker'],
])

/** Why a batch cannot be read; `undefined` when the error is about something else. */
export function unreadableBecause(error: unknown): string | undefined {
  const { code, message } = describe(error)
  const why = code === undefined ? undefined : UNREADABLE.get(code)
  return why === undefined ? undefined : `${why} (${message}, code ${code})`
}

/** Codes that mean only that no answer came: transport, resolve, all brokers down, record or call timed out, SSL, authentication. */
const NO_ANSWER: ReadonlySet<number> = new Set([-195, -193, -187, -192, -185, -181, -169])

/**
 * Converts an error of the client to one whose class determines how it is handled.
 * @param client the native client: where the error means only that no answer came, the client's last report about its brokers is the cause
 */
export function toStreamError(error: unknown, doing: string, client?: object): StreamError {
  const { code, message } = describe(error)
  const said = client === undefined ? undefined : causesOf(client)?.latest()
  if (said?.kind === 'fatal')
    return new BrokerFatalError(`Kafka, ${doing}: ${said.what}`, { cause: error, remedy: said.remedy })
  const fatal = code === undefined ? undefined : FATAL.get(code)
  if (fatal !== undefined)
    return new BrokerFatalError(`Kafka, ${doing}: ${fatal[0]} (${message}, code ${code})`, {
      cause: error,
      remedy: fatal[1],
    })
  const cause = code === undefined || NO_ANSWER.has(code) ? said : undefined
  if (cause === undefined) {
    const text = `Kafka, ${doing}: ${message}${code === undefined ? '' : ` (code ${code})`}`
    return new BrokerUnavailableError(text, { cause: error })
  }
  // Without the client's own words, which add nothing: "broker transport failure", "timed out".
  return new BrokerUnavailableError(`Kafka, ${doing}: ${cause.what}`, {
    remedy: cause.remedy,
    isMistake: isMistake(cause),
    cause: code === undefined ? undefined : error,
  })
}

interface Explained {
  readonly what: string
  readonly remedy?: string
}

const NO_LEADER: Explained = {
  what: 'no broker leads this partition',
  remedy: 'check the brokers that hold its replicas, and their disks',
}

/** What concerns one partition alone, while the cluster itself answers. */
const OF_PARTITION: ReadonlyMap<number, Explained> = new Map([
  // Unknown to the client, leader not available, not the leader, replica not available, disk offline, fenced or unknown leader epoch.
  ...[CODE.unknownPartition, 5, 6, 9, 56, 74, 75].map(code => [code, NO_LEADER] as const),
  [78, { what: 'its new leader is not ready yet, which takes seconds after an election' }],
])

/** As {@link toStreamError}, for a request about one partition: a missing leader is no fault of the whole cluster. */
export function toPartitionError(error: unknown, doing: string, client?: object): StreamError {
  const { code, message } = describe(error)
  const known = code === undefined ? undefined : OF_PARTITION.get(code)
  if (known === undefined) {
    const translated = toStreamError(error, doing, client)
    if (code !== CODE.timedOut || translated.remedy !== undefined) return translated
    return new BrokerUnavailableError(
      `Kafka, ${doing}: the broker that leads this partition does not answer (${message}, code ${code})`,
      { cause: error, remedy: 'look at that broker; once the cluster has given it up, another one leads' },
    )
  }
  return new PartitionUnavailableError(`Kafka, ${doing}: ${known.what} (${message}, code ${code})`, {
    cause: error,
    remedy: known.remedy,
  })
}

/** Fatal error, and what it still had in its queue then. */
const GIVEN_UP: ReadonlySet<number | undefined> = new Set([-150, -152])
const END_MS = 500

/** As {@link toStreamError}; where the client has failed permanently, waits for its report of the cause. */
export async function toLastError(error: unknown, doing: string, client: object): Promise<StreamError> {
  const end = GIVEN_UP.has(describe(error).code) ? causesOf(client)?.end : undefined
  if (end !== undefined) await within(end, END_MS)
  return toStreamError(error, doing, client)
}

/** As {@link toStreamError}, for a client that did not connect. @returns our own errors as they stand */
export function toConnectError(error: unknown, brokers: readonly string[], client: object): Error {
  return error instanceof ConfigError || error instanceof BrokerUnavailableError
    ? error
    : toStreamError(error, `connecting to ${brokers.join(',')}`, client)
}

/** A complaint of a client that is no failure of a call, with what is behind it. */
export function warningText(client: object, { message }: NativeError): string {
  const cause = causesOf(client)?.latest()
  return cause === undefined ? message : `${message}: ${cause.what}; ${cause.remedy}`
}

export function describe(error: unknown): { readonly code: number | undefined; readonly message: string } {
  const native = error as Partial<NativeError> | null
  return {
    code: typeof native?.code === 'number' ? native.code : undefined,
    message: typeof native?.message === 'string' ? native.message : String(error),
  }
}
