import type { HeadReader, Progress } from '../core/ports.ts'
import { partitionKey } from '../core/record.ts'
import {
  call,
  connect,
  type KafkaConnection,
  type NativeConsumer,
  type NativeRecord,
  nativeConsumer,
} from './client.ts'
import { CODE, describe, toStreamError } from './errors.ts'

const CONNECT_TIMEOUT_MS = 5_000
const QUERY_TIMEOUT_MS = 5_000
/** How long a record may take to come. Where there is none, the end of the partition says so at once. */
const READ_TIMEOUT_MS = 2_000

/** A single record is all that is wanted: no more memory and network than one fetch takes. */
const PROPERTIES = {
  'enable.auto.commit': false,
  'enable.auto.offset.store': false,
  'enable.partition.eof': true,
  'isolation.level': 'read_committed',
  'queued.min.messages': 1,
  'queued.max.messages.kbytes': 1_024,
  // A larger batch comes whole all the same.
  'max.partition.fetch.bytes': 16_384,
  'fetch.wait.max.ms': 100,
}

/**
 * Reads single records with a client of its own that is no member of any group. It connects when it is first asked, and
 * anew after a failure. One question at a time: others wait.
 */
export function createHeadReader(options: {
  readonly connection: KafkaConnection
  /** Only named: who may read for the group may read here. */
  readonly groupId: string
}): HeadReader {
  let client: NativeConsumer | undefined
  let queue: Promise<unknown> = Promise.resolve()
  let closed = false

  async function connected(): Promise<NativeConsumer> {
    if (client !== undefined) return client
    const { connection, groupId } = options
    const opened = nativeConsumer(
      connection,
      { ...connection.extra, ...PROPERTIES, 'group.id': groupId },
      { rebalance: () => {}, committed: () => {} },
    )
    opened.on('event.error', () => {})
    try {
      await connect(opened, CONNECT_TIMEOUT_MS)
    } catch (error) {
      opened.disconnect(() => {})
      throw toStreamError(error, `connecting to ${connection.brokers.join(',')}`)
    }
    opened.setDefaultIsTimeoutOnlyForFirstMessage(true)
    opened.setDefaultConsumeTimeout(READ_TIMEOUT_MS)
    client = opened
    return opened
  }

  async function drop(): Promise<void> {
    const gone = client
    client = undefined
    if (gone !== undefined) await new Promise<void>(resolve => gone.disconnect(resolve))
  }

  async function read({ topic, partition, nextOffset }: Progress): Promise<number | undefined> {
    const doing = `looking at ${partitionKey({ topic, partition })}, offset ${nextOffset}`
    const reader = await connected()
    try {
      reader.assign([{ topic, partition, offset: Number(nextOffset) }])
      const [record] = await call<NativeRecord[]>(done => reader.consume(1, done))
      if (record !== undefined) return record.timestamp
      // No record, or nobody there to give one? A client that found no broker looks just like it.
      await call<object>(done => reader.queryWatermarkOffsets(topic, partition, QUERY_TIMEOUT_MS, done))
      return undefined
    } catch (error) {
      // Retention was faster, or the topic was made anew: no such record.
      if (describe(error).code === CODE.autoOffsetReset) return undefined
      void drop()
      throw toStreamError(error, doing)
    } finally {
      if (client === reader) reader.unassign()
    }
  }

  return {
    timestampAt(at) {
      const asked = queue.then(() => {
        if (closed) throw toStreamError(new Error('the reader is closed'), 'looking at a record')
        return read(at)
      })
      queue = asked.catch(() => {})
      return asked
    },
    async [Symbol.asyncDispose]() {
      closed = true
      await queue
      await drop()
    },
  }
}
