import type { CommitResult, Progress, RecordSource, SourceEvent, Watermarks } from '../core/ports.ts'
import { partitionKey, type TopicPartition } from '../core/record.ts'
import {
  call,
  connect,
  fromNative,
  type KafkaConnection,
  type NativeConsumer,
  type NativeError,
  type NativePosition,
  type NativeTopicPartition,
  nativeConsumer,
} from './client.ts'
import { CODE, describe, toStreamError } from './errors.ts'

export interface ConsumerOptions {
  readonly connection: KafkaConnection
  readonly topic: string
  readonly groupId: string
  /** Something the client complains of that is no failure: brokers that cannot be reached, mostly. */
  readonly onWarning: (message: string) => void
}

/** How long a question to the broker may take. */
const QUERY_TIMEOUT_MS = 5_000
const CONNECT_TIMEOUT_MS = 5_000

/** Reasons for each are in docs/guarantees.md and in the comments; the user's own properties come after and win. */
const PROPERTIES = {
  'enable.auto.commit': false,
  'enable.auto.offset.store': false,
  'partition.assignment.strategy': 'cooperative-sticky',
  'session.timeout.ms': 10_000,
  'heartbeat.interval.ms': 3_000,
  // Also the bound of a rebalance: well beyond a drain and the longest batch.
  'max.poll.interval.ms': 120_000,
  // What the client may prefetch: the memory bound of the native side.
  'queued.max.messages.kbytes': 16_384,
  // The default of one second stalls a drain whenever the queue has been full.
  'fetch.queue.backoff.ms': 5,
  // Larger fetches arrive partition by partition and starve the other lanes.
  'max.partition.fetch.bytes': 1_048_576,
  'fetch.wait.max.ms': 100,
  'isolation.level': 'read_committed',
  'check.crcs': true,
}

/**
 * A group consumer on the low-level client, as the port asks: everything happens inside `poll()`. The KafkaJS-style
 * consumer of the same package is not used, because it loses prefetched records on pause and reports commits as done
 * that the broker never saw.
 */
