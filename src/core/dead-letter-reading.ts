import { HEADER, headerText, parseOriginId, REASONS, type Reason } from './dead-letter.ts'
import type { WrittenBy } from './dead-letter-desk.ts'
import { type ForeignHeaders, readForeignHeaders } from './foreign-dead-letter.ts'
import { type Origin, originId, type SourceRecord } from './record.ts'

/** A record of the DLQ topic, read back: what its headers say of the letter, whoever wrote it. */
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
  readonly replayCount: number
  readonly replayId: string | undefined
}

/** Instants that a `Date` and Postgres can hold, and JavaScript prints with four digits of the year. */
const MAX_INSTANT_MS = 253_402_300_799_999

/** Never throws: what cannot be read is left out, and what says nothing at all is a dead letter of unknown origin. */
export function readDeadLetter(record: SourceRecord): DeadLetterReading {
  return readOurs(record) ?? readForeign(record, readForeignHeaders(record))
}

/** By what the index knows it. */
export function deadLetterIdOf(record: SourceRecord): string {
  return readDeadLetter(record).id
}

function readOurs(record: SourceRecord): DeadLetterReading | undefined {
  const text = (name: string) => headerText(record, name) ?? ''
  const at = parseOriginId(text(HEADER.id))
  const reason = REASONS.find(known => known === text(HEADER.reason))
  const failedAtMs = Date.parse(text(HEADER.failedAt))
  if (at === undefined || reason === undefined || !(failedAtMs >= 0)) return undefined
  const timestamp = /^(?:-1|\d{1,19})$/.exec(text(HEADER.timestamp))
  return {
    writtenBy: 'holdfast',
    id: originId(at),
    origin: { ...at, timestampMs: timestamp === null ? record.timestampMs : Number(timestamp[0]) },
    groupId: text(HEADER.group),
    reason,
    error: text(HEADER.error),
    pointer: text(HEADER.pointer),
    message: text(HEADER.message),
    failedAtMs: Math.min(failedAtMs, MAX_INSTANT_MS),
    attempts: toCount(text(HEADER.deliveryCount)) ?? 1,
    replayCount: toCount(text(HEADER.replayCount)) ?? 0,
    replayId: /^[A-Za-z0-9_-]{1,64}$/.exec(text(HEADER.replayId))?.[0],
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
    replayCount: 0,
    replayId: undefined,
  }
}

function toCount(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined
}
