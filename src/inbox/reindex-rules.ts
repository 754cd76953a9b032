import type { DeadLetter, Reason, Rejection } from '../engine/dead-letter.ts'
import type { Watermarks } from '../engine/ports.ts'
import type { SourceRecord } from '../engine/record.ts'
import type { Verdict } from '../engine/verdict.ts'
import type { WrittenBy } from './ports.ts'
import { type DeadLetterReading, readDeadLetter } from './reading.ts'

/** The DLQ topic, read without a group. @throws BrokerUnavailableError, as every method does */
export interface DlqTopic {
  partitions(): Promise<number[]>
  watermarks(partition: number): Promise<Watermarks>
  /** The records in `[from, to)`, which lies within the watermarks. */
  read(partition: number, from: bigint, to: bigint): AsyncIterable<SourceRecord>
}

/** A record of the DLQ topic as a row of the index. The same letter may stand in the topic more than once. */
export interface LetterCopy {
  readonly id: string
  readonly letter: DeadLetter
  readonly writtenBy: WrittenBy
}

export interface ReindexReport {
  /** Records of the DLQ topic. */
  readonly read: number
  /** Different dead letters among them. */
  readonly letters: number
  /** How many of those were missing in the index. */
  readonly added: number
  /** Whose position was unknown, or was that of another letter. */
  readonly placed: number
  /** Not brought back: purged by retention. */
  readonly purged: number
  /** How many letters each program wrote. */
  readonly written_by: Readonly<Partial<Record<WrittenBy, number>>>
}

/** Reasons whose verdict can be repeated; the violations, which no header holds, come from it. */
const REPEATABLE: ReadonlySet<Reason> = new Set(['malformed_json', 'schema_violation'])

/**
 * A record of the DLQ topic as a letter. Ours are what their headers say. Those of other programs fail for what the bytes
 * break by today's rules, or, when they break none, for a reason that is the other program's.
 */
export function toLetterCopy(record: SourceRecord, judge: (record: SourceRecord) => Verdict<unknown>): LetterCopy {
  const reading = readDeadLetter(record)
  const { id, origin, failedAtMs, attempts, redriveCount, redriveId, groupId, writtenBy } = reading
  // One that ends processes is not looked at.
  const verdict = reading.reason === 'crash_loop' ? undefined : attempt(judge, record)
  return {
    id,
    writtenBy,
    letter: {
      record,
      origin,
      rejection: rejectionOf(reading, verdict),
      failedAtMs,
      attempts,
      redriveCount,
      redriveId,
      key: verdict?.key ?? null,
      groupId,
      dlq: { partition: record.partition, offset: record.offset },
    },
  }
}

function rejectionOf(reading: DeadLetterReading, verdict: Verdict<unknown> | undefined): Rejection {
  const { reason, error, pointer, message } = reading
  const today = verdict?.ok === false ? verdict.rejection : undefined
  if (reason !== undefined) {
    const violations = REPEATABLE.has(reason) && today?.reason === reason ? today.violations : []
    return { reason, error, pointer, message, violations }
  }
  if (today !== undefined) return { ...today, error: error === '' ? today.error : error }
  return { reason: 'unexpected_error', error: error === '' ? 'unknown' : error, pointer, message, violations: [] }
}

function attempt(
  judge: (record: SourceRecord) => Verdict<unknown>,
  record: SourceRecord,
): Verdict<unknown> | undefined {
  try {
    return judge(record)
  } catch {
    return undefined
  }
}
