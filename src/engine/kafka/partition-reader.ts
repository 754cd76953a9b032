import { BrokerUnavailableError, UnreadableBatchError } from '../errors.ts'
import type { Watermarks } from '../ports.ts'
import type { SourceRecord } from '../record.ts'
import { type KafkaConnection, nativeConsumer } from './client.ts'
import { connect } from './connect.ts'
import { CODE, describe, toConnectError, toStreamError, unreadableBecause } from './errors.ts'
import { call, type NativePosition, type NativeRecord } from './native.ts'
import { fromNative } from './native-records.ts'
import { askPartitions, askWatermarks } from './questions.ts'

/**
 * Reads a topic without being a member of a group: nothing is committed, no group is rebalanced. One reading at a time.
 * @throws BrokerUnavailableError BrokerFatalError, as every method does
 */
export interface PartitionReader extends AsyncDisposable {
  /** Ids of the topic's partitions, ascending; none when there is no such topic. */
  partitions(): Promise<number[]>
  watermarks(partition: number): Promise<Watermarks>
  /**
   * The records that stand in `[from, to)` of a partition, in order. Both must lie within the watermarks. Ends where the
   * partition does, when the last offsets hold no record (transaction markers, compaction).
   * @throws UnreadableBatchError with the offset of a batch that is damaged
   * @param only offsets that are wanted; the others are read over, and cost less
   * @returns the offset, at most `to`, below which all was read: behind the last record up to there stands none
   */
  read(
    partition: number,
    from: bigint,
    to: bigint,
    only?: { has(offset: bigint): boolean },
  ): AsyncGenerator<SourceRecord, bigint, undefined>
}

const ASK_TIMEOUT_MS = 5_000
/** Nothing came for so long, and no end either: the broker is away. */
const SILENCE_MS = 15_000
/** What the client fetches ahead: a reading may go on slowly, and several may be under way. */
const FETCH_AHEAD_KIB = 8 * 1024
/** A larger batch comes whole all the same. */
const ONLY_HEADS = { 'queued.min.messages': 1, 'queued.max.messages.kbytes': 1, 'max.partition.fetch.bytes': 16_384 }
const CONSUME_TIMEOUT_MS = 200
/** Errors of a reading that has ended are there at once. */
const LEFTOVER_TIMEOUT_MS = 20

export async function openPartitionReader(options: {
  readonly connection: KafkaConnection
  readonly topic: string
  /** Named to the broker only: rights may hang on it. It is never joined. */
  readonly groupId: string
  /** Readings are broken off after their first record: no more is fetched than comes with it. */
  readonly onlyHeads?: boolean
  /** Records of open and aborted transactions are read as well, and watermarks end with the log. Default: no. */
  readonly uncommitted?: boolean
}): Promise<PartitionReader> {
  const { connection, topic, onlyHeads = false, uncommitted = false } = options
  /** Where a partition was found to end, since the last assignment. */
  let end: NativePosition | undefined
  const client = nativeConsumer(
    connection,
    {
      'group.id': options.groupId,
      'enable.auto.commit': false,
      'enable.partition.eof': true,
      // A record of an open transaction, or of one that was aborted, is none: watermarks end before the first open one.
      'isolation.level': uncommitted ? 'read_uncommitted' : 'read_committed',
      'fetch.wait.max.ms': 100,
      'queued.max.messages.kbytes': FETCH_AHEAD_KIB,
      // Short readings follow one another, failed ones too: the defaults make them wait for half a second and a whole one.
      'fetch.error.backoff.ms': 10,
      'fetch.queue.backoff.ms': 5,
      ...(onlyHeads ? ONLY_HEADS : {}),
    },
    { rebalance: () => {}, committed: () => {} },
  )
  client.on('event.error', () => {})
  client.on('partition.eof', (at: NativePosition) => {
    end = at
  })
  try {
    await connect(client, ASK_TIMEOUT_MS)
  } catch (error) {
    client.disconnect(() => {})
    throw toConnectError(error, connection.brokers, client)
  }
  client.setDefaultIsTimeoutOnlyForFirstMessage(true)
  client.setDefaultConsumeTimeout(CONSUME_TIMEOUT_MS)

  /**
   * After a damaged batch the client goes on at an offset that it took from its bytes, and fails there once more. Those errors
   * would be taken for those of the next reading.
   */
  async function forgetFailures(): Promise<void> {
    client.unassign()
    client.setDefaultConsumeTimeout(LEFTOVER_TIMEOUT_MS)
    for (let quiet = false, tries = 0; !quiet && tries < 10; tries++) {
      quiet = await call<NativeRecord[]>(done => client.consume(1, done)).then(
        records => records.length === 0,
        () => false,
      )
    }
    client.setDefaultConsumeTimeout(CONSUME_TIMEOUT_MS)
  }

  async function consume(partition: number, next: bigint, max: number, tries = 1): Promise<NativeRecord[]> {
    try {
      return await call<NativeRecord[]>(done => client.consume(max, done))
    } catch (error) {
      // The event is from an earlier reading, whose errors have no version by which the client would drop them.
      if (describe(error).code === CODE.autoOffsetReset && tries < 3) {
        await forgetFailures()
        client.assign([{ topic, partition, offset: Number(next) }])
        return await consume(partition, next, max, tries + 1)
      }
      const why = unreadableBecause(error)
      if (why !== undefined) await forgetFailures()
      if (why === undefined) throw toStreamError(error, `reading ${topic}-${partition}`, client)
      throw new UnreadableBatchError(`${topic}-${partition}: the batch at offset ${next} cannot be read: ${why}`, {
        cause: error,
      })
    }
  }

  return {
    partitions: () => askPartitions(client, topic, ASK_TIMEOUT_MS),
    watermarks: partition => askWatermarks(client, { topic, partition }, ASK_TIMEOUT_MS),

    async *read(partition, from, to, only) {
      let next = from
      let heardAtMs = performance.now()
      end = undefined
      client.assign([{ topic, partition, offset: Number(from) }])
      try {
        while (next < to) {
          const wanted = Number(to - next)
          const records = await consume(partition, next, Math.min(wanted, onlyHeads ? 1 : 1_000))
          for (const native of records) {
            const offset = BigInt(native.offset)
            if (offset >= to) return to
            next = offset + 1n
            if (only === undefined || only.has(offset)) yield fromNative(native)
          }
          if (records.length > 0) heardAtMs = performance.now()
          else if (endsAt(end, partition) >= to) return to
          else if (endsAt(end, partition) >= next) return endsAt(end, partition)
          else if (performance.now() - heardAtMs > SILENCE_MS) {
            throw new BrokerUnavailableError(`Kafka, reading ${topic}-${partition}: nothing came after offset ${next}`)
          }
        }
        return to
      } finally {
        client.unassign()
      }
    },

    [Symbol.asyncDispose]: () => new Promise(resolve => client.disconnect(() => resolve())),
  }
}

/** Offsets of a partition: `from` is the first, `to` is behind the last. */
interface OffsetRange {
  readonly from: bigint
  readonly to: bigint
}

/**
 * The part of a range that the partition holds: retention may have deleted what is below `low`, and a topic that was created again may
 * end before `to`.
 * @returns a range whose `from` is not less than its `to` when the partition holds nothing of it
 */
export function heldPart(range: OffsetRange, { low, high }: Watermarks): OffsetRange {
  return { from: range.from > low ? range.from : low, to: range.to < high ? range.to : high }
}

function endsAt(end: NativePosition | undefined, partition: number): bigint {
  return end?.partition === partition ? BigInt(end.offset) : -1n
}
