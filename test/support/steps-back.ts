import { setTimeout as wait } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { BrokerUnavailableError } from '#src/engine/errors.ts'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import type { Stream } from './stream.ts'

export interface Watch {
  /** @returns what it saw that should never be: a sentence for each. None is good. */
  end(): Promise<string[]>
  /** So often it looked. */
  readonly looks: number
}

const EVERY_MS = 100

/**
 * Watches a stream from outside while a test goes on: neither progress nor what Kafka holds as committed may ever go back,
 * and what is committed at one moment must be settled at a later one.
 */
export async function watchForStepsBack(stream: Stream): Promise<Watch> {
  const stopping = new AbortController()
  const connection = { brokers: [stream.brokers], security: {}, extra: {} }
  const inspector = await startInspector({ connection, groupId: stream.groupId })
  const partitions = await inspector.partitions(stream.topic)
  const seen = new Map<string, number>()
  const found: string[] = []
  let looks = 0

  function saw(what: string, partition: number, offset: number): void {
    const place = `${what} of partition ${partition}`
    const before = seen.get(place) ?? 0
    if (offset < before) found.push(`${place} went back from ${before} to ${offset}`)
    seen.set(place, offset)
  }

  async function look(): Promise<void> {
    const commits = await inspector.committed(partitions)
    const rows = await stream.query<{ partition: number; next_offset: string }>(
      'SELECT partition, next_offset FROM holdfast.stream_progress WHERE topic = $1 AND group_id = $2',
      [stream.topic, stream.groupId],
    )
    const progress = new Map(rows.map(row => [row.partition, Number(row.next_offset)]))
    for (const [partition, offset] of progress) saw('progress', partition, offset)
    for (const { partition, nextOffset } of commits) {
      saw('the committed offset', partition, Number(nextOffset))
      const settled = progress.get(partition) ?? 0
      if (nextOffset > settled) found.push(`partition ${partition}: committed ${nextOffset}, progress ${settled}`)
    }
    looks += 1
  }

  const looking = (async () => {
    while (!stopping.signal.aborted) {
      // A broker that is still finding the group's coordinator refuses the request; this round is skipped.
      await look().catch((error: unknown) => {
        if (!(error instanceof BrokerUnavailableError)) throw error
      })
      await wait(EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {})
    }
  })()
  // `close` rejects with the error; the empty handler prevents an unhandled rejection when the test failed before.
  looking.catch(() => {})

  async function close(): Promise<void> {
    stopping.abort()
    await looking.catch(() => {})
    await inspector[Symbol.asyncDispose]()
  }
  let closed: Promise<void> | undefined
  const closeOnce = () => (closed ??= close())
  onTestFinished(closeOnce)

  return {
    async end() {
      stopping.abort()
      await looking
      await closeOnce()
      return found
    },
    get looks() {
      return looks
    },
  }
}
