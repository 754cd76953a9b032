import { UsageError } from '../engine/errors.ts'
import type { Operator } from '../engine/operator.ts'

/**
 * The states of a cause. SQL, API, command line and console take them from here; tests compare the CHECK of the migration and the
 * console's copy (`web/console/states.js`).
 */
export const CAUSE_STATES = {
  /** No operator has said anything of it yet. */
  new: { label: 'new', attention: true },
  /** It failed again after all of it was resolved, by settlement or by an operator's word. */
  regressed: { label: 'came back', attention: true },
  /** Its snooze is over: the time has passed, or more dead letters wait than was agreed. */
  due: { label: 'snooze over', attention: true },
  known: { label: 'known', attention: false },
  snoozed: { label: 'snoozed', attention: false },
  resolved: { label: 'resolved', attention: false },
} as const satisfies Readonly<Record<string, { readonly label: string; readonly attention: boolean }>>
export type CauseState = keyof typeof CAUSE_STATES

const names = Object.keys(CAUSE_STATES) as CauseState[]
export type AttentionState = {
  [S in CauseState]: (typeof CAUSE_STATES)[S]['attention'] extends true ? S : never
}[CauseState]
export const ATTENTION = names.filter((state): state is AttentionState => CAUSE_STATES[state].attention)
/** States that an operator may set; the others follow from the dead letters. */
const SETTABLE = ['known', 'snoozed', 'resolved'] as const satisfies readonly CauseState[]
export type SettableState = (typeof SETTABLE)[number]

/** Identifies a cause within its stream. */
export interface CauseKey {
  readonly reason: string
  readonly error: string
  readonly pointer: string
}

export interface Cause {
  readonly id: string
  readonly state: CauseState
  /** RFC 3339: when it came into its state. */
  readonly since: string
  /** The version that was deployed when it appeared, or came back; `null`: not known. */
  readonly version: string | null
  readonly owner: string | null
  readonly note: string | null
  /** RFC 3339; `null`: no time ends the snooze. */
  readonly snoozed_until: string | null
  /** So many waiting dead letters end the snooze; `null`: no number does. */
  readonly snoozed_above: number | null
  /** The operator who changed it last; `null`: none has. */
  readonly changed_by: string | null
  readonly changed_at: string | null
}

/** A cause with what it is about, as lists have it. */
export interface ListedCause extends Cause, CauseKey {
  /** Dead letters that wait for a decision: open and parked ones. */
  readonly waiting: number
  /** All that the index still holds, in whatever state. */
  readonly count: number
}

/** @throws StoreUnavailableError, as every method does */
export interface Causes {
  /** Makes and renews the rows from the dead letters. Another process that does so at the same time is enough. */
  refresh(): Promise<void>
  /** As they were at the last refresh, those that most wait for first. */
  list(): Promise<ListedCause[]>
  get(id: string): Promise<ListedCause | undefined>
  /** @returns `undefined`: there is no such cause. @throws UsageError as {@link requireChange} does */
  change(id: string, change: CauseChange, by: Operator): Promise<ListedCause | undefined>
}

/** What an operator changes; what is absent stays. An empty owner or note removes it. */
export interface CauseChange {
  readonly state?: SettableState
  readonly snoozeSeconds?: number
  /** So many more than wait now. */
  readonly snoozeMore?: number
  readonly owner?: string
  readonly note?: string
}

const MAX_OWNER = 100
const MAX_NOTE = 2_000
/** Ten years: what is added to now must still be a date. */
const MAX_SNOOZE_SECONDS = 315_360_000
const MAX_SNOOZE_MORE = 1_000_000_000

/** @throws UsageError that names what is wrong, and what would be right */
export function requireChange({ state, snoozeSeconds, snoozeMore, owner, note }: CauseChange): void {
  const ends = [snoozeSeconds, snoozeMore].filter(end => end !== undefined).length
  if (state === 'snoozed' && ends !== 1) {
    throw new UsageError(
      'a snooze needs one end: a time after which, or a number of further dead letters at which it is over',
    )
  }
  if (state !== 'snoozed' && ends > 0) throw new UsageError('an end of a snooze is for the state "snoozed" only')
  if (ends === 0 && state === undefined && owner === undefined && note === undefined) {
    throw new UsageError('nothing to change: give a state, an owner or a note')
  }
  for (const [value, most, what] of [
    [snoozeSeconds, MAX_SNOOZE_SECONDS, 'seconds'],
    [snoozeMore, MAX_SNOOZE_MORE, 'dead letters'],
  ] as const) {
    if (value === undefined) continue
    if (!Number.isInteger(value) || value < 1 || value > most) {
      throw new UsageError(`a snooze takes from 1 to ${most} ${what}`)
    }
  }
  if ((owner?.length ?? 0) > MAX_OWNER) throw new UsageError(`an owner has at most ${MAX_OWNER} characters`)
  if ((note?.length ?? 0) > MAX_NOTE) throw new UsageError(`a note has at most ${MAX_NOTE} characters`)
}
