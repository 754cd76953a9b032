import type { Reason } from '../engine/dead-letter.ts'
import { readHeader } from '../engine/headers.ts'
import { type Origin, originId, type SourceRecord } from '../engine/record.ts'
import { MAX_INSTANT_MS } from '../engine/timestamp.ts'
import { type ForeignHeaders, readForeignHeaders } from './foreign-dead-letter.ts'
import type { WrittenBy } from './ports.ts'

/** A record of the DLQ topic, read back: what its headers say of the letter, by whatever program. */
export interface DeadLetterReading {
  readonly writtenBy: WrittenBy
  readonly id: string
  /** Where the record first stood; its place in the DLQ topic when its writer does not say. */
  readonly origin: Origin
  readonly groupId: string
  /** `undefined`: its writer does not know our reasons. */
  readonly reason: Reason | undefined
  /** Stable code of ours, or the simple name of an exception; `''` when there is none. */
  readonly error: string
  readonly pointer: string
  readonly message: string
  readonly failedAtMs: number
  readonly attempts: number
  readonly redriveCount: number
  readonly redriveId: string | undefined
}

/** Never throws: what cannot be read is left out, and what says nothing at all is a dead letter of unknown origin. */
export function readDeadLetter(record: SourceRecord): DeadLetterReading {
  return readOurs(record) ?? readForeign(record, readForeignHeaders(record))
}

/** By what the index knows it. */
export function deadLetterIdOf(record: SourceRecord): string {
  return readDeadLetter(record).id
}

function readOurs(record: SourceRecord): DeadLetterReading | undefined {
  const at = readHeader(record, 'id')
  const reason = readHeader(record, 'reason')
  const failedAtMs = readHeader(record, 'failedAt')
  if (at === undefined || reason === undefined || failedAtMs === undefined) return undefined
  return {
    writtenBy: 'holdfast',
    id: originId(at),
    origin: { ...at, timestampMs: readHeader(record, 'timestamp') ?? record.timestampMs },
    groupId: readHeader(record, 'group') ?? '',
    reason,
    error: readHeader(record, 'error') ?? '',
    pointer: readHeader(record, 'pointer') ?? '',
    message: readHeader(record, 'message') ?? '',
    failedAtMs,
    attempts: readHeader(record, 'deliveryCount') ?? 1,
    redriveCount: readHeader(record, 'redriveCount') ?? 0,
    redriveId: readHeader(record, 'redriveId'),
  }
}

function readForeign(record: SourceRecord, headers: ForeignHeaders): DeadLetterReading {
  const { writtenBy, groupId, error, message, attempts } = headers
  const origin = headers.origin ?? record
  return {
    writtenBy,
    id: originId(origin),
    origin: {
      topic: origin.topic,
      partition: origin.partition,
      offset: origin.offset,
      timestampMs: origin.timestampMs,
    },
    groupId,
    reason: undefined,
    error,
    pointer: '',
    message,
    // The time of the failure where the writer sets none of its own; else the record's, which is the nearest there is.
    failedAtMs: Math.min(Math.max(record.timestampMs, 0), MAX_INSTANT_MS),
    attempts,
    redriveCount: 0,
    redriveId: undefined,
  }
}
