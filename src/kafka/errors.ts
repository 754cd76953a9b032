import { BrokerFatalError, BrokerUnavailableError, type StreamError } from '../core/errors.ts'
import type { NativeError } from './client.ts'

/** librdkafka codes that the rooms above must tell apart. Negative: the client's own; positive: the broker's. */
export const CODE = {
  assignPartitions: -175,
  revokePartitions: -174,
  autoOffsetReset: -140,
  maxPollExceeded: -147,
  queueFull: -184,
  unknownPartition: -190,
  illegalGeneration: 22,
  unknownMember: 25,
  rebalanceInProgress: 27,
  unknownTopic: 3,
  recordTooLarge: 10,
  invalidTimestamp: 32,
  topicExists: 36,
  invalidConfig: 40,
  policyViolation: 44,
  invalidRecord: 87,
} as const

/** After these only a new process helps: fatal, fenced by another static member, authentication, authorization. */
const FATAL: ReadonlyMap<number, string> = new Map([
  [-150, 'the client cannot go on; another consumer with the same group.instance.id may have taken its place'],
  [-169, 'authentication failed; check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD'],
  [82, 'another consumer with the same group.instance.id has taken its place'],
  [58, 'authentication failed; check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD'],
  [
    29,
    'the topic may not be read or written by this user; grant READ on the source topic, WRITE on the dead-letter topic',
  ],
  [30, 'the consumer group may not be used by this user; grant READ on the group'],
  [31, 'the cluster refuses this user; grant the missing right'],
])

/** What the client said, as an error that tells what should happen next. */
export function toStreamError(error: unknown, doing: string): StreamError {
  const { code, message } = describe(error)
  const fatal = code === undefined ? undefined : FATAL.get(code)
  if (fatal !== undefined)
    return new BrokerFatalError(`Kafka, ${doing}: ${fatal} (${message}, code ${code})`, { cause: error })
  return new BrokerUnavailableError(`Kafka, ${doing}: ${message}${code === undefined ? '' : ` (code ${code})`}`, {
    cause: error,
  })
}

export function describe(error: unknown): { readonly code: number | undefined; readonly message: string } {
  const native = error as Partial<NativeError> | null
  return {
    code: typeof native?.code === 'number' ? native.code : undefined,
    message: typeof native?.message === 'string' ? native.message : String(error),
  }
}
