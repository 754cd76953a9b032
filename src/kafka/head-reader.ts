import type { Head, HeadReader, Progress } from '../core/ports.ts'
import type { KafkaConnection } from './client.ts'
import { toStreamError } from './errors.ts'
import { openPartitionReader, type PartitionReader } from './partition-reader.ts'

/**
 * Reads single records with a client of its own that is no member of any group. It connects when it is first asked, and
 * anew after a failure: a client may lose its brokers for good. One question at a time: others wait.
 */
export function createHeadReader(options: {
  readonly connection: KafkaConnection
  readonly topic: string
  /** Only named: who may read for the group may read here. */
  readonly groupId: string
}): HeadReader {
  let reader: PartitionReader | undefined
  let queue: Promise<unknown> = Promise.resolve()
  let closed = false

  async function drop(): Promise<void> {
    const gone = reader
    reader = undefined
    await gone?.[Symbol.asyncDispose]()
  }

  async function read({ partition, nextOffset }: Progress): Promise<Head> {
    try {
      reader ??= await openPartitionReader({ ...options, onlyHeads: true })
      if (closed) throw toStreamError(new Error('the reader was closed'), 'looking at a record')
      const { low, high } = await reader.watermarks(partition)
      const from = nextOffset < low ? low : nextOffset
      if (from >= high) return { emptyTo: from }
      const reading = reader.read(partition, from, high)
      const first = await reading.next()
      if (first.done) return { emptyTo: first.value }
      await reading.return(from)
      return { timestampMs: first.value.timestampMs }
    } catch (error) {
      void drop()
      throw error
    }
  }

  return {
    headAt(at) {
      const asked = queue.then(() => read(at))
      queue = asked.catch(() => {})
      return asked
    },
    async [Symbol.asyncDispose]() {
      closed = true
      // What is asked now ends with its client.
      await drop()
      await queue
    },
  }
}
