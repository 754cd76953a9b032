import { UsageError } from '../engine/errors.ts'
import type { Operator } from '../engine/operator.ts'
import type { DeadLetterFilter } from './filter.ts'
import { type LeftOutReason, leftOutWords, type RedriveState, type SkipReason } from './letter-states.ts'
import type { RedriveCheck } from './redrive-check.ts'
import type { GuardRequest, PausedBecause, RedriveVerdict, WaitingFor } from './redrive-guard.ts'
import type { HeldBy } from './redrive-held.ts'

/** Redrives, as operators work with them. Names of fields are those of the columns. */

/** What became of a member of the frozen set. Also the values of the metric label `result`. */
export const REDRIVE_RESULTS = ['published', 'resolved', 'failed_again', 'parked', 'skipped'] as const

/** Where a redrive goes: into the tables of the stream (no other consumer notices), or to its topic once more (every consumer of it does). */
export const REDRIVE_TARGETS = ['store', 'topic'] as const
export type RedriveTarget = (typeof REDRIVE_TARGETS)[number]
export const USUAL_TARGET = 'store' satisfies RedriveTarget

export interface RedriveRequest {
  readonly filter: DeadLetterFilter
  readonly to: RedriveTarget
  /** Records a second; `undefined`: as fast as it goes. */
  readonly rate: number | undefined
  /** The oldest so many of the matching ones. */
  readonly limit: number | undefined
  readonly onlyPassing: boolean
  /** Replaces the value of the one dead letter that the filter names. Already validated. */
  readonly edited: Buffer | undefined
  readonly automatic: boolean
  /** When it is to pause and to rest by itself. */
  readonly guard: GuardRequest
}

/** What a redrive that goes on does otherwise from then on; absent: as before. There is no second canary. */
export interface ResumeLimits {
  /** Records a second; `null`: as fast as it goes. */
  readonly rate?: number | null | undefined
  readonly maxFailures?: GuardRequest['maxFailures']
  readonly yieldAboveSeconds?: GuardRequest['yieldAboveSeconds']
}

/** Those that are given, by the names of their columns. */
export function givenLimits({ rate, maxFailures, yieldAboveSeconds }: ResumeLimits): Partial<LimitColumns> {
  return {
    ...(rate === undefined ? {} : { rate }),
    ...(maxFailures === undefined ? {} : { max_failures: maxFailures }),
    ...(yieldAboveSeconds === undefined ? {} : { yield_above: yieldAboveSeconds }),
  }
}
type LimitColumns = Pick<Redrive, 'rate' | 'max_failures' | 'yield_above'>

/** What a request would do. Made from the same set as the redrive itself. */
export interface RedrivePreview {
  /** Members of the set. */
  readonly count: number
  readonly by_reason: Readonly<Record<string, number>>
  /** RFC 3339, of the latest failures in the set; `null` when it is empty. */
  readonly oldest: string | null
  readonly newest: string | null
  /** Matching ones that are not members, by why; reasons that none is left out for are absent. */
  readonly left_out: Readonly<Partial<Record<LeftOutReason, number>>>
  /** Other redrives that are not over, and have letters of this filter in their sets; mostly none. */
  readonly held_by: readonly HeldBy[]
  /** How many would pass now; `null`: Kafka, which has the bytes, did not answer, or the value is an edited one, which passes. */
  readonly check: RedriveCheck | null
}

export interface Redrive {
  readonly id: string
  readonly state: RedriveState
  /** As text, in the filter grammar. */
  readonly filter: string
  readonly to: RedriveTarget
  readonly requested_by: string
  readonly because: string
  readonly automatic: boolean
  readonly only_passing: boolean
  readonly edited: boolean
  readonly rate: number | null
  readonly total: number
  /** Members whose turn has not come. */
  readonly pending: number
  /** To the topic: published and acknowledged, whatever became of them since. Into the store: settled. */
  readonly published: number
  /** What their own settlement said of those. What is missing is not settled yet. */
  readonly resolved: number
  readonly failed_again: number
  readonly parked: number
  /** Neither published nor settled: still waiting as before. */
  readonly skipped: number
  /** Counts by reason of those that the index still holds. Reasons that none was skipped for are absent. */
  readonly skipped_because: Readonly<Partial<Record<SkipReason, number>>>
  /** The redrive ended before their turn: they wait as before. */
  readonly released: number
  /** How many were resolved, once that is known of all; `null` before. */
  readonly verdict: RedriveVerdict
  /** So many members are redriven and judged before the others; 0: it has no canary. */
  readonly canary: number
  /** It pauses itself when more in a row fail again; `null`: it does not. */
  readonly max_failures: number | null
  /** It rests while the lag of the stream is above, in seconds; 0: it does not. */
  readonly yield_above: number
  /** Why it paused itself, the last time; `null`: it did not, or a person has let it go on since. */
  readonly paused_because: PausedBecause | null
  /** What it waits for while it is running; `null`: it is at work. */
  readonly waiting_for: WaitingFor | null
  readonly created_at: string
  readonly started_at: string | null
  readonly finished_at: string | null
  /** Why it failed. Payload-free. */
  readonly error: string | null
}

/** Another redrive is running; `running` identifies it. */
export class RedriveRunningError extends Error {
  readonly running: Redrive
  constructor(running: Redrive) {
    super(
      `the redrive ${running.id} of ${running.requested_by} is ${running.state}; only one runs at a time: ` +
        'wait for it, pause it or cancel it',
    )
    this.name = 'RedriveRunningError'
    this.running = running
  }
}

/** The set is empty. */
export class NothingToRedriveError extends UsageError {
  override readonly name = 'NothingToRedriveError'
  readonly preview: RedrivePreview
  constructor(preview: RedrivePreview) {
    const left = leftOutWords(preview.left_out)
    const why = left === '' ? 'no dead letter matches the filter' : `what matches the filter is left out (${left})`
    super([`nothing to redrive: ${why}`, ...preview.held_by.map(({ message }) => message)].join('; '))
    this.preview = preview
  }
}

/** Starting, watching and steering redrives. The work itself is done by processes that run jobs. */
export interface Redrives {
  preview(request: RedriveRequest): Promise<RedrivePreview>
  /** Freezes the set and queues the job. @throws RedriveRunningError NothingToRedriveError; UsageError when an edit is asked for and not exactly one letter matches */
  start(request: RedriveRequest, by: Operator): Promise<Redrive>
  get(id: string): Promise<Redrive | undefined>
  /** Latest first. */
  list(limit: number): Promise<Redrive[]>
  /** Takes effect between two pages. @throws UsageError when its state does not allow it */
  pause(id: string, by: Operator): Promise<Redrive>
  /** @throws RedriveRunningError; UsageError, also when there are limits and a worker goes by others just now */
  resume(id: string, by: Operator, limits?: ResumeLimits): Promise<Redrive>
  /** What is published stays published; the others wait as before. */
  cancel(id: string, by: Operator): Promise<Redrive>
}
