import type { DeadLetter } from '../engine/dead-letter.ts'
import { isOurs, writeHeaders } from '../engine/headers.ts'
import type { Header } from '../engine/record.ts'

/** A dead letter as it is produced. */
export interface DeadLetterRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly Header[]
  readonly timestampMs: number
}

/**
 * Key, value and original headers byte for byte, and our headers once each: those of an earlier failure (the record was
 * redriven) give way, while the origin that they named lives on in `deadLetter.origin`.
 */
export function toDeadLetterRecord(deadLetter: DeadLetter): DeadLetterRecord {
  const { record, origin, rejection } = deadLetter
  const added = writeHeaders({
    topic: origin.topic,
    partition: origin.partition,
    offset: origin.offset,
    group: deadLetter.groupId,
    deliveryCount: deadLetter.attempts,
    message: rejection.message,
    id: origin,
    reason: rejection.reason,
    error: rejection.error,
    pointer: rejection.pointer,
    failedAt: deadLetter.failedAtMs,
    timestamp: origin.timestampMs,
    redriveCount: deadLetter.redriveCount,
    // Distinguishes two failures from one that stands twice, when the index is rebuilt from the topic.
    redriveId: deadLetter.redriveId,
  })
  return {
    key: record.key,
    value: record.value,
    headers: [...record.headers.filter(([name]) => !isOurs(name)), ...added],
    timestampMs: deadLetter.failedAtMs,
  }
}
