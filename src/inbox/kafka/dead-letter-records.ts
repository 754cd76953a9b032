import { BrokerUnavailableError } from '../../engine/errors.ts'
import type { KafkaConnection } from '../../engine/kafka/client.ts'
import { heldPart, openPartitionReader, type PartitionReader } from '../../engine/kafka/partition-reader.ts'
import type { Watermarks } from '../../engine/ports.ts'
import type { SourceRecord } from '../../engine/record.ts'
import { type Omission, omissionOf, whole } from '../omission.ts'
import type { DeadLetterRecords, DlqPlace } from '../ports.ts'
import { deadLetterIdOf } from '../reading.ts'
import { type PlaceRun, placeRuns } from '../runs.ts'
import { sha256 } from './dead-letter-sink.ts'

interface Found {
  readonly id: string
  readonly record: SourceRecord
}

/** Rather read over so many records than move: a move costs a request, and what was fetched ahead. */
const MAX_GAP = 100
/** Readings at once; each has a client of its own. Further ones wait. */
const MAX_READERS = 4

/**
 * The bytes of dead letters, out of their topic. Clients are opened when they are needed and used again; one that failed is
 * thrown away, because a client that lost all brokers may never find them again. What stands at a place under another id (the
 * topic was recreated) is not the letter that was asked for, and counts as gone. One without its value is completed from the
 * source topic, and counts as gone when that does not hold it any more.
 */
export function createDeadLetterRecords(options: {
  readonly connection: KafkaConnection
  readonly topic: string
  /** Where the bytes of letters lie that were too large for the dead-letter topic. */
  readonly sourceTopic: string
  readonly groupId: string
}): DeadLetterRecords {
  const idle: PartitionReader[] = []
  const waiting: (() => void)[] = []
  let open = 0
  let closed = false

  async function* read(places: readonly DlqPlace[]): AsyncIterable<Found> {
    await using parts = new AsyncDisposableStack()
    let source: PartitionReader | undefined
    for await (const { id, record } of readLetters(places)) {
      const omission = omissionOf(record)
      if (omission === undefined) yield { id, record }
      else if (omission.at.topic === options.sourceTopic) {
        source ??= parts.use(await openPartitionReader({ ...options, topic: options.sourceTopic, onlyHeads: true }))
        const found = await wholeOf(source, record, omission)
        if (found !== undefined) yield { id, record: found }
      }
    }
  }

  async function* readLetters(places: readonly DlqPlace[]): AsyncIterable<Found> {
    let left = places
    while (left.length > 0) {
      const { reader, used } = await lend()
      const done = new Set<string>()
      // The caller may stop early; the client can be used again.
      let healthy = true
      try {
        for await (const found of readWith(reader, left)) {
          done.add(found.id)
          yield found
        }
        return
      } catch (error) {
        healthy = false
        // A client that was idle for a while, or broke midway: once more, with another one. What was found is not asked for
        // again, so this ends.
        const mayHelp = error instanceof BrokerUnavailableError && (used || done.size > 0)
        if (!mayHelp || closed) throw error
        left = left.filter(({ id }) => !done.has(id))
      } finally {
        giveBack(reader, healthy)
      }
    }
  }

  /** A free client, or a new one. */
  async function lend(): Promise<{ readonly reader: PartitionReader; readonly used: boolean }> {
    for (;;) {
      if (closed) throw new BrokerUnavailableError('the reader of dead letters is closed')
      const reader = idle.pop()
      if (reader !== undefined) return { reader, used: true }
      if (open < MAX_READERS) break
      await new Promise<void>(resolve => waiting.push(resolve))
    }
    open += 1
    try {
      return { reader: await openPartitionReader(options), used: false }
    } catch (error) {
      open -= 1
      waiting.shift()?.()
      throw error
    }
  }

  function giveBack(reader: PartitionReader, healthy: boolean): void {
    if (healthy && !closed) idle.push(reader)
    else {
      open -= 1
      // Not awaited: a client without brokers may take long.
      void reader[Symbol.asyncDispose]()
    }
    waiting.shift()?.()
  }

  return {
    read,
    async [Symbol.asyncDispose]() {
      closed = true
      for (const wake of waiting.splice(0)) wake()
      await Promise.all(idle.splice(0).map(reader => reader[Symbol.asyncDispose]()))
    },
  }
}

/** `undefined`: retention took the record, or another one stands there. */
async function wholeOf(
  source: PartitionReader,
  letter: SourceRecord,
  omission: Omission,
): Promise<SourceRecord | undefined> {
  const { partition, offset } = omission.at
  if (!(await source.partitions()).includes(partition)) return undefined
  const { low, high } = await source.watermarks(partition)
  if (offset < low || offset >= high) return undefined
  for await (const record of source.read(partition, offset, offset + 1n)) return whole(letter, omission, record, sha256)
  return undefined
}

async function* readWith(reader: PartitionReader, places: readonly DlqPlace[]): AsyncIterable<Found> {
  const existing = new Set(await reader.partitions())
  let marks: { readonly partition: number; readonly at: Watermarks } | undefined
  for (const run of placeRuns(places, MAX_GAP)) {
    if (!existing.has(run.partition)) continue
    if (marks?.partition !== run.partition) {
      marks = { partition: run.partition, at: await reader.watermarks(run.partition) }
    }
    for await (const record of readRun(reader, run, marks.at)) {
      const id = run.wanted.get(record.offset)
      if (id !== undefined && deadLetterIdOf(record) === id) yield { id, record }
    }
  }
}

async function* readRun(reader: PartitionReader, run: PlaceRun, marks: Watermarks): AsyncIterable<SourceRecord> {
  const { from, to } = heldPart(run, marks)
  if (from < to) yield* reader.read(run.partition, from, to, run.wanted)
}
