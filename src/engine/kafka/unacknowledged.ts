import { BrokerUnavailableError, type StreamError } from '../errors.ts'
import { CODE, describe } from './errors.ts'
import { within } from './hearing.ts'
import {
  call,
  type NativeClient,
  type NativeMetadata,
  type NativePartition,
  type NativeTopicPartition,
} from './native.ts'

/** Why a partition acknowledges nothing, as the cluster itself shows it. */
interface Shortage {
  readonly what: string
  readonly remedy: string
}

const ASK_MS = 3_000

/** The client reports only that time is up; these are the reasons that a broker gave it before. */
const NOT_ACKNOWLEDGED: ReadonlySet<number | undefined> = new Set([
  CODE.messageTimedOut,
  CODE.notEnoughReplicas,
  CODE.notEnoughReplicasAfterAppend,
])

/** Under way, by topic: the records of a batch fail together, and one question is enough for all of them. */
const ASKED = new WeakMap<NativeClient, Map<string, Promise<readonly NativePartition[]>>>()

/** The client learns from the answer who leads the partitions now. @returns none where no broker answers; never rejects */
export function lookUp(client: NativeClient, topic: string): Promise<readonly NativePartition[]> {
  const ofClient = ASKED.get(client) ?? new Map<string, Promise<readonly NativePartition[]>>()
  ASKED.set(client, ofClient)
  const known = ofClient.get(topic)
  if (known !== undefined) return known
  const asked = within(
    call<NativeMetadata>(done => client.getMetadata({ topic, timeout: ASK_MS }, done)),
    2 * ASK_MS,
  )
    .then(metadata => metadata?.topics.find(({ name }) => name === topic)?.partitions ?? [])
    .catch(() => [])
    .finally(() => ofClient.delete(topic))
  ofClient.set(topic, asked)
  return asked
}

/** @returns `undefined` where the partition is led, with all replicas in sync */
function shortage(topic: string, { id, leader, replicas = [], isrs = [] }: NativePartition): Shortage | undefined {
  if (leader === -1) {
    return {
      what: `no broker leads ${topic}-${id}`,
      remedy: 'start the brokers that hold its replicas, and look at their disks',
    }
  }
  if (isrs.length >= replicas.length) return undefined
  return {
    what:
      `not acknowledged in time, and ${topic}-${id} has ${isrs.length} of its ${replicas.length} replicas in sync: while those are ` +
      'fewer than its min.insync.replicas, it takes no record',
    remedy: 'start the brokers that hold the others',
  }
}

/** Whether some partition of the topic may be unable to acknowledge: then another client fares no better. Never rejects. */
export async function isShort(client: NativeClient, topic: string): Promise<boolean> {
  return (await lookUp(client, topic)).some(partition => shortage(topic, partition) !== undefined)
}

/** @returns the error of a record that was not acknowledged, with what the cluster shows as its reason; as it stands where it shows none */
export async function whyUnacknowledged(
  error: StreamError,
  at: NativeTopicPartition,
  client: NativeClient,
): Promise<StreamError> {
  const { code } = describe(error.cause)
  if (error.disposition !== 'retry' || !NOT_ACKNOWLEDGED.has(code)) return error
  const partition = (await lookUp(client, at.topic)).find(({ id }) => id === at.partition)
  const short = partition && shortage(at.topic, partition)
  if (short === undefined) return error
  return new BrokerUnavailableError(`Kafka, producing to ${at.topic}: ${short.what}`, {
    remedy: short.remedy,
    cause: error.cause,
  })
}
