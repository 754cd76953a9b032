import type { Violation } from '../../engine/dead-letter.ts'
import { timestampToInstant } from '../../engine/timestamp.ts'
import type { DeadLetterEvent, DeadLetterRow } from '../ports.ts'

/** What of a row arrives in another form than it is given out in. */
interface RawColumns {
  /** Milliseconds since the epoch; `int8` arrives as text. */
  readonly source_timestamp: string
  readonly first_failed_at: Date
  readonly failed_at: Date
  readonly state_changed_at: Date
  readonly bytes: string
}

/** A row of `dead_letters` as `pg` delivers it. */
export interface LetterColumns extends Omit<DeadLetterRow, keyof RawColumns>, RawColumns {}

/** Columns of `dead_letters AS d`, in the order of {@link LetterColumns}. */
export const LETTER_COLUMNS = [
  ...['id', 'reason', 'error', 'pointer', 'message', 'key', 'group_id'],
  ...['source_topic', 'source_partition', 'source_offset', 'source_timestamp', 'first_failed_at', 'failed_at'],
  ...['attempts', 'replay_count', 'state', 'state_changed_at', 'bytes', 'written_by'],
  ...['dlq_partition', 'dlq_offset', 'replay_id'],
]
  .map(name => `d.${name}`)
  .join(', ')

/** The fields by name, so that what else a query selects stays out. */
export function toLetterRow(row: LetterColumns): DeadLetterRow {
  return {
    id: row.id,
    reason: row.reason,
    error: row.error,
    pointer: row.pointer,
    message: row.message,
    key: row.key,
    group_id: row.group_id,
    source_topic: row.source_topic,
    source_partition: row.source_partition,
    source_offset: row.source_offset,
    source_timestamp: timestampToInstant(Number(row.source_timestamp)),
    first_failed_at: row.first_failed_at.toISOString(),
    failed_at: row.failed_at.toISOString(),
    attempts: row.attempts,
    replay_count: row.replay_count,
    state: row.state,
    state_changed_at: row.state_changed_at.toISOString(),
    bytes: Number(row.bytes),
    written_by: row.written_by,
    dlq_partition: row.dlq_partition,
    dlq_offset: row.dlq_offset,
    replay_id: row.replay_id,
  }
}

/**
 * The state of `dead_letters AS d` before it was last discarded, or taken up by a redrive: one that goes back to it must not
 * pass by the loop guard.
 */
export function stateBefore(what: 'discarded' | 'replayed'): string {
  return `CASE (
      SELECT e.detail->>'was_state' FROM holdfast.dead_letter_events AS e
      WHERE e.dead_letter_id = d.id AND e.what = '${what}' ORDER BY e.id DESC LIMIT 1
    ) WHEN 'parked' THEN 'parked' ELSE 'open' END`
}

export interface EventColumns {
  readonly at: Date
  readonly what: DeadLetterEvent['what']
  readonly who: string | null
  readonly detail: DeadLetterEvent['detail']
}

/**
 * What happened to a letter, oldest first. Its first failure is no event: the row has it, for as long as there was no
 * other; later ones have kept what they replaced (`was_reason`, …).
 */
export function toHistory(
  letter: Pick<LetterColumns, 'reason' | 'error' | 'pointer' | 'first_failed_at'>,
  events: readonly EventColumns[],
): DeadLetterEvent[] {
  const later = events.find(({ what }) => what === 'failed_again')?.detail
  const first = {
    reason: later?.was_reason ?? letter.reason,
    error: later?.was_error ?? letter.error,
    pointer: later?.was_pointer ?? letter.pointer,
  }
  return [
    { at: letter.first_failed_at.toISOString(), what: 'failed', who: null, detail: first },
    ...events.map(({ at, what, who, detail }) => ({ at: at.toISOString(), what, who, detail })),
  ]
}

/** As it stands in the column `violations`. */
export interface ViolationsColumn {
  readonly violations: readonly Violation[]
}
