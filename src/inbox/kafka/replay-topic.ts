import { BrokerUnavailableError } from '../../engine/errors.ts'
import { HEADER, headerText } from '../../engine/headers.ts'
import {
  call,
  connect,
  fromNative,
  type KafkaConnection,
  type NativeConsumer,
  type NativeError,
  type NativeMetadata,
  type NativePosition,
  type NativeRecord,
  nativeConsumer,
} from '../../engine/kafka/client.ts'
import { CODE, describe, toConnectError, toStreamError, warningText } from '../../engine/kafka/errors.ts'
import { createPublisher } from '../../engine/kafka/publisher.ts'
import type { SendTracing } from '../../engine/tracing.ts'
import { REPLAY_DELIVERY_TIMEOUT_MS, type ReplayTopic } from '../replay.ts'

export interface ReplayTopicOptions {
  readonly connection: KafkaConnection
  readonly topic: string
  readonly onWarning?: (message: string) => void
  readonly tracing?: SendTracing
}

const TIMEOUT_MS = 5_000
/** Kafka says of these that no attempt will do better. */
const REFUSALS: ReadonlySet<number> = new Set([
  CODE.recordTooLarge,
  CODE.invalidTimestamp,
  CODE.invalidRecord,
  CODE.unknownPartition,
])

/**
 * The topic as a redrive writes it, and looks into it for what it has written. Connects when first asked. What is looked
 * for was written without transactions, so those of other producers need not be waited for.
 */
export function createReplayTopic({ connection, topic, onWarning, tracing }: ReplayTopicOptions): ReplayTopic {
  const publisher = createPublisher({
    connection,
    deliveryTimeoutMs: REPLAY_DELIVERY_TIMEOUT_MS,
    connectTimeoutMs: TIMEOUT_MS,
    ...(onWarning === undefined ? {} : { onWarning }),
    ...(tracing === undefined ? {} : { tracing }),
  })
  let client: Promise<NativeConsumer> | undefined
  let closed = false
  /** Where a partition was last seen to end, since something was asked for. */
  let end: NativePosition | undefined

  function reader(): Promise<NativeConsumer> {
    if (closed) throw new BrokerUnavailableError('the reader is closed')
    if (client !== undefined) return client
    const opening = open()
    client = opening
    // Waiting callers get the error; the next one connects again.
    opening.catch(() => {
      if (client === opening) client = undefined
    })
    return opening
  }

  async function open(): Promise<NativeConsumer> {
    const opened = nativeConsumer(
      connection,
      {
        // Never joined: there are no subscriptions, and nothing is committed.
        'group.id': 'holdfast-replays',
        'enable.auto.commit': false,
        // Where offsets hold no record (transaction markers, compaction), silence alone does not show the end.
        'enable.partition.eof': true,
        'isolation.level': 'read_uncommitted',
        'fetch.wait.max.ms': 100,
      },
      { rebalance: () => {}, committed: () => {} },
    )
    opened.on('partition.eof', (at: NativePosition) => {
      end = at
    })
    opened.on('event.error', (error: NativeError) => onWarning?.(warningText(opened, error)))
    try {
      await connect(opened, TIMEOUT_MS)
    } catch (error) {
      opened.disconnect(() => {})
      throw toConnectError(error, connection.brokers, opened)
    }
    opened.setDefaultIsTimeoutOnlyForFirstMessage(true)
    opened.setDefaultConsumeTimeout(200)
    return opened
  }

  async function watermarks(partition: number): Promise<{ readonly low: bigint; readonly high: bigint }> {
    const asked = await reader()
    try {
      const marks = await call<{ lowOffset: number; highOffset: number }>(done =>
        asked.queryWatermarkOffsets(topic, partition, TIMEOUT_MS, done),
      )
      return { low: BigInt(marks.lowOffset), high: BigInt(marks.highOffset) }
    } catch (error) {
      throw toStreamError(error, `asking for the end of ${topic}-${partition}`, asked)
    }
  }

  async function partitionCount(): Promise<number> {
    const asked = await reader()
    try {
      const { topics } = await call<NativeMetadata>(done => asked.getMetadata({ topic, timeout: TIMEOUT_MS }, done))
      return topics.find(({ name }) => name === topic)?.partitions.length ?? 0
    } catch (error) {
      throw toStreamError(error, `asking for topic ${topic}`, asked)
    }
  }

  async function* readFrom(partition: number, mark: bigint): AsyncIterable<NativeRecord> {
    const { low, high } = await watermarks(partition)
    let next = mark > low ? mark : low
    if (next >= high) return
    const asked = await reader()
    let heardAtMs = performance.now()
    end = undefined
    asked.assign([{ topic, partition, offset: Number(next) }])
    try {
      while (next < high) {
        let records: NativeRecord[]
        try {
          records = await call<NativeRecord[]>(done => asked.consume(1_000, done))
        } catch (error) {
          throw toStreamError(error, `reading ${topic}-${partition}`, asked)
        }
        for (const record of records) {
          if (BigInt(record.offset) >= high) return
          next = BigInt(record.offset) + 1n
          yield record
        }
        if (isBehind(end, partition, high)) return
        if (records.length > 0) heardAtMs = performance.now()
        // To take silence for an end would be to send a record twice.
        else if (performance.now() - heardAtMs > 4 * TIMEOUT_MS) {
          throw new BrokerUnavailableError(
            `Kafka, reading ${topic}-${partition}: nothing came of offsets ${next} to ${high}`,
          )
        }
      }
    } finally {
      asked.unassign()
    }
  }

  return {
    async ends(partitions) {
      const count = await partitionCount()
      // A partition that is not there (the topic was recreated, with fewer) refuses its own records only.
      const known = partitions.filter(partition => partition < count)
      const ends = await Promise.all(
        known.map(async partition => [partition, (await watermarks(partition)).high] as const),
      )
      return new Map(ends)
    },

    async published(replayId, since) {
      const ids = new Set<string>()
      for (const [partition, mark] of since) {
        for await (const native of readFrom(partition, mark)) {
          if (native.headers === undefined || native.headers.length === 0) continue
          const record = fromNative(native)
          const id = headerText(record, HEADER.id)
          if (id !== undefined && headerText(record, HEADER.replayId) === replayId) ids.add(id)
        }
      }
      return ids
    },

    async publish(record) {
      try {
        await publisher.publish({ topic, ...record })
        return 'acknowledged'
      } catch (error) {
        const code = error instanceof Error ? describe(error.cause).code : undefined
        if (code !== undefined && REFUSALS.has(code)) return 'refused'
        throw error
      }
    },

    async [Symbol.asyncDispose]() {
      closed = true
      const opened = await client?.catch(() => undefined)
      await Promise.all([
        publisher.close(),
        new Promise<void>(resolve => (opened === undefined ? resolve() : opened.disconnect(() => resolve()))),
      ])
    },
  }
}

function isBehind(end: NativePosition | undefined, partition: number, high: bigint): boolean {
  return end !== undefined && end.partition === partition && BigInt(end.offset) >= high
}
