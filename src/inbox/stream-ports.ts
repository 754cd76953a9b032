import type { Figures } from '../engine/figures.ts'
import type { Lift, Lifted, ManualPause, Operator } from '../engine/operator.ts'
import type { TimelineSeries, TimelineWindow } from '../engine/watch/timeline.ts'

/** The state of a stream in the database, whichever process consumes it, and what an operator may change about it. */

export interface PartitionProgress {
  readonly partition: number
  /** Progress: below it everything is settled. */
  readonly next: bigint
  /** Why it waits for an operator; `undefined` when it does not. */
  readonly pausedFor: string | undefined
  /** The cause, in a clause for an operator; `undefined` when it does not wait, or the cause was not noted. */
  readonly pausedBecause: string | undefined
  /** The pause by which an operator holds it: its own, else that of the stream. */
  readonly manualPause?: ManualPause | undefined
  /** Wall clock in ms of the last settled batch. */
  readonly lastProgressMs: number
}

export interface StoredStream {
  /** Each partition that was ever consumed by the group. @throws StoreUnavailableError, as every method does */
  partitions(): Promise<PartitionProgress[]>
  /** Records a second, settled by all processes of the group in the last few seconds. */
  rate(): Promise<number>
  deadLetters(): Promise<Figures['deadLetters']>
  /** Holds a partition, or the whole stream. @throws PauseRefusal */
  pause(partition: number | undefined, by: Operator): Promise<ManualPause>
  /** Lifts pauses that wait for an operator, on one partition or on all. @throws PauseRefusal */
  liftPauses(partition: number | undefined, lift: Lift | undefined, by: Operator): Promise<Lifted>
}

/** A pause of an operator, as JSON has it everywhere. */
export interface ManualPauseJson {
  readonly by: string
  readonly because: string
  /** RFC 3339. */
  readonly since: string
  /** Whether the whole stream is paused, and not the partition alone. */
  readonly whole_stream: boolean
}

export function manualPauseJson({ partition, by, because, sinceMs }: ManualPause): ManualPauseJson {
  return { by, because, since: new Date(sinceMs).toISOString(), whole_stream: partition === undefined }
}

export function liftedJson({ lifted, remaining }: Lifted) {
  return {
    lifted: lifted.map(({ partition, kind, deadLettersInARow }) => {
      return { partition: partition ?? null, paused_for: kind, dead_letters_in_a_row: deadLettersInARow }
    }),
    remaining: remaining.map(pause => ({ partition: pause.partition ?? null, ...manualPauseJson(pause) })),
  }
}

/** Whether dead letters whose cause has passed are redriven without being asked for. */
export interface AutomaticRedrive {
  status(): Promise<AutomaticRedriveStatus>
  set(on: boolean, by: Operator): Promise<AutomaticRedriveStatus>
}

export interface AutomaticRedriveStatus {
  readonly on: boolean
  /** `null`: no operator has used it yet. */
  readonly changed_by: string | null
  readonly changed_at: string | null
  /** RFC 3339; `null` while it is off, or not known. */
  readonly next_run: string | null
}

/** What happened to a stream, whichever processes consume it: at most `limit` of each. @throws StoreUnavailableError, as every method does */
export interface TimelineSource {
  /** Figures, and what stood still, the longest first. */
  series(window: TimelineWindow, maxStops: number): Promise<TimelineSeries>
  /** The latest first. */
  starts(window: TimelineWindow, limit: number): Promise<StartMark[]>
  /** The latest first. */
  actions(window: TimelineWindow, limit: number): Promise<ActionMark[]>
}

/** Processes that were started within one step, with one version. */
export interface StartMark {
  /** The latest of them. */
  readonly at: Date
  readonly version: string
  readonly count: number
  /** The start before was one of another version, or there was none. */
  readonly deployed: boolean
}

export interface ActionMark {
  readonly at: Date
  readonly who: string
  readonly what: string
  readonly filter: string
  readonly because: string
}
