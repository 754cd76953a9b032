import { setTimeout as sleep } from 'node:timers/promises'
import { BrokerUnavailableError } from '../errors.ts'
import { runningLifecycle } from '../lifecycle.ts'
import type { Header } from '../record.ts'
import { NO_TRACING, type SendTracing } from '../tracing.ts'
import { type KafkaConnection, nativeProducer } from './client.ts'
import { abandon, connect } from './connect.ts'
import { CODE, describe, toConnectError, toLastError, toStreamError, warningText } from './errors.ts'
import { createHearing, hearsBroker } from './hearing.ts'
import { causesOf } from './listening.ts'
import { call, type NativeError, type NativeMetadata, type NativeProducer } from './native.ts'
import { toNativeHeaders } from './native-records.ts'
import { isShort, lookUp, whyUnacknowledged } from './unacknowledged.ts'

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
  /** Resolves once all in-sync replicas have it, at that offset. @throws BrokerUnavailableError */
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
  /** The native client; a test may play it. */
  readonly createClient?: (properties: Readonly<Record<string, unknown>>) => NativeProducer
  /** Puts the trace context into the headers. Default: they are sent as they are. */
  readonly tracing?: SendTracing
}

/** Larger than any source topic's limit in usual use, so that a dead letter always fits; the topic's own limit still applies. */
export const PRODUCE_MAX_BYTES = 16 * 1024 * 1024

/** Records that may wait for an acknowledgement at once; beyond it `produce` waits. */
const MAX_UNACKED = 10_000

/** A record that waits longer than this for its acknowledgement has its topic looked up: its partition may be led elsewhere now. */
const LOOK_UP_AFTER_MS = 2_000
/** A leader that has not answered for this long is given up, and the record goes to the next one. */
const SOCKET_TIMEOUT_MS = 6_000
/** Waiting longer than this for an acknowledgement, or for an answer, the producer tries whether another client fares better. */
const RENEW_AFTER_MS = 10_000
const RENEW_CONNECT_TIMEOUT_MS = 5_000
const WATCH_INTERVAL_MS = 1_000

/**
 * A producer whose every record is awaited: the promise travels through the client as the record's opaque and is
 * settled by its delivery report. (The client's HighLevelProducer leaks a timer on each synchronous error.)
 *
 * A client that lost all brokers for a while may never find them again (librdkafka 2.15.1, after a lone broker was frozen
 * beyond its session: https://github.com/confluentinc/librdkafka/issues/5301). So one that acknowledges and answers nothing for some time is replaced, as soon as a new one connects; what
 * the old one still holds ends by its own timeout.
 */
