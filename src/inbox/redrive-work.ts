import { StreamError } from '../engine/errors.ts'
import type { Origin, SourceRecord } from '../engine/record.ts'
import type { RedriveClosings } from '../engine/settlement.ts'
import type { RedriveState, SkipReason } from './letter-states.ts'
import type { GuardCounts, GuardRules, MemberOutcome, PausedBecause, WaitingFor } from './redrive-guard.ts'
import type { RedriveTarget } from './redrive-ports.ts'
import type { RedrivenRecord } from './redriven-record.ts'

/** The work on a redrive: the operations that its worker needs from the database and from Kafka. */

/** A redrive as its worker has it in hand. */
export interface RedriveInHand {
  readonly id: string
  /** Counts the workers that took it: one that comes back from the dead finds another number, and stops. */
  readonly epoch: number
  readonly to: RedriveTarget
  /** Records a second; `undefined`: as fast as it goes. */
  readonly rate: number | undefined
  /** When it is to pause and to rest by itself. */
  readonly rules: GuardRules
  /** What its workers have counted for that. */
  readonly counts: GuardCounts
}

/** A member of the frozen set, whose turn it is. */
export interface RedriveItem {
  /** Id of the dead letter. */
  readonly id: string
  readonly origin: Origin
  /** How often it was redriven before. */
  readonly redriveCount: number
  /** Where its bytes stand in the DLQ topic; `undefined`: the index does not know. */
  readonly place: { readonly partition: number; readonly offset: bigint } | undefined
  /** Its origin is a place of the stream's topic that no group has settled: only a forged header, or a rebuilt index, says so. */
  readonly ahead: boolean
  /** About as much as the record has. */
  readonly bytes: number
  /** Replaces its value. */
  readonly edited: Buffer | undefined
}

/** A member with its bytes. */
export interface LoadedItem {
  readonly item: RedriveItem
  /** As it stands in the DLQ topic. */
  readonly letter: SourceRecord
}

/** Ends of the source partitions before a page was produced: from there on its records are found, if there are any. */
export type PageMarks = ReadonlyMap<number, bigint>

export interface RedrivePage {
  /** In the order of publishing. None: all is done. */
  readonly items: readonly RedriveItem[]
  /** There are marks when the page was begun before: some of it may be in the topic already. */
  readonly marks: PageMarks | undefined
  /** What an operator wants of the redrive. */
  readonly state: RedriveState
}

/** How a worker parts with a redrive: for another one to go on, or for good. */
export type Parting =
  | { readonly to: 'queued' | 'paused' | 'cancelled' | 'done' }
  /** By itself: no operator has asked for it. */
  | { readonly to: 'paused'; readonly because: PausedBecause; readonly counts: GuardCounts }
  /** Payload-free. */
  | { readonly to: 'failed'; readonly error: string }

/** What became of members, in the order of the set. */
export interface SettledMembers {
  /** Outcomes of these members, up to the first one that has not ended. */
  readonly outcomes: readonly MemberOutcome[]
  /** Position of the last of them; where it was asked for when there is none. */
  readonly at: number
  /** The next one is published, and not settled yet. */
  readonly awaits: boolean
  /** There are others behind: to be asked for from `at`. */
  readonly more: boolean
}

/** Another worker has the redrive now, or an operator has ended it while this worker did not renew its lease. */
export class RedriveTakenOverError extends StreamError {
  readonly code = 'replay_taken_over'
  readonly disposition = 'abandon'
}

/**
 * The tables of redrives, as their worker writes them.
 * @throws StoreUnavailableError StoreContendedError, as every method does; RedriveTakenOverError, as all that are handed a
 *   {@link RedriveInHand}
 */
export interface RedriveStore {
  /** One that no worker has: it is queued, or its worker was not heard of for `REDRIVE_LEASE_MS`. */
  waiting(): Promise<string | undefined>
  /** @returns `undefined` when there is nothing to do: it ended, is paused, or another worker has it */
  take(id: string): Promise<RedriveInHand | undefined>
  /** Renews the worker's claim. @returns the redrive's state, which an operator may have changed */
  beat(redrive: RedriveInHand): Promise<RedriveState>
  /** What an earlier worker left half done; else the next `limit` members, none of which is touched by this. */
  page(redrive: RedriveInHand, limit: number): Promise<RedrivePage>
  /**
   * The letters become `replaying`, unless they are not open any more: those are skipped.
   * @param marks empty for a redrive into the store, whose page leaves nothing to be found again
   * @returns ids of the claimed
   */
  claim(redrive: RedriveInHand, ids: readonly string[], marks: PageMarks): Promise<ReadonlySet<string>>
  /**
   * A page into the store that a worker before this one left is about to be looked at.
   * @returns how many workers in a row have left one, since a page was settled or a worker has parted
   */
  inherit(redrive: RedriveInHand): Promise<number>
  /** The page has ended no process: what was counted of it is forgotten. */
  spare(redrive: RedriveInHand): Promise<void>
  /** These are in the topic. What became of them since is not undone. */
  notePublished(redrive: RedriveInHand, ids: readonly string[]): Promise<void>
  /** These will not be published. Letters that were claimed wait as before. */
  noteSkipped(redrive: RedriveInHand, ids: readonly string[], why: SkipReason): Promise<void>
  /** @param after position of the last member that was looked at */
  outcomes(redrive: RedriveInHand, after: number): Promise<SettledMembers>
  /** @param waitingFor `undefined`: it is at work */
  noteGuard(redrive: RedriveInHand, counts: GuardCounts, waitingFor: WaitingFor | undefined): Promise<void>
  /** A pause by itself is noted with its cause, and is not taken for one that an operator has taken back meanwhile. */
  part(redrive: RedriveInHand, parting: Parting): Promise<void>
}