export function createConsumer(options: ConsumerOptions): RecordSource {
  const { connection, topic, groupId } = options
  const events: SourceEvent[] = []
  let client: NativeConsumer | undefined
  let commitWaiting: ((result: CommitResult) => void) | undefined
  let cooperative = true
  let closed = false
  const owned = new Map<string, TopicPartition>()
  const paused = new Map<string, TopicPartition>()

  function onRebalance(error: NativeError, partitions: NativeTopicPartition[]): void {
    const mine = partitions.map(({ topic, partition }) => ({ topic, partition }))
    if (error.code === CODE.assignPartitions) {
      // Asked here, because during close the client answers NONE.
      cooperative = client?.rebalanceProtocol() !== 'EAGER'
      events.push({ kind: 'assigned', partitions: mine })
    } else if (error.code === CODE.revokePartitions) {
      events.push({ kind: 'revoked', partitions: mine, lost: client?.assignmentLost() ?? true })
    } else {
      options.onWarning(`rebalance failed: ${error.message}`)
      events.push({ kind: 'revoked', partitions: [...owned.values()], lost: true })
    }
    // Nobody drains any more: an unanswered rebalance would make the client hang for ever.
    if (closed) answerAll()
  }

  function onCommitted(error: NativeError | null, _positions: NativePosition[]): void {
    const resolve = commitWaiting
    commitWaiting = undefined
    resolve?.(error ? { ok: false, code: error.code, message: error.message } : { ok: true })
  }

  function connected(): NativeConsumer {
    if (client === undefined) throw new Error('the consumer is not started')
    return client
  }

  function answerAll(): void {
    for (let event = events.shift(); event !== undefined; event = events.shift()) {
      try {
        if (event.kind === 'assigned') assign([])
        else if (event.kind === 'revoked') unassign(event.partitions)
      } catch (error) {
        // A client that is already disconnecting refuses an answer, and gives it by itself. Thrown out of its callback, the
        // refusal would end the process at once, and leave it hanging in the client's exit.
        options.onWarning(`answering a rebalance while leaving: ${describe(error).message}`)
      }
    }
  }

  function assign(positions: readonly Progress[]): void {
    const list = positions.map(toNative)
    for (const { topic, partition } of positions) owned.set(partitionKey({ topic, partition }), { topic, partition })
    if (cooperative) connected().incrementalAssign(list)
    else connected().assign(list)
  }

  function unassign(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) owned.delete(partitionKey(partition))
    // While it leaves, the client refuses, and nothing will come back to it.
    if (!closed) resume(partitions.filter(partition => paused.has(partitionKey(partition))))
    if (cooperative) connected().incrementalUnassign(partitions)
    else connected().unassign()
  }

  function pause(partitions: readonly TopicPartition[]): void {
    connected().pause(partitions)
    for (const partition of partitions) paused.set(partitionKey(partition), partition)
  }

  /**
   * Also what is taken away is resumed: the client keeps a pause beyond the assignment that it was made for, and a
   * partition that came back would be fetched never again, without a word.
   */
  function resume(partitions: readonly TopicPartition[]): void {
    if (partitions.length === 0) return
    connected().resume(partitions)
    for (const partition of partitions) paused.delete(partitionKey(partition))
  }

  return {
    async start() {
      const consumer = nativeConsumer(
        connection,
        { ...PROPERTIES, ...connection.extra, 'group.id': groupId },
        {
          rebalance: onRebalance,
          committed: onCommitted,
        },
      )
      consumer.on('event.error', (error: NativeError) => options.onWarning(error.message))
      try {
        await connect(consumer, CONNECT_TIMEOUT_MS)
      } catch (error) {
        consumer.disconnect(() => {})
        throw toStreamError(error, `connecting to ${connection.brokers.join(',')}`)
      }
      // Wait for the first record only; take what is ready after it. Otherwise each record may cost a whole timeout.
      consumer.setDefaultIsTimeoutOnlyForFirstMessage(true)
      client = consumer
      consumer.subscribe([topic])
    },

    poll(max, timeoutMs) {
      const consumer = connected()
      consumer.setDefaultConsumeTimeout(timeoutMs)
      return new Promise((resolve, reject) => {
        consumer.consume(max, (error, records) => {
          if (!error) return resolve(records.map(fromNative))
          if (error.code === CODE.autoOffsetReset) {
            events.push({ kind: 'out_of_range' })
            return resolve([])
          }
          const translated = toStreamError(error, 'reading')
          if (translated.disposition === 'halt') return reject(translated)
          // Everything else heals by itself inside the client, or comes back as a rebalance.
          options.onWarning(`reading: ${error.message} (code ${error.code})`)
          return resolve([])
        })
      })
    },

    nextEvent: () => events.shift(),
    assign,
    unassign,
    pause,
    resume,

    async seek(to) {
      await call(done => connected().seek(toNative(to), QUERY_TIMEOUT_MS, done)).catch((error: unknown) => {
        throw toStreamError(error, `moving ${partitionKey(to)} to ${to.nextOffset}`)
      })
    },

    commit(positions) {
      if (commitWaiting !== undefined) throw new Error('one commit at a time')
      return new Promise(resolve => {
        commitWaiting = resolve
        try {
          connected().commit(positions.map(toNative))
        } catch (error) {
          commitWaiting = undefined
          const { code, message } = describe(error)
          resolve({ ok: false, code: code ?? -1, message })
        }
      })
    },

    async committed(partitions) {
      if (partitions.length === 0) return []
      const positions = await call<(NativeTopicPartition & { offset?: number })[]>(done =>
        connected().committed(partitions, QUERY_TIMEOUT_MS, done),
      ).catch((error: unknown) => {
        throw toStreamError(error, 'reading committed offsets')
      })
      return positions.flatMap(({ topic, partition, offset }) =>
        offset === undefined || offset < 0 ? [] : [{ topic, partition, nextOffset: BigInt(offset) }],
      )
    },

    async watermarks({ topic, partition }): Promise<Watermarks> {
      const marks = await call<{ lowOffset: number; highOffset: number }>(done =>
        connected().queryWatermarkOffsets(topic, partition, QUERY_TIMEOUT_MS, done),
      ).catch((error: unknown) => {
        throw toStreamError(error, `reading the watermarks of ${partitionKey({ topic, partition })}`)
      })
      return { low: BigInt(marks.lowOffset), high: BigInt(marks.highOffset) }
    },

    cachedWatermarks({ topic, partition }) {
      try {
        const { lowOffset, highOffset } = connected().getWatermarkOffsets(topic, partition)
        return lowOffset < 0 || highOffset < 0 ? undefined : { low: BigInt(lowOffset), high: BigInt(highOffset) }
      } catch {
        // The client knows none before its first fetch of the partition.
        return undefined
      }
    },

    async close() {
      if (closed || client === undefined) {
        closed = true
        return
      }
      closed = true
      const leaving = client
      answerAll()
      await new Promise<void>(resolve => leaving.disconnect(() => resolve()))
    },
  }
}

function toNative({ topic, partition, nextOffset }: Progress): NativePosition {
  return { topic, partition, offset: Number(nextOffset) }
}
