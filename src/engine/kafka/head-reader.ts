import { UnreadableBatchError } from '../errors.ts'
import { runningLifecycle } from '../lifecycle.ts'
import type { Head, HeadReader, Progress } from '../ports.ts'
import type { KafkaConnection } from './client.ts'
import { toStreamError } from './errors.ts'
import { openPartitionReader, type PartitionReader } from './partition-reader.ts'

/**
 * Reads single records with a client of its own that is no member of any group. It connects when it is first asked, and
 * again after a failure: a client may lose its brokers for good. One question at a time: others wait.
 */
export function createHeadReader(options: {
  readonly connection: KafkaConnection
  readonly topic: string
  /** Only named: who may read for the group may read here. */
  readonly groupId: string
}): HeadReader {
  let reader: PartitionReader | undefined
  let queue: Promise<unknown> = Promise.resolve()

  async function drop(): Promise<void> {
    const gone = reader
    reader = undefined
    await gone?.[Symbol.asyncDispose]()
  }

  const lifecycle = runningLifecycle(async () => {
    // What is asked now ends with its client.
    await drop()
    await queue
  })

  async function read({ partition, nextOffset }: Progress): Promise<Head> {
    try {
      reader ??= await openPartitionReader({ ...options, onlyHeads: true })
      if (lifecycle.stopping.aborted) throw toStreamError(new Error('the reader was closed'), 'looking at a record')
      const { low, high } = await reader.watermarks(partition)
      const from = nextOffset < low ? low : nextOffset
      if (from >= high) return { emptyTo: from }
      return await headOf(reader, partition, from, high)
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
    [Symbol.asyncDispose]: lifecycle.stop,
  }
}

/**
 * The first record in `[from, high)`.
 * @throws UnreadableBatchError that names the offset behind the batch, and the command that skips it
 */
export async function headOf(reader: PartitionReader, partition: number, from: bigint, high: bigint): Promise<Head> {
  try {
    const reading = reader.read(partition, from, high)
    const first = await reading.next()
    if (first.done) return { emptyTo: first.value }
    await reading.return(from)
    return { timestampMs: first.value.timestampMs }
  } catch (error) {
    if (!(error instanceof UnreadableBatchError)) throw error
    const end = await endOfUnreadable(reader, partition, from, high)
    throw new UnreadableBatchError(
      `${error.message}. What stands before it is settled. Bring the partition back from a healthy replica, or skip the batch and lose ` +
        `what the offsets ${from} to ${end - 1n} held: holdfast seek --partition ${partition} --to ${end} --because "…"`,
      { cause: error },
    )
  }
}

/** Where reading can go on: steps double until something can be read, then they halve. A batch may hold thousands of records. */
async function endOfUnreadable(
  reader: PartitionReader,
  partition: number,
  from: bigint,
  high: bigint,
): Promise<bigint> {
  let unreadable = from
  let end = high
  for (let step = 1n; unreadable + step < high; step *= 2n) {
    if (await canRead(reader, partition, unreadable + step, high)) {
      end = unreadable + step
      break
    }
    unreadable += step
  }
  while (end - unreadable > 1n) {
    const middle = (unreadable + end) / 2n
    if (await canRead(reader, partition, middle, high)) end = middle
    else unreadable = middle
  }
  return end
}

async function canRead(reader: PartitionReader, partition: number, from: bigint, high: bigint): Promise<boolean> {
  try {
    for await (const _ of reader.read(partition, from, high)) break
    return true
  } catch (error) {
    if (error instanceof UnreadableBatchError) return false
    throw error
  }
}
