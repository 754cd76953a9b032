import type { ManualPause, MoveRequest } from '../operator.ts'
import type { Clock, Head, Watermarks } from '../ports.ts'
import type { OwnedPartition } from '../run/partition.ts'
import type { StormTally } from '../settlement.ts'

/**
 * Why reading a partition has to begin again where its progress is. After `fetch_failed` and `unreadable` it is looked first whether what
 * stands there can be read at all.
 */
export type RepositionReason =
  /** Its run ended: the storm guard stopped it, or its progress was moved. */
  | 'run_ended'
  /** Kafka answers for it again, so that its position can be known. */
  | 'located'
  /** Its position lies outside of the log, which the client may not report. */
  | 'outside_of_log'
  /** The store does not hold any more what was settled. */
  | 'progress_set_back'
  /** The topic is not the one any more in which its position counts. */
  | 'topic_replaced'
  /** An operator asks for it to be moved. */
  | 'move_requested'
  /** It could not be moved. */
  | 'seek_failed'
  /** The client has stopped reading one of the assigned partitions without reporting which. */
  | 'fetch_failed'
  /** What stands at its position cannot be read. */
  | 'unreadable'

export interface PartitionView {
  readonly owner: OwnedPartition
  /** Where the log begins and ends, as the broker last reported. */
  marks: Marks | undefined
  /** Whether the broker has ever been queried for its end. */
  asked: boolean
  /** The broker reports that the partition has no leader. `sinceMs`: monotonic. */
  leaderless: { readonly text: string; readonly sinceMs: number } | undefined
  /** The record at its progress. It is looked up when no batch of the partition is in flight. */
  head: AskedHead | undefined
  /** Since when it has been behind with nothing in hand, in monotonic ms. */
  behindSinceMs: number | undefined
  /** When something last happened to the work that it has. */
  standing: Standing | undefined
  /** An operator has lifted its pause: what the storm guard counts from now on. */
  lifted: StormTally | undefined
  /** The pause of an operator that is in force, as the store last reported. */
  manualPause: ManualPause | undefined
  /** Carried out before reading begins again. */
  move: MoveRequest | undefined
  repositionFor: RepositionReason | undefined
}

export interface Marks extends Watermarks {
  readonly wallMs: number
  /** Monotonic ms. */
  readonly atMs: number
  /** A later question was not answered. */
  readonly old: boolean
}

export interface AskedHead {
  readonly offset: bigint
  /** `undefined`: there was no answer. */
  readonly head: Head | undefined
  readonly askedAtMs: number
}

export interface Standing {
  /** Monotonic ms. */
  readonly sinceMs: number
  readonly signs: number
  readonly inHand: boolean
}

/**
 * What is known about the partitions that are ours: one view for each assignment. Pollers fill the facts in, rules.ts says what follows
 * from them, and the loop acts on it. An answer that comes after its assignment is over changes a view that is not read any more.
 */
export interface Views {
  /** An assignment begins. */
  enter(owner: OwnedPartition): void
  /** Ends an assignment. What the broker reported about the partition stays valid for its next assignment. */
  leave(key: string): void
  /** The partition is no longer ours. */
  forget(key: string): void
  /** One for each assignment that is not over. */
  all(): MapIterator<PartitionView>
  /** @returns `undefined` when that assignment is over */
  of(owner: OwnedPartition): PartitionView | undefined
}

export function createViews(): Views {
  const views = new Map<string, PartitionView>()
  /** The last one of each partition, whether its assignment is over or not. */
  const last = new Map<string, PartitionView>()

  return {
    enter(owner) {
      const before = last.get(owner.key)
      const view: PartitionView = {
        owner,
        marks: before?.marks,
        asked: before?.asked ?? false,
        leaderless: before?.leaderless,
        head: undefined,
        behindSinceMs: undefined,
        standing: undefined,
        lifted: undefined,
        manualPause: owner.manualPause,
        move: undefined,
        repositionFor: undefined,
      }
      views.set(owner.key, view)
      last.set(owner.key, view)
    },
    leave: key => void views.delete(key),
    forget(key) {
      views.delete(key)
      last.delete(key)
    },
    all: () => views.values(),
    of(owner) {
      const view = views.get(owner.key)
      return view?.owner === owner ? view : undefined
    },
  }
}

/** Notes a reason to begin again. A reason that requires inspecting the record at progress takes precedence over the others. */
export function requestReposition(view: PartitionView | undefined, reason: RepositionReason): void {
  if (view !== undefined && (view.repositionFor === undefined || isSuspect(reason))) view.repositionFor = reason
}

/** Whether it may be the log that is damaged. */
export function isSuspect(reason: RepositionReason | undefined): boolean {
  return reason === 'fetch_failed' || reason === 'unreadable'
}

/** Marks that have just come from the broker. */
export function marksOf(watermarks: Watermarks, clock: Clock): Marks {
  return { ...watermarks, wallMs: clock.now(), atMs: clock.monotonic(), old: false }
}
