import { BrokerUnavailableError } from '../../engine/errors.ts'
import { HEADER, headerText } from '../../engine/headers.ts'
import type { KafkaConnection } from '../../engine/kafka/client.ts'
import { CODE, describe } from '../../engine/kafka/errors.ts'
import { heldPart, openPartitionReader, type PartitionReader } from '../../engine/kafka/partition-reader.ts'
import { createPublisher } from '../../engine/kafka/publisher.ts'
import type { SendTracing } from '../../engine/tracing.ts'
import { REDRIVE_DELIVERY_TIMEOUT_MS, type RedriveTopic } from '../redrive-work.ts'

export interface RedriveTopicOptions {
  readonly connection: KafkaConnection
  readonly topic: string
  readonly onWarning?: (message: string) => void
  readonly tracing?: SendTracing
}

const TIMEOUT_MS = 5_000
/** A record that is refused with one of these codes would be refused again. */
const REFUSALS: ReadonlySet<number> = new Set([
  CODE.recordTooLarge,
  CODE.invalidTimestamp,
  CODE.invalidRecord,
  CODE.unknownPartition,
])

/** Named to the broker when the topic is read. It is never joined, and nothing is committed. */
const GROUP_ID = 'holdfast-replays'

/**
 * The topic to which a redrive publishes, and in which it finds what it has published. Connects with the first call. Records of
 * redrives are written without transactions, so the topic is read up to its end, past the open transactions of other producers.
 */
export function createRedriveTopic({ connection, topic, onWarning, tracing }: RedriveTopicOptions): RedriveTopic {
  const publisher = createPublisher({
    connection,
    deliveryTimeoutMs: REDRIVE_DELIVERY_TIMEOUT_MS,
    connectTimeoutMs: TIMEOUT_MS,
    ...(onWarning === undefined ? {} : { onWarning }),
    ...(tracing === undefined ? {} : { tracing }),
  })
  let opening: Promise<PartitionReader> | undefined
  let closed = false

  function open(): Promise<PartitionReader> {
    if (closed) throw new BrokerUnavailableError('the reader is closed')
    if (opening !== undefined) return opening
    const opened = openPartitionReader({ connection, topic, groupId: GROUP_ID, uncommitted: true })
    opening = opened
    // This caller gets the error; the next call connects again.
    opened.catch(() => {
      if (opening === opened) opening = undefined
    })
    return opened
  }

  return {
    async ends(partitions) {
      const reader = await open()
      const existing = new Set(await reader.partitions())
      // A topic that was created again may have fewer partitions: a record for one that is missing is refused when it is sent.
      const known = partitions.filter(partition => existing.has(partition))
      const ends = await Promise.all(
        known.map(async partition => [partition, (await reader.watermarks(partition)).high] as const),
      )
      return new Map(ends)
    },

    async published(redriveId, since) {
      const reader = await open()
      const ids = new Set<string>()
      for (const [partition, mark] of since) {
        const ends = await reader.watermarks(partition)
        const { from, to } = heldPart({ from: mark, to: ends.high }, ends)
        if (from >= to) continue
        for await (const record of reader.read(partition, from, to)) {
          const id = headerText(record, HEADER.id)
          if (id !== undefined && headerText(record, HEADER.redriveId) === redriveId) ids.add(id)
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
      const reader = await opening?.catch(() => undefined)
      await Promise.all([publisher.close(), reader?.[Symbol.asyncDispose]()])
    },
  }
}