export async function startProducer(options: ProducerOptions): Promise<KafkaProducer> {
  const { connection, tracing = NO_TRACING } = options
  const unacked = new Set<Waiting>()
  const waiters: (() => void)[] = []
  let renewing = false
  const retired = new Set<NativeProducer>()
  let client = await open(options.connectTimeoutMs ?? 10_000)
  let hearing = createHearing(() => hearsBroker(client))
  const watch = setInterval(() => void renewWhenStuck(), WATCH_INTERVAL_MS)
  watch.unref()

  async function open(timeoutMs: number): Promise<NativeProducer> {
    const createClient = options.createClient ?? (properties => nativeProducer(connection, properties))
    const opened = createClient({
      acks: 'all',
      'enable.idempotence': true,
      'message.timeout.ms': options.deliveryTimeoutMs ?? 15_000,
      'socket.timeout.ms': SOCKET_TIMEOUT_MS,
      'message.max.bytes': PRODUCE_MAX_BYTES,
      'linger.ms': 5,
      'queue.buffering.max.messages': MAX_UNACKED * 2,
      // The partitioner of the Java client, so that a key keeps its partition with any producer.
      partitioner: 'murmur2_random',
      ...connection.extra,
    })
    opened.on('event.error', (error: NativeError) => options.onWarning?.(warningText(opened, error)))
    opened.on('delivery-report', (error: NativeError | null, report: DeliveryReport) => {
      const waiting = report.opaque
      unacked.delete(waiting)
      waiters.shift()?.()
      if (error) {
        // The present client is asked why: one that was replaced may be on its way out.
        void toLastError(error, `producing to ${report.topic}`, opened)
          .then(translated => whyUnacknowledged(translated, report, client))
          .then(waiting.reject)
      } else if (report.offset < 0) {
        waiting.reject(notStoredForSure(report))
      } else {
        waiting.resolve({ partition: report.partition, offset: BigInt(report.offset) })
        causesOf(opened)?.heard()
        if (opened === client) hearing.heard()
      }
      retire(opened)
    })
    try {
      await connect(opened, timeoutMs)
    } catch (error) {
      abandon(opened)
      throw toConnectError(error, connection.brokers, opened)
    }
    opened.setPollInBackground(true)
    return opened
  }

  /** A client that was replaced goes with its last report: disconnecting earlier would leave promises open for ever. */
  function retire(old: NativeProducer): void {
    if (old === client || retired.has(old) || [...unacked].some(waiting => waiting.client === old)) return
    retired.add(old)
    old.disconnect(() => {})
  }

  async function renewWhenStuck(): Promise<void> {
    if (renewing || lifecycle.stopping.aborted) return
    hearing.tick()
    // Those of a client that was replaced only wait for their timeout.
    const oldest = unacked.values().find(waiting => waiting.client === client)
    const waitingMs = oldest === undefined ? 0 : performance.now() - oldest.sinceMs
    // The client itself would look again only with its next refresh.
    if (oldest !== undefined && waitingMs > LOOK_UP_AFTER_MS) void lookUp(client, oldest.topic)
    if (Math.max(waitingMs, hearing.deafMs()) < RENEW_AFTER_MS) return
    renewing = true
    try {
      // Brokers that answer, and cannot acknowledge: that is not the client's fault.
      if (hearing.deafMs() === 0 && oldest !== undefined && (await isShort(client, oldest.topic))) return
      const fresh = await open(RENEW_CONNECT_TIMEOUT_MS)
      if (lifecycle.stopping.aborted) return abandon(fresh)
      const old = client
      client = fresh
      hearing = createHearing(() => hearsBroker(fresh))
      options.onWarning?.('the producer heard nothing from Kafka for a while, and was replaced by a new one')
      retire(old)
    } catch {
      // The brokers are really away: the old client goes on looking for them.
    } finally {
      renewing = false
    }
  }

  async function produce(record: OutgoingRecord, headers: readonly Header[]) {
    while (unacked.size >= MAX_UNACKED) await new Promise<void>(resolve => waiters.push(resolve))
    if (lifecycle.stopping.aborted) throw new BrokerUnavailableError('the producer is closed')
    const { promise, resolve, reject } = Promise.withResolvers<{ partition: number; offset: bigint }>()
    const waiting: Waiting = { client, topic: record.topic, sinceMs: performance.now(), resolve, reject }
    const nativeHeaders = toNativeHeaders(headers)
    for (let tries = 1; ; tries++) {
      try {
        waiting.client = client
        client.produce(
          record.topic,
          record.partition ?? null,
          record.value,
          record.key,
          record.timestampMs ?? null,
          waiting,
          nativeHeaders,
        )
        break
      } catch (error) {
        // Nothing was queued: the client's own queue is full for the moment, by bytes.
        if (describe(error).code !== CODE.queueFull || tries >= 200) {
          throw await toLastError(error, `producing to ${record.topic}`, client)
        }
        await sleep(50)
      }
    }
    unacked.add(waiting)
    return promise
  }

  const lifecycle = runningLifecycle(async () => {
    // Every record gets its report at the latest after the delivery timeout: nothing is flushed away unseen.
    while (unacked.size > 0) await new Promise<void>(resolve => waiters.push(resolve))
    clearInterval(watch)
    await new Promise<void>(resolve => client.disconnect(() => resolve()))
  })

  return {
    produce: record => tracing.send(record, headers => produce(record, headers)),
    async partitionCount(topic) {
      const asked = call<NativeMetadata>(done => client.getMetadata({ topic, timeout: 5_000 }, done))
      const metadata = await asked.catch((error: unknown) => {
        throw toStreamError(error, `asking for topic ${topic}`, client)
      })
      hearing.heard()
      return metadata.topics.find(({ name }) => name === topic)?.partitions.length ?? 0
    },
    close: lifecycle.stop,
    [Symbol.asyncDispose]: lifecycle.stop,
  }
}

/**
 * The client reports a record as delivered, and has no offset for it, when the broker takes an attempt for a repetition of an earlier one. After crashes and
 * cut connections that may be wrong, and the record is in no log (of 66,000 records under `make chaos`, with the machine overloaded, 6 were in none;
 * https://github.com/confluentinc/librdkafka/issues/4134). Sending it again may store it twice, which readers notice by its id.
 */
function notStoredForSure({ topic, partition }: DeliveryReport): BrokerUnavailableError {
  return new BrokerUnavailableError(
    `${topic}-${partition}: the broker took a record for a repetition and named no offset, so it may not be stored; it has to be sent again`,
  )
}

interface Waiting {
  client: NativeProducer
  readonly topic: string
  /** When it was handed over. */
  readonly sinceMs: number
  resolve(position: { partition: number; offset: bigint }): void
  reject(error: Error): void
}

interface DeliveryReport {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly opaque: Waiting
}
