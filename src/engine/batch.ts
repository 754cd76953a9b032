import { isOfDeadLetter } from './headers.ts'
import type { SourceRecord } from './record.ts'
import { withoutTraceContext } from './trace-context.ts'

export interface BatchLimits {
  readonly maxRecords: number
  /** Bytes of key and value together; one record beyond it is a batch of its own. */
  readonly maxBytes: number
  /** How long the oldest record may wait for company, in ms. */
  readonly lingerMs: number
}

/** Key, value and header bytes: what a record weighs in a buffer. */
export function sizeOf(record: SourceRecord): number {
  let size = (record.key?.length ?? 0) + (record.value?.length ?? 0)
  for (const [name, value] of record.headers) size += name.length + value.length
  return size
}

/**
 * Key, value and the producer's own headers: what a dead letter weighs, wherever it is read. The trace context is left out:
 * in the DLQ topic nothing shows whether it is the producer's, or was added where there was none.
 */
export function ownSizeOf(record: SourceRecord): number {
  const headers = withoutTraceContext(record.headers).filter(([name]) => !isOfDeadLetter(name))
  return sizeOf({ ...record, headers })
}

/**
 * How many of the waiting records make the next batch: as many as count and bytes allow, at least one.
 * @param records waiting, in offset order, from index `start` on
 */
export function batchLength(records: readonly SourceRecord[], start: number, limits: BatchLimits): number {
  let bytes = 0
  let length = 0
  for (let i = start; i < records.length && length < limits.maxRecords; i++) {
    const record = records[i]
    if (record === undefined) break
    bytes += sizeOf(record)
    if (length > 0 && bytes > limits.maxBytes) break
    length += 1
  }
  return length
}

/** What waits for a batch. Times in monotonic ms. */
export interface Waiting {
  readonly records: number
  readonly bytes: number
  /** Since when the oldest of them has waited. */
  readonly sinceMs: number
  /** When the last of them came. */
  readonly lastMs: number
  /** Since when the batch has been filling: the one before it was taken then, or its first record came. */
  readonly fillingSinceMs: number
  /** How many records the log is known to hold behind them. */
  readonly inSight: number
  /** Whether the client is known to hold more records, of whichever partition: the last poll has not taken all. */
  readonly isMoreFetched: boolean
}

/** How long a batch may wait in all for records that the log is known to hold, in ms. */
export const FILL_MS = 2_000
/** The same after its last record, when the client holds none: a fetch takes less, and what an open transaction hides never comes. */
export const FETCH_MS = 50
/** As part of a full batch: for fewer records it does not wait. In a trickle the log holds none, or the marker of a transaction. */
const WORTH_WAITING = 0.1

/**
 * When a batch should be closed, rather than wait for more, in monotonic ms: at once when it is full, after the linger when only the
 * producers could add to it, and later where the log holds more for it already. Short batches cost the store more a record.
 * @returns `-Infinity` when it is full, `Infinity` when nothing waits
 */
export function dueAtMs(waiting: Waiting, { maxRecords, maxBytes, lingerMs }: BatchLimits): number {
  if (waiting.records === 0) return Number.POSITIVE_INFINITY
  if (waiting.records >= maxRecords || waiting.bytes >= maxBytes) return Number.NEGATIVE_INFINITY
  const lingeredMs = waiting.sinceMs + lingerMs
  if (waiting.inSight < maxRecords * WORTH_WAITING) return lingeredMs
  const filledMs = waiting.fillingSinceMs + FILL_MS
  return Math.max(lingeredMs, waiting.isMoreFetched ? filledMs : Math.min(filledMs, waiting.lastMs + FETCH_MS))
}
