import type { Clock } from '../engine/ports.ts'
import type { Header } from '../engine/record.ts'

/** A record to be sent. */
export interface RecordToSend {
  readonly topic: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly Header[]
}

/** The part of a Kafka producer that sending needs. */
export interface RecordPublisher {
  /** Resolves once all in-sync replicas have it. @throws BrokerUnavailableError */
  produce(record: RecordToSend): Promise<unknown>
}

export interface PublishParts {
  readonly publisher: RecordPublisher
  readonly clock: Clock
  /** Records a second; without it as fast as the broker acknowledges them. */
  readonly ratePerSecond?: number | undefined
  /** Ends the run after the records that are under way. */
  readonly signal: AbortSignal
  readonly onProgress?: (produced: number, seconds: number) => void
  /** With it, records that fail are dropped, and those after them are sent. Without it the first failure ends the run. */
  readonly onFailure?: (error: unknown) => void
}

export interface PublishResult {
  /** Acknowledged. */
  readonly produced: number
  readonly failed: number
  readonly seconds: number
  /** Why the first one failed. */
  readonly error?: unknown
}

/** Records sent and awaited together: enough to fill the client's batches, few enough to stop soon. */
const CHUNK = 1_000

/**
 * Sends records until they end, the signal aborts, or one fails (but see `onFailure`): a broker that is away fails them all,
 * each after its full delivery timeout.
 */
export async function publish(records: Iterable<RecordToSend>, parts: PublishParts): Promise<PublishResult> {
  const { publisher, clock, ratePerSecond, signal } = parts
  const source = records[Symbol.iterator]()
  const started = clock.monotonic()
  const elapsed = () => (clock.monotonic() - started) / 1000
  let taken = 0
  let produced = 0
  let failed = 0

  while (!signal.aborted) {
    const due = ratePerSecond === undefined ? CHUNK : Math.floor(elapsed() * ratePerSecond) + 1 - taken
    if (ratePerSecond !== undefined && due <= 0) {
      // At least 1 ms: a wait that rounding makes shorter would never end.
      await clock.sleep(Math.max(1, Math.ceil((taken / ratePerSecond - elapsed()) * 1000)), signal)
      continue
    }
    const chunk = take(source, Math.min(due, CHUNK))
    if (chunk.length === 0) break
    taken += chunk.length
    const results = await Promise.allSettled(chunk.map(record => publisher.produce(record)))
    const failures = results.filter(result => result.status === 'rejected')
    produced += chunk.length - failures.length
    parts.onProgress?.(produced, elapsed())
    const [first] = failures
    failed += failures.length
    if (first === undefined) continue
    if (parts.onFailure === undefined) return { produced, failed, seconds: elapsed(), error: first.reason }
    parts.onFailure(first.reason)
  }
  return { produced, failed, seconds: elapsed() }
}

function take<T>(source: Iterator<T>, count: number): T[] {
  const taken: T[] = []
  while (taken.length < count) {
    const next = source.next()
    if (next.done) break
    taken.push(next.value)
  }
  return taken
}
