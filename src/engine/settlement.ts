import type { DeadLetter } from './dead-letter.ts'
import type { Outcome, OutcomeCounts } from './outcome.ts'
import type { Progress } from './ports.ts'
import type { ProvenanceClaim, RedriveFacts } from './provenance.ts'
import type { TopicPartition } from './record.ts'
import type { Statement } from './value-sql.ts'
import type { ReadyRecord } from './verdict.ts'

/** What one transaction settles, and what the store that runs it must promise. */

/** What ends of redriven records made of their dead letters. */
export const REDRIVE_CLOSINGS = ['resolved', 'failed_again', 'parked'] as const
export type RedriveClosing = (typeof REDRIVE_CLOSINGS)[number]
export type RedriveClosings = Readonly<Record<RedriveClosing, number>>

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

/** How many of a partition's last records the storm guard considers. */
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
  | Refused

/** Rolled back, nothing written: these records must become dead letters before the others are tried again. */
export interface Refused {
  readonly kind: 'refused'
  readonly culprits: readonly Culprit[]
  readonly attempts: number
}

/** The last record that was settled: by its leader epoch it differs from another one at the same offset. */
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
  /** Set where it has been further on than 0 before: an operator has moved the partition back to its beginning, say. */
  readonly wasFurther?: boolean
}

/** Counts starts in the store, so that a record that kills the process is found after the restart. */
export interface StartCounts {
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

/** A batch whose rows are written, in a transaction that is not committed yet. */
export interface Settling<T> {
  readonly work: SettlementWork<T>
  /** Which of `work.ready` replaced an earlier version. */
  readonly replaced: readonly ReadyRecord<T>[]
  /** How one of `work.ready` ended. */
  readonly outcomeOf: (ready: ReadyRecord<T>) => Outcome
}

/**
 * Adds statements of another module to the transaction of a batch: its dead letters, notices of what was written. They run
 * after the rows of the values and before the ledger's row, in the order of the joins; when one fails, nothing is written.
 */
export type SettlementJoin<T> = (settling: Settling<T>) => readonly JoinedStatement[]

export interface JoinedStatement {
  readonly statement: Statement
  /** The closed loops that its rows imply, for the single statement that closes them. */
  readonly closings?: (rows: readonly Readonly<Record<string, unknown>>[]) => RedriveClosings
}

/** The operations on waiting dead letters that settling needs. @throws StoreUnavailableError StoreContendedError StoreMisconfiguredError */
export interface LetterLookups {
  /**
   * The last open or parked dead letter of each of these partitions, at `nextOffset` or after it, by `partitionKey`.
   * A partition that has none is absent.
   */
  lastOpen(from: readonly Progress[]): Promise<ReadonlyMap<string, bigint>>
  /** What is known of the redrives that records of this topic claim to come from. */
  redrives(
    groupId: string,
    topic: string,
    claims: readonly ProvenanceClaim[],
  ): Promise<ReadonlyMap<string, RedriveFacts>>
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
