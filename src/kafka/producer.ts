import { setTimeout as sleep } from 'node:timers/promises'
import { BrokerUnavailableError } from '../core/errors.ts'
import type { Header } from '../core/record.ts'
import {
  abandon,
  call,
  connect,
  type KafkaConnection,
  type NativeError,
  type NativeMetadata,
  nativeProducer,
  toNativeHeaders,
} from './client.ts'
import { CODE, describe, toStreamError } from './errors.ts'

/** A record to be produced. Without `partition` the key decides; without `timestampMs` it is now. */
export interface OutgoingRecord {
  readonly topic: string
  readonly partition?: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly Header[]
  readonly timestampMs?: number
}

export interface KafkaProducer extends AsyncDisposable {
  /** Resolves once all in-sync replicas have it. @throws BrokerUnavailableError */
  produce(record: OutgoingRecord): Promise<{ readonly partition: number; readonly offset: bigint }>
  /** Number of partitions of a topic, 0 when there is no such topic. @throws BrokerUnavailableError */
  partitionCount(topic: string): Promise<number>
  /** Waits for what is under way, then disconnects. Safe twice. */
  close(): Promise<void>
}

export interface ProducerOptions {
  readonly connection: KafkaConnection
  /** How long a record may wait for its acknowledgement, in ms. */
  readonly deliveryTimeoutMs?: number
  /** How long to wait for the first connection, in ms. */
  readonly connectTimeoutMs?: number
  readonly onWarning?: (message: string) => void
}

/** Larger than any source topic's limit in usual use, so that a dead letter always fits; the topic has the last word. */
export const PRODUCE_MAX_BYTES = 16 * 1024 * 1024

/** Records that may wait for an acknowledgement at once; beyond it `produce` waits. */
const MAX_UNACKED = 10_000

/**
 * A producer whose every record is awaited: the promise travels through the client as the record's opaque and is
 * settled by its delivery report. (The client's HighLevelProducer leaks a timer on each synchronous error.)
 */
export async function startProducer(options: ProducerOptions): Promise<KafkaProducer> {
  const { connection } = options
  const client = nativeProducer(connection, {
    acks: 'all',
    'enable.idempotence': true,
    'message.timeout.ms': options.deliveryTimeoutMs ?? 15_000,
    'message.max.bytes': PRODUCE_MAX_BYTES,
    'linger.ms': 5,
    'queue.buffering.max.messages': MAX_UNACKED * 2,
    // The partitioner of the Java client, so that a key keeps its partition whoever produces it.
    partitioner: 'murmur2_random',
    ...connection.extra,
  })
  const unacked = new Set<Waiting>()
  const room: (() => void)[] = []
  let closing: Promise<void> | undefined

  client.on('event.error', (error: NativeError) => options.onWarning?.(error.message))
  client.on('delivery-report', (error: NativeError | null, report: DeliveryReport) => {
    const waiting = report.opaque
    unacked.delete(waiting)
    room.shift()?.()
    if (error) waiting.reject(toStreamError(error, `producing to ${report.topic}`))
    else waiting.resolve({ partition: report.partition, offset: BigInt(report.offset) })
  })

  try {
    await connect(client, options.connectTimeoutMs ?? 10_000)
  } catch (error) {
    abandon(client)
    throw toStreamError(error, `connecting to ${connection.brokers.join(',')}`)
  }
  client.setPollInBackground(true)

  async function produce(record: OutgoingRecord) {
    while (unacked.size >= MAX_UNACKED) await new Promise<void>(resolve => room.push(resolve))
    if (closing !== undefined) throw new BrokerUnavailableError('the producer is closed')
    const { promise, resolve, reject } = Promise.withResolvers<{ partition: number; offset: bigint }>()
    const waiting: Waiting = { resolve, reject }
    const headers = toNativeHeaders(record.headers)
    for (let tries = 1; ; tries++) {
      try {
        client.produce(
          record.topic,
          record.partition ?? null,
          record.value,
          record.key,
          record.timestampMs ?? null,
          waiting,
          headers,
        )
        break
      } catch (error) {
        // Nothing was queued: the client's own queue is full for the moment, by bytes.
        if (describe(error).code !== CODE.queueFull || tries >= 200) {
          throw toStreamError(error, `producing to ${record.topic}`)
        }
        await sleep(50)
      }
    }
    unacked.add(waiting)
    return promise
  }

  async function close(): Promise<void> {
    // Every record gets its report at the latest after the delivery timeout: nothing is flushed away unseen.
    while (unacked.size > 0) await new Promise<void>(resolve => room.push(resolve))
    await new Promise<void>(resolve => client.disconnect(() => resolve()))
  }

  function closeOnce(): Promise<void> {
    closing ??= close()
    return closing
  }

  return {
    produce,
    async partitionCount(topic) {
      const metadata = await call<NativeMetadata>(done => client.getMetadata({ topic, timeout: 5_000 }, done)).catch(
        (error: unknown) => {
          throw toStreamError(error, `asking for topic ${topic}`)
        },
      )
      return metadata.topics.find(({ name }) => name === topic)?.partitions.length ?? 0
    },
    close: closeOnce,
    [Symbol.asyncDispose]: closeOnce,
  }
}

interface Waiting {
  resolve(position: { partition: number; offset: bigint }): void
  reject(error: Error): void
}

interface DeliveryReport {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly opaque: Waiting
}
