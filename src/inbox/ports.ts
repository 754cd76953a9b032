import type { Violation } from '../engine/dead-letter.ts'
import type { Operator } from '../engine/operator.ts'
import type { SourceRecord } from '../engine/record.ts'
import type { AuditQuery } from './audit-query.ts'
import type { Cause } from './causes.ts'
import type { DeadLetterFilter } from './filter.ts'
import { type DeadLetterState, type StoredLetterState, WAITING } from './letter-states.ts'

/** The index of dead letters as operators work with it. Names of fields are those of the columns. */

/** A row of the index. Offsets and counts are numbers of the database as text only where they may exceed 2^53: offsets. */
export interface DeadLetterRow {
  /** `topic-partition-offset` of where the record first stood. */
  readonly id: string
  readonly reason: string
  readonly error: string
  readonly pointer: string
  readonly message: string
  /** Key of the value; `null` when it cannot be read. */
  readonly key: string | null
  readonly group_id: string
  readonly source_topic: string
  readonly source_partition: number
  /** Decimal text. */
  readonly source_offset: string
  /** RFC 3339. */
  readonly source_timestamp: string
  readonly first_failed_at: string
  readonly failed_at: string
  readonly attempts: number
  readonly replay_count: number
  /** `failed_again` is never stored: a letter whose redrive failed is `open` (or `parked`) with a `replay_count`. */
  readonly state: StoredLetterState
  readonly state_changed_at: string
  /** Key, value and headers. */
  readonly bytes: number
  /** Which program wrote it: its headers differ. */
  readonly written_by: WrittenBy
  readonly dlq_partition: number | null
  readonly dlq_offset: string | null
  /** The redrive that has it in hand, or had it last. */
  readonly replay_id: string | null
}

const WRITTEN_BY = ['holdfast', 'kafka', 'spring', 'connect', 'streams', 'unknown'] as const
export type WrittenBy = (typeof WRITTEN_BY)[number]

export interface DeadLetterGroup {
  readonly reason: string
  readonly error: string
  readonly pointer: string
  readonly count: number
  /** How many of them are in each state; states that none is in are absent. */
  readonly states: Readonly<Partial<Record<DeadLetterState, number>>>
  /** RFC 3339: of the earliest first and of the latest failure. */
  readonly first_seen: string
  readonly last_seen: string
  readonly sample: { readonly id: string; readonly key: string | null; readonly message: string }
  /** What is known of the whole cause, whatever the filter takes of it: as it was when it was last looked at. */
  readonly cause: Cause
}

/** All starts of one version in one step. */
export interface ConsumerStarts {
  /** Counts from 0, the oldest. */
  readonly step: number
  readonly version: string
  readonly count: number
  /** RFC 3339: the latest of them. */
  readonly at: string
  /** The start before was one of another version, or there was none: a deploy. */
  readonly deployed: boolean
}

/** How many hours of arrivals are counted: a day. */
export const ARRIVAL_STEPS = 24

/** When dead letters came in, by cause: of each the first failure counts. */
export interface DeadLetterArrivals {
  /** RFC 3339: the start of the first step. The last one is under way. */
  readonly since: string
  readonly step_seconds: number
  /** Starts of consuming processes, in the steps in which there were any: a cause that began then may be due to them. */
  readonly starts: readonly ConsumerStarts[]
  /** Causes of which none came in are absent. */
  readonly groups: readonly {
    readonly reason: string
    readonly error: string
    readonly pointer: string
    /** {@link ARRIVAL_STEPS} of them, the oldest first. */
    readonly counts: readonly number[]
  }[]
}

/** What of these groups a discard would take: open and parked ones. `not_open`: all others. */
export function discardable(groups: readonly DeadLetterGroup[]): { readonly count: number; readonly not_open: number } {
  const all = groups.reduce((sum, { count }) => sum + count, 0)
  const inStates = (states: DeadLetterGroup['states']) => WAITING.reduce((sum, state) => sum + (states[state] ?? 0), 0)
  const count = groups.reduce((sum, { states }) => sum + inStates(states), 0)
  return { count, not_open: all - count }
}

/** One thing that happened to a dead letter, oldest first. */
export interface DeadLetterEvent {
  readonly at: string
  readonly what:
    | 'failed'
    | 'failed_again'
    | 'replayed'
    | 'edited'
    | 'resolved'
    | 'parked'
    | 'discarded'
    | 'restored'
    | 'revealed'
  readonly who: string | null
  /** Payload-free: outcome, reason, id of the redrive, because … */
  readonly detail: Readonly<Record<string, string | number | boolean | null>>
}

/**
 * What a list goes by: `failed_at`, the latest failure; `source`, where the record first stood (topic, partition, offset). With
 * `-` it goes down. Only orders that an index supports: a page must not scan all letters.
 */
