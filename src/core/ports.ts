import type { DeadLetter, DlqPosition, Reason, Rejection } from './dead-letter.ts'
import type { Outcome, OutcomeCounts } from './outcome.ts'
import type { ProvenanceClaim, Redrive, RedriveFacts } from './provenance.ts'
import type { Origin, SourceRecord, TopicPartition } from './record.ts'

/** What rooms ask of one another. Every port has one contract suite, run on the stand-in and on the real thing. */

/** Time, handed in so that tests own it. */
export interface Clock {
  /** Wall clock in ms: for timestamps that people read. */
  now(): number
  /** Monotonic ms: for durations and deadlines. */
  monotonic(): number
  /** Resolves after `ms`, or at once when the signal aborts (it never rejects). */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** A valid record, ready to be written. `T` is the domain's type (an order). */
export interface ReadyRecord<T> {
  readonly record: SourceRecord
  readonly origin: Origin
  readonly key: string
  readonly value: T
  /** Of a redriven record. */
  readonly redrive?: Redrive | undefined
}

/** How a redriven record ended: by this its dead letter is resolved, or waits once more. */
export interface RedriveEnd extends Redrive {
  /** Of the dead letter. */
  readonly id: string
  readonly outcome: Outcome
  /** Of one that was dead-lettered again. */
  readonly failure: Rejection | undefined
}

/** What ends of redriven records made of their dead letters. */
export const REDRIVE_CLOSINGS = ['resolved', 'failed_again', 'parked'] as const
export type RedriveClosing = (typeof REDRIVE_CLOSINGS)[number]
export type RedriveClosings = Readonly<Record<RedriveClosing, number>>

/** How an input is judged: bytes in, the domain's value or the reason why not. Pure; throws nothing that is foreseen. */
export type Verdict<T> =
  | { readonly ok: true; readonly key: string; readonly value: T; readonly unusual?: readonly UnusualKind[] }
  | { readonly ok: false; readonly key: string | null; readonly rejection: Rejection }

/**
 * One batch of one partition, for one transaction. Invariant: `records + gaps = to - from`, where `records` is
 * `ready.length + superseded + duplicate + stale + deadLetters.length`.
 */
export interface SettlementWork<T> extends TopicPartition {
  readonly groupId: string
  /** Progress that this batch starts from: the fence. */
  readonly from: bigint
  /** Progress after it: the next offset to read. */
  readonly to: bigint
  /** Records in `[from, to)`, however they end. */
  readonly records: number
  /** At most one for each key, sorted by key in byte order (so that lanes and replicas cannot deadlock). */
  readonly ready: readonly ReadyRecord<T>[]
  /** Decided inside the batch, before the store is asked; `leftOut`: which ones they are. */
  readonly collapsed: {
    readonly superseded: number
    readonly duplicate: number
    readonly stale: number
    readonly leftOut?: readonly LeftOut<T>[]
  }
  /** Already acknowledged by the DLQ topic. */
  readonly deadLetters: readonly DeadLetter[]
  /** Bisect also on contention and unforeseen errors, because this batch has met them again and again. */
  readonly isolate: boolean
  /** What the storm guard has counted, this batch included. Default: what was stored before, pause included. */
  readonly storm?: StormTally
  /** The partition waits for an operator from here on. */
  readonly pause?: Pause
  /** Dead letters of its records may be open, because all of it has been read before. */
  readonly readAgain?: boolean
  /** The last record of it. Absent: there is none, or its leader epoch is not known; what is stored stays. */
  readonly lastRead?: LastRead | undefined
}

/** A record that does not go to the store, because of another one of its batch. */
export interface LeftOut<T> {
  readonly ready: ReadyRecord<T>
  readonly outcome: 'superseded' | 'duplicate' | 'stale'
}

/** Why a partition waits for an operator. */
export type OperatorPause = 'storm_guard'

export interface Pause {
  readonly reason: OperatorPause
  /** The cause in a clause, for an operator. Payload-free; names SQLSTATE and constraint where the store refuses. */
  readonly because: string
}

/** So many of a partition's last records the storm guard looks at. */
export const STORM_WINDOW = 1_000

/** What the storm guard has counted on a partition. Stored with each batch: it survives restarts and rebalances. */
export interface StormTally {
  /** Dead letters at the end of what is settled. */
  readonly deadLettersInARow: number
  /** Records that the store refused since it took one; those that it was not asked to write do not count. */
  readonly refusedInARow: number
  /** Its last records, the oldest first, at most {@link STORM_WINDOW}: `1` for a dead letter, else `0`. */
  readonly recent: string
}

export const NO_STORM: StormTally = { deadLettersInARow: 0, refusedInARow: 0, recent: '' }

export interface Culprit {
  /** Index into `ready` of the work. */
  readonly index: number
  /** SQLSTATE for a refusal of the store, or the error's code. */
  readonly error: string
  /** Payload-free. */
  readonly message: string
  readonly kind: 'refused' | 'unforeseen'
}

export type Settlement<T> =
  | {
      readonly kind: 'settled'
      readonly counts: OutcomeCounts
      /** Which of `ready` were written; `undefined` when an earlier attempt had, and its reply was lost. */
      readonly written: readonly ReadyRecord<T>[] | undefined
      /** Loops that it closed; `undefined` when it held no redriven record, or an earlier attempt had settled it. */
      readonly closings?: RedriveClosings | undefined
    }
  /** Rolled back, nothing written: these records must become dead letters before the batch is tried again. */
  | { readonly kind: 'refused'; readonly culprits: readonly Culprit[]; readonly attempts: number }

/** Where a partition goes on. */
export interface Progress extends TopicPartition {
  readonly nextOffset: bigint
}

/** The last record that was settled: by its leader epoch, another one at the same offset is told from it. */
export interface LastRead {
  readonly offset: bigint
  readonly leaderEpoch: number
}

/** Progress as it is stored, with what must outlive the process. */
export interface StoredProgress extends Progress {
  /** Absent: not known. Always below `nextOffset`. */
  readonly lastRead?: LastRead | undefined
  readonly storm?: StormTally
  readonly pause?: Pause | undefined
  /**
   * Dead letters wait between `nextOffset` and here: an operator has moved the partition back, or another group was faster.
   * Absent: none does, as ever while a partition goes forward.
   */
  readonly readAgainTo?: bigint | undefined
  /** Kafka's id of the topic in which it counts. Absent: not known. */
  readonly topicId?: string | undefined
}

/** The book that survives a process which a record kills. */
export interface StartBook {
  /**
   * A first batch after an assignment is about to be touched.
   * @returns starts since progress last advanced, this one included; and the record that the last process had in hand
   *   alone when it ended, with how often that came to pass
   */
  noteStart(
    groupId: string,
    partition: TopicPartition,
  ): Promise<{ readonly starts: number; readonly suspect: bigint | undefined; readonly deaths: number }>
  /** This record is about to be processed alone; `starts` is what the next process shall find. */
  noteSuspect(groupId: string, partition: TopicPartition, offset: bigint, starts: number): Promise<void>
  /**
   * The suspect did not kill the process, though it was not settled either.
   * @param what `start`: nor was the last start that was noted one that ends in a crash
   */
  clearSuspect(groupId: string, partition: TopicPartition, what: { readonly start: boolean }): Promise<void>
}

export interface SettlementStore<T> {
  /**
   * Writes one batch in one transaction behind the fence.
   * @throws OwnershipLostError when progress is neither at `from`, nor at `to` because of this very batch.
   * @throws StoreUnavailableError StoreContendedError (retry), StoreMisconfiguredError (halt)
   */
  settle(work: SettlementWork<T>): Promise<Settlement<T>>
  /** Progress rows of these partitions; a partition that was never consumed is absent. */
  readProgress(groupId: string, partitions: readonly TopicPartition[]): Promise<StoredProgress[]>
  /**
   * Makes the progress row when there is none; an existing one stays as it is.
   * @param skippedFrom enters `[skippedFrom, nextOffset)` into the ledger as passed over on purpose. Where the ledger still holds
   *   rows of a progress row that was removed, it goes on from their end, so that its ranges follow on one another.
   * @returns the row's next offset.
   */
  startProgress(groupId: string, at: Progress, skippedFrom?: bigint): Promise<bigint>
  /** Notes Kafka's id of the topic in which the progress of these partitions counts. */
  identify(groupId: string, partitions: readonly TopicPartition[], topicId: string): Promise<void>
  /** Ledger row `[from, to)` with `expired = to - from`, and progress to `to`, behind the same fence. */
  expire(groupId: string, partition: TopicPartition, from: bigint, to: bigint): Promise<void>
  /** What is known of the redrives that records of this topic claim to come from. @throws as `settle`, but for the loss */
  redrives(
    groupId: string,
    topic: string,
    claims: readonly ProvenanceClaim[],
  ): Promise<ReadonlyMap<string, RedriveFacts>>
  /**
   * Notes that the partition waits for an operator, behind the fence: progress stays at `at`.
   * @throws OwnershipLostError when it is elsewhere
   */
  hold(groupId: string, at: Progress, pause: Pause): Promise<void>
  /** Cheap write-shaped question: could a transaction be begun now? @throws StoreUnavailableError, StoreMisconfiguredError */
  probe(): Promise<void>
}

/** One parameter of a statement: a whole column, one entry a row, sent as a binary array. */
export type Column =
  | { readonly type: 'text'; readonly values: readonly string[] }
  | { readonly type: 'int8'; readonly values: readonly (number | bigint)[] }
  | { readonly type: 'int4'; readonly values: readonly number[] }
  /** Microseconds since the Unix epoch. */
  | { readonly type: 'timestamptz'; readonly values: readonly bigint[] }

/** Text with `$1 …` placeholders, one for each column; prepared under `name` on each connection. */
export interface Statement {
  readonly name: string
  readonly text: string
  readonly columns: readonly Column[]
}

/** How a domain's values become rows: all that a settlement store must know of the domain. */
export interface Tables<T> {
  /**
   * Upserts all tables under the stale guard. Answers one row for each record: `key text`, `outcome text`
   * (written | duplicate | stale), `replaced boolean` (written over an earlier row).
   */
  upsert(records: readonly ReadyRecord<T>[]): Statement
  /**
   * Removes what an earlier, longer version left behind, for records that replaced one. A statement of its own, run
   * after the upsert holds the row locks: only a fresh snapshot sees rows that another transaction has just committed.
   */
  trim(records: readonly ReadyRecord<T>[]): Statement
}

/** A stored value as the read side serves it. */
export interface StoredValue {
  readonly key: string
  /** Canonical JSON, the bytes that are served. */
  readonly json: Buffer
  /** Position of the record that wrote it: tells a newer version from an older one. */
  readonly origin: Origin
}

/** Text with `$1 …` placeholders, prepared under `name` on each connection. */
export interface ValueQuery {
  readonly name: string
  readonly text: string
}

/** Where a value stands among all, newest first: its own date in canonical form, then its key. */
export type Place = readonly [date: string, key: string]

/** A page of values, newest first by their own date. Dates are canonical instants. */
export interface PageQuery {
  /** Columns that the values must equal, out of {@link ValueList.by}: `{ customer_id: 'anna' }`. Empty: all values. */
  readonly by: Readonly<Record<string, string>>
  /** The earliest date that belongs to it. */
  readonly from: string | undefined
  /** The date before which it ends: this one does not belong to it. */
  readonly to: string | undefined
  /** The last place of the page before. */
  readonly after: Place | undefined
  readonly limit: number
}

/** What pages of a stream can be restricted by. */
export interface ValueList {
  /** Columns of the root table; their names are also those of the query parameters. */
  readonly by: readonly string[]
  /** A date of the list in canonical form (it compares as text and as Postgres reads it); `undefined` when the text is no date. */
  canonicalDate(text: string): string | undefined
}

/** How rows become a domain's values: all that a reader must know of the domain. */
export interface ValueQueries {
  /** `undefined`: the stream declares no order of its values, so that there are no pages, and `newest` goes by the key. */
  readonly list: ValueList | undefined
  /** The value of the key `$1`: one row or none. */
  readonly one: ValueQuery
  /** The values of the keys `$1`: a row for each that has one. */
  readonly many: ValueQuery
  /** At most `$1` rows, newest first, after the place `($2, $3)` of an earlier row. */
  readonly newest: ValueQuery
  /** The place before all rows. */
  readonly start: Place
  /** The rows of a page, newest first, at most `limit`. Only where there is a `list`. */
  page(query: PageQuery): ValueQuery & { readonly values: readonly unknown[] }
  /** Position of the record that wrote the value of the key `$1`: one row or none. */
  readonly origin: ValueQuery
  toOrigin(row: Readonly<Record<string, unknown>>): Origin
  /** A row of either query: the value, and its place in the order of `newest`. */
  toValue(row: Readonly<Record<string, unknown>>): {
    readonly stored: StoredValue
    readonly place: Place
  }
}

export interface ValueReader {
  /** @returns `undefined` when there is none. @throws StoreUnavailableError */
  read(key: string): Promise<StoredValue | undefined>
  /** Newest first (by the value's own date, then key), at most `limit`. */
  newest(limit: number): AsyncIterable<StoredValue>
}

/** What is asked of the store besides single values. @throws StoreUnavailableError */
export interface ValueCatalog {
  /** May end before its limit, when its values are large. */
  page(query: PageQuery): Promise<{
    readonly values: readonly StoredValue[]
    /** Where the next page goes on; `undefined` when this is the last. */
    readonly next: Place | undefined
  }>
}

export interface RecordOutcomes {
  /** What became of the record at this position, which holds a version of this value. @throws StoreUnavailableError StoreContendedError */
  outcomeOf(key: string, at: Origin): Promise<RecordOutcome>
}

/** How a published record ended, as its producer sees it. */
export type RecordOutcome =
  /** Not settled yet, as far as is known. */
  | { readonly kind: 'pending' }
  /** The stored value is what this record holds. */
  | { readonly kind: 'stored' }
  /** A newer version is stored: this one was stale or superseded, or was written and has been replaced. */
  | { readonly kind: 'overtaken' }
  /** Set aside: valid, though not for the store. */
  | { readonly kind: 'dead_lettered'; readonly reason: Reason; readonly error: string }

/** What the index says of a dead letter, for somebody who looks for its order. No payload data. */
export interface DeadLetterHint {
  /** `topic-partition-offset` of where the record first stood. */
  readonly id: string
  readonly reason: Reason
  readonly error: string
  readonly pointer: string
}

export interface DeadLetterIndex {
  /** The latest one of this order that nobody has settled yet. @throws StoreUnavailableError */
  ofOrder(key: string): Promise<DeadLetterHint | undefined>
}

export interface DeadLetterSink {
  /** Resolves once it is acknowledged by all in-sync replicas. @throws BrokerUnavailableError */
  send(deadLetter: DeadLetter): Promise<DlqPosition>
  /** Could a dead letter be sent now? Asks for the topic's metadata. @throws BrokerUnavailableError */
  probe(): Promise<void>
}

export interface Watermarks {
  readonly low: bigint
  readonly high: bigint
}

/** What a consumer's group membership brings, in the order in which it happened. */
export type SourceEvent =
  | { readonly kind: 'assigned'; readonly partitions: readonly TopicPartition[] }
  | { readonly kind: 'revoked'; readonly partitions: readonly TopicPartition[]; readonly lost: boolean }
  /**
   * The client has stopped reading a partition, and does not say which: its position is not in the log any more, the log was
   * truncated, or a batch cannot be read. Nothing of it flows until a seek.
   */
  | { readonly kind: 'fetch_failed' }

/** Result of a commit, as the broker told it. */
export type CommitResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: number; readonly message: string }