/** A worker that sends no heartbeat for this long counts as gone. Its producer gives up sooner ({@link REDRIVE_DELIVERY_TIMEOUT_MS}). */
export const REDRIVE_LEASE_MS = 12_000
export const REDRIVE_BEAT_MS = 2_000
/**
 * How long a record may wait for its acknowledgement. Shorter than lease minus beat: what a frozen worker still holds when
 * it wakes is out of time, and is not sent beside what its successor sends.
 */
export const REDRIVE_DELIVERY_TIMEOUT_MS = 8_000
/** For the same reason nothing is sent any more so long after the last beat that was heard: another one may have it by then. */
export const REDRIVE_SEND_WINDOW_MS = REDRIVE_LEASE_MS - REDRIVE_DELIVERY_TIMEOUT_MS

/** The tables of the stream, and of its redrives, as a redrive into the store changes them. */
export interface RedriveSettlement {
  /**
   * Validates the letters of a page as the stream does, and settles them in one transaction, at their first positions: rows of the
   * values, letters and members change together, or not at all. Nothing of a page that was settled before, whose reply was lost, is
   * handed out again by {@link RedriveStore.page}.
   * @param stop ends the waits between attempts at what the store was too busy for
   * @param deaths processes that ended while they had only this page in hand: its letters fail again without being looked at
   * @throws RedriveTakenOverError StoreUnavailableError StoreContendedError StoreMisconfiguredError: nothing was written, or, when the
   *   reply to the COMMIT was lost, all of it
   */
  settle(
    redrive: RedriveInHand,
    page: readonly LoadedItem[],
    stop: AbortSignal,
    deaths?: number,
  ): Promise<RedriveClosings>
}

/** The topic that redriven records go to. @throws BrokerUnavailableError BrokerFatalError, as every method does */
export interface RedriveTopic extends AsyncDisposable {
  ends(partitions: readonly number[]): Promise<PageMarks>
  /** Ids of the dead letters that this redrive has put into the topic since. */
  published(redriveId: string, since: PageMarks): Promise<ReadonlySet<string>>
  /** Resolves once all in-sync replicas have it; `refused`: this record never fits (too large, for one). */
  publish(record: RedrivenRecord): Promise<'acknowledged' | 'refused'>
}

/** Facts about jobs. One fact, one call, as with `Fact`. Their kinds are events of the log, which are stable: hence `replay_…`. */
export type JobFact =
  | { readonly kind: 'jobs_started' }
  /** Queue and schedules cannot be reached; they are tried again, and nothing else waits for them. */
  | { readonly kind: 'jobs_trouble'; readonly error: unknown }
  | { readonly kind: 'job_failed'; readonly job: string; readonly error: unknown }
  | { readonly kind: 'replay_taken'; readonly id: string; readonly epoch: number }
  | {
      readonly kind: 'replay_page_published'
      readonly id: string
      readonly published: number
      readonly failed: number
      readonly skipped: number
    }
  /** A page went into the store; or some of it was skipped before. */
  | ({ readonly kind: 'replay_page_settled'; readonly id: string; readonly skipped: number } & RedriveClosings)
  | { readonly kind: 'replay_waiting'; readonly id: string; readonly attempt: number; readonly error: unknown }
  /** `lost`: another worker has it. */
  | {
      readonly kind: 'replay_parted'
      readonly id: string
      readonly to: Parting['to'] | 'lost'
      readonly error?: unknown
      /** It paused itself. */
      readonly because?: PausedBecause
    }
  | { readonly kind: 'automatic_redrive_started'; readonly id: string; readonly total: number }
  | { readonly kind: 'dead_letters_purged'; readonly purged: number }
  /** Rows of the ledger went into their neighbours. */
  | { readonly kind: 'ledger_merged'; readonly rows: number }
  /** Entries of the audit log and ended redrives that are older than they are kept. */
  | { readonly kind: 'operator_records_purged'; readonly audit: number; readonly redrives: number }

export interface JobObserver {
  observe(fact: JobFact): void
}
