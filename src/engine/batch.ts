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

/** Whether a batch should be closed now, rather than wait for more. */
export function isDue(waiting: { records: number; bytes: number; ageMs: number }, limits: BatchLimits): boolean {
  if (waiting.records === 0) return false
  return waiting.records >= limits.maxRecords || waiting.bytes >= limits.maxBytes || waiting.ageMs >= limits.lingerMs
}