/**
 * A group consumer, driven by one loop: nothing happens but inside `poll()`. Rebalances wait until they are answered.
 * Everything may be lost within any poll, also while a rebalance is not answered: its answer then reaches nobody, and what is
 * asked of a lost partition fails or has no effect, until the event comes that tells of the loss.
 */
export interface RecordSource {
  /** Joins the group. */
  start(): Promise<void>
  /**
   * Up to `max` records; waits at most `timeoutMs` for the first. Also serves heartbeats, commit results and rebalances,
   * so it must go on being called, when all is paused as well. One call at a time.
   * @throws BrokerFatalError when the member cannot go on
   */
  poll(max: number, timeoutMs: number): Promise<SourceRecord[]>
  /** The oldest rebalance that is not answered yet. The loop must answer it before it takes the next. */
  nextEvent(): SourceEvent | undefined
  /** Answers `assigned`: the partitions start at these offsets. */
  assign(positions: readonly Progress[]): void
  /** Answers `revoked`. */
  unassign(partitions: readonly TopicPartition[]): void
  pause(partitions: readonly TopicPartition[]): void
  resume(partitions: readonly TopicPartition[]): void
  /** Moves an owned partition. */
  seek(to: Progress): Promise<void>
  /** Resolves with the broker's own answer, which only arrives while `poll()` is called. Never rejects. */
  commit(positions: readonly Progress[]): Promise<CommitResult>
  /** What the broker holds as committed; absent when nothing. */
  committed(partitions: readonly TopicPartition[]): Promise<Progress[]>
  /** Asks the broker (true while paused, too). @throws BrokerUnavailableError */
  watermarks(partition: TopicPartition): Promise<Watermarks>
  /** The last watermarks that a fetch brought; costs nothing. `undefined` when unknown. */
  cachedWatermarks(partition: TopicPartition): Watermarks | undefined
  /** Leaves the group. Commit before. Safe twice. */
  close(): Promise<void>
}

/** What stands at an offset or after it. */
export type Head =
  /** A record: its timestamp in ms since the epoch, negative when it has none. */
  | { readonly timestampMs: number }
  /**
   * No record up to this offset, now or ever: the partition ends here, or transaction markers and the like stand there. It ends
   * before the first transaction that is open.
   */
  | { readonly emptyTo: bigint }

/** Looks at single records beside the group, without moving anything. */
export interface HeadReader extends AsyncDisposable {
  /** The first record at this offset or after it. @throws BrokerUnavailableError UnreadableBatchError */
  headAt(at: Progress): Promise<Head>
}

/** What the engine finds remarkable about a record of any stream; a definition adds its own (`unusualKinds`). */
export const UNUSUAL = ['key_mismatch', 'unknown_field', 'precision', 'foreign_provenance'] as const
/** One of {@link UNUSUAL}, or of the kinds that the stream's definition lists: a closed set, as the values of a metric label. */
export type UnusualKind = string