export const LETTER_SORTS = ['-failed_at', 'failed_at', 'source', '-source'] as const
export type LetterSort = (typeof LETTER_SORTS)[number]
export const USUAL_SORT = '-failed_at' satisfies LetterSort

/** Keyset of a page. */
export interface DeadLetterPlace {
  readonly sort: LetterSort
  /** The columns of the last row that the list is sorted by, as text; its id comes last. */
  readonly keys: readonly string[]
}

export interface LetterQuery {
  readonly filter: DeadLetterFilter
  readonly limit: number
  /** Sort of the first page; later pages keep that of their cursor. Default: {@link USUAL_SORT} */
  readonly sort?: LetterSort
  readonly after: DeadLetterPlace | undefined
}

export interface LetterPage {
  readonly rows: readonly DeadLetterRow[]
  /** The place of each row: the list goes on behind it. */
  readonly places: readonly DeadLetterPlace[]
  /** The place of the last row; `undefined`: none comes after it. */
  readonly next: DeadLetterPlace | undefined
}

/** What letters have in the fields that hold no personal data. */
export interface FieldValues {
  readonly reason: readonly string[]
  readonly error: readonly string[]
  readonly pointer: readonly string[]
  readonly topic: readonly string[]
  readonly partition: readonly string[]
}

/** @throws StoreUnavailableError, as every method does */
export interface DeadLetterStore {
  /** Which of these texts are ids, and which are keys, of letters in whatever state. */
  named(texts: readonly string[]): Promise<{ readonly ids: ReadonlySet<string>; readonly keys: ReadonlySet<string> }>
  /** For proposals, the most frequent first; a hundred of each field at most. */
  fieldValues(): Promise<FieldValues>
  groups(filter: DeadLetterFilter): Promise<DeadLetterGroup[]>
  /** Arrivals of the last day. */
  arrivals(filter: DeadLetterFilter): Promise<DeadLetterArrivals>
  page(query: LetterQuery): Promise<LetterPage>
  get(id: string): Promise<(DeadLetterRow & { readonly violations: readonly Violation[] }) | undefined>
  history(id: string): Promise<DeadLetterEvent[]>
  /**
   * Sets open and parked ones aside for good. @returns how many, and the action (an audit_log id) by which it can be undone
   */
  discard(filter: DeadLetterFilter, by: Operator): Promise<{ readonly discarded: number; readonly action: string }>
  /** Undoes a discard: what it discarded and is still discarded is open again, or parked. */
  restore(action: string, by: Operator): Promise<{ readonly restored: number }>
  /** An operator looked at unmasked payloads, or exported them. */
  noteRevealed(filter: string, ids: readonly string[], by: Operator): Promise<void>
  /** What operators did to this stream, newest first. */
  audit(query: AuditQuery): Promise<AuditEntry[]>
  /** An operator searches in payloads. @param filter without the values that are searched for */
  noteSearched(filter: string, by: Operator): Promise<void>
}

export interface AuditEntry {
  readonly id: string
  readonly at: string
  readonly stream: string
  readonly who: string
  readonly what: string
  readonly filter: string
  readonly because: string
  readonly counts: Readonly<Record<string, unknown>>
}

/** Where a dead letter stands in the DLQ topic. */
export interface DlqPlace {
  readonly id: string
  readonly partition: number
  readonly offset: bigint
}

/** A letter that is to be judged by its bytes. */
export interface LetterToCheck extends DlqPlace {
  /** For which it failed last. */
  readonly reason: string
}

/** `undefined`: its place is not noted (`dlq reindex` finds it). */
export function dlqPlaceOf({ id, dlq_partition, dlq_offset }: DeadLetterRow): DlqPlace | undefined {
  if (dlq_partition === null || dlq_offset === null) return undefined
  return { id, partition: dlq_partition, offset: BigInt(dlq_offset) }
}

/** The bytes, out of the DLQ topic. @throws BrokerUnavailableError */
export interface DeadLetterRecords extends AsyncDisposable {
  /** In the order of partitions and offsets. What retention has removed is missing from the answer. */
  read(places: readonly DlqPlace[]): AsyncIterable<{ readonly id: string; readonly record: SourceRecord }>
}

/** Would it pass now? */
export interface CheckResult {
  readonly id: string
  /** `undefined`: its bytes are gone from the topic, so that cannot be known. */
  readonly passes: boolean | undefined
  readonly violations: readonly Violation[]
}

/** A check goes page by page: a hundred thousand of them take a while. */
export interface CheckedPage {
  readonly results: readonly CheckResult[]
  /** Where it goes on; `undefined`: these were the last. */
  readonly next: DeadLetterPlace | undefined
}

/**
 * Whether a value has another key than the letter whose place it takes: the wrong file, most likely. That letter would be
 * resolved, and its value stored nowhere. The key of some letters cannot be read: those take any.
 */
export function isOfAnotherKey(letter: Pick<DeadLetterRow, 'key'>, key: string): boolean {
  return letter.key !== null && letter.key !== key
}
