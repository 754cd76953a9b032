import { type BatchLimits, batchLength, sizeOf } from '../batch.ts'
import type { SourceRecord } from '../record.ts'

/** Records of one partition that wait for a batch, in the order of their offsets. */
export interface Buffer {
  readonly length: number
  readonly bytes: number
  readonly first: SourceRecord | undefined
  readonly last: SourceRecord | undefined
  /** @returns whether it was taken: not when the last one that waits has that offset, or a later one */
  push(record: SourceRecord): boolean
  /** Removes as many as make the next batch; none when none waits. */
  take(limits: BatchLimits): SourceRecord[]
  /** The records that were taken last stand in front again. */
  putBack(records: readonly SourceRecord[]): void
  clear(): void
}

export function createBuffer(): Buffer {
  let records: SourceRecord[] = []
  // Taken records stay in the array until half of it is taken: shifting one by one would be quadratic.
  let start = 0
  let bytes = 0

  return {
    get length() {
      return records.length - start
    },
    get bytes() {
      return bytes
    },
    get first() {
      return records[start]
    },
    get last() {
      return records.length > start ? records.at(-1) : undefined
    },
    push(record) {
      const last = records.at(-1)
      if (records.length > start && last !== undefined && record.offset <= last.offset) return false
      records.push(record)
      bytes += sizeOf(record)
      return true
    },
    take(limits) {
      const length = batchLength(records, start, limits)
      const taken = records.slice(start, start + length)
      start += length
      if (start * 2 > records.length) {
        records = records.slice(start)
        start = 0
      }
      for (const record of taken) bytes -= sizeOf(record)
      return taken
    },
    putBack(rest) {
      records = [...rest, ...records.slice(start)]
      start = 0
      for (const record of rest) bytes += sizeOf(record)
    },
    clear() {
      records = []
      start = 0
      bytes = 0
    },
  }
}
