import { readHeader } from './headers.ts'
import type { Origin, SourceRecord } from './record.ts'

/** Where a record comes from. */
export interface Provenance {
  /** Where it first stood. */
  readonly origin: Origin
  /** How often it has been redriven. */
  readonly replayCount: number
  /** The redrive that brought it here. */
  readonly replayId: string | undefined
}

/**
 * A redriven record says in its headers where it first stood (`holdfast.id` and `holdfast.timestamp`), and counts
 * with that position: an old version that is redriven must not overwrite a newer one. Headers that cannot be read are
 * ignored: then the record stands for itself.
 */
export function provenanceOf(record: SourceRecord): Provenance {
  // The plain case, in the hot path: no headers at all.
  if (record.headers.length === 0) return { origin: record, replayCount: 0, replayId: undefined }
  const position = readHeader(record, 'id')
  const timestampMs = readHeader(record, 'timestamp')
  if (position === undefined || timestampMs === undefined) {
    return { origin: record, replayCount: 0, replayId: undefined }
  }
  return {
    origin: { ...position, timestampMs },
    replayCount: readHeader(record, 'replayCount') ?? 0,
    replayId: readHeader(record, 'replayId'),
  }
}
