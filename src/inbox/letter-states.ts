/**
 * The states of dead letters, redrives and their members, and how one follows from another. SQL, API, command line and console
 * take theirs from here; tests compare the CHECKs of the migrations and the console's copy (`web/console/states.js`).
 */

interface LetterState {
  /** As the console shows it. */
  readonly label: string
  /** An operator has to decide about it. */
  readonly waits: boolean
  /** Nothing more happens to it: it may be purged. */
  readonly settled: boolean
}

/**
 * States of a dead letter. `failed_again` is none that is stored: such a letter is open, or parked, with a redrive behind it.
 * A filter names it like the others.
 */
export const LETTER_STATES = {
  open: { label: 'open', waits: true, settled: false },
  replaying: { label: 'redriving', waits: false, settled: false },
  resolved: { label: 'resolved', waits: false, settled: true },
  parked: { label: 'parked', waits: true, settled: false },
  discarded: { label: 'discarded', waits: false, settled: true },
} as const satisfies Readonly<Record<string, LetterState>>
export type StoredLetterState = keyof typeof LETTER_STATES

/** Every state that a filter can name. */
export const DEAD_LETTER_STATES = ['open', 'replaying', 'resolved', 'failed_again', 'parked', 'discarded'] as const
export type DeadLetterState = StoredLetterState | 'failed_again'

/** From which states each happens to a letter, and where it leads. Where it may lead to both, it goes back to where it was. */
export const LETTER_MOVES = {
  /** Its redrive takes it up; parked ones and those in a redrive only when the filter names them. */
  redrive: { from: ['open', 'parked', 'replaying'], to: ['replaying'] },
  /** Its record was written, or found stale or a duplicate. */
  resolve: { from: ['open', 'parked', 'replaying'], to: ['resolved'] },
  /** A record that was read again, without a redrive, had its effect. */
  read_again: { from: ['open', 'parked'], to: ['resolved'] },
  fail_again: { from: ['replaying'], to: ['open', 'parked'] },
  release: { from: ['replaying'], to: ['open', 'parked'] },
  discard: { from: ['open', 'parked'], to: ['discarded'] },
  restore: { from: ['discarded'], to: ['open', 'parked'] },
} as const satisfies Readonly<
  Record<string, { readonly from: readonly StoredLetterState[]; readonly to: readonly StoredLetterState[] }>
>

const letterStates = Object.keys(LETTER_STATES) as StoredLetterState[]
export const WAITING = letterStates.filter(state => LETTER_STATES[state].waits)
export const SETTLED = letterStates.filter(state => LETTER_STATES[state].settled)

/** The steps that an operator may request of a redrive. */
export type RedriveStep = 'pause' | 'resume' | 'cancel'

interface RedriveStateRow {
  readonly label: string
  /** A stream has one such at most. */
  readonly underWay: boolean
  /** A worker processes it, or did at its last heartbeat. */
  readonly held: boolean
  readonly final: boolean
  /**
   * What it becomes on each step; two: while its worker lives, and when none does. The same state: it is as wanted. Absent: the
   * step is refused.
   */
  readonly pause?: Next
  readonly resume?: Next
  readonly cancel?: Next
}
type Next = RedriveState | readonly [alive: RedriveState, dead: RedriveState]

/** In the order of a redrive's life. */
export const REDRIVE_STATES = [
  'queued',
  'running',
  'pausing',
  'cancelling',
  'paused',
  'cancelled',
  'done',
  'failed',
] as const
export type RedriveState = (typeof REDRIVE_STATES)[number]

const UNDER_WAY = { underWay: true, final: false } as const
const ENDED = { underWay: false, held: false, final: true } as const

export const REDRIVES: Readonly<Record<RedriveState, RedriveStateRow>> = {
  queued: {
    label: 'waits for a worker',
    ...UNDER_WAY,
    held: false,
    pause: 'paused',
    resume: 'queued',
    cancel: 'cancelled',
  },
  running: {
    ...{ label: 'running', ...UNDER_WAY, held: true },
    ...{ pause: ['pausing', 'paused'], resume: 'running', cancel: ['cancelling', 'cancelled'] },
  },
  pausing: {
    ...{ label: 'pausing', ...UNDER_WAY, held: true },
    ...{ pause: ['pausing', 'paused'], resume: ['running', 'queued'], cancel: ['cancelling', 'cancelled'] },
  },
  cancelling: { label: 'being cancelled', ...UNDER_WAY, held: true, cancel: ['cancelling', 'cancelled'] },
  paused: {
    ...{ label: 'paused', underWay: false, held: false, final: false },
    ...{ pause: 'paused', resume: 'queued', cancel: 'cancelled' },
  },
  cancelled: { label: 'cancelled', ...ENDED, cancel: 'cancelled' },
  done: { label: 'done', ...ENDED },
  failed: { label: 'failed', ...ENDED },
}

/** @returns what becomes of it, which may be what it is; `undefined`: the step is refused */
export function nextState(state: RedriveState, step: RedriveStep, alive: boolean): RedriveState | undefined {
  const next = REDRIVES[state][step]
  return typeof next === 'object' ? next[alive ? 0 : 1] : next
}

/** Whether the step would change anything. */
export function offers(state: RedriveState, step: RedriveStep): boolean {
  const next = nextState(state, step, true)
  return next !== undefined && next !== state
}

export const redrivesWhere = (holds: (state: RedriveStateRow) => boolean): RedriveState[] =>
  REDRIVE_STATES.filter(state => holds(REDRIVES[state]))

/**
 * States of a member of a redrive's frozen set. `inHand`: its letter is in the state `replaying`, until the member's record is settled, or is
 * not published after all.
 */
export const MEMBER_STATES = {
  pending: { left: true, inHand: false, published: false, settled: false },
  claimed: { left: true, inHand: true, published: false, settled: false },
  published: { left: false, inHand: true, published: true, settled: false },
  resolved: { left: false, inHand: false, published: true, settled: true },
  failed_again: { left: false, inHand: false, published: true, settled: true },
  parked: { left: false, inHand: false, published: true, settled: true },
  skipped: { left: false, inHand: false, published: false, settled: false },
  cancelled: { left: false, inHand: false, published: false, settled: false },
} as const
export type MemberState = keyof typeof MEMBER_STATES

export const membersWhere = (what: 'left' | 'inHand' | 'published' | 'settled'): MemberState[] =>
  (Object.keys(MEMBER_STATES) as MemberState[]).filter(state => MEMBER_STATES[state][what])

/** Names of states as SQL has them in `IN (…)`. They are words of these tables: nothing to escape. */
export function sqlList(states: readonly string[]): string {
  return states.map(state => `'${state}'`).join(', ')
}

/**
 * Why a dead letter that a filter takes is not a member of a redrive, or a member was not redriven. The words follow a count, as
 * in `3 beyond the limit`.
 */
export const LEFT_OUT = {
  not_open: { words: 'not open', leftOut: true, skipped: true },
  other_topic: { words: 'from another topic', leftOut: true, skipped: false },
  place_unknown: {
    words: 'at a place that is not known ("holdfast dlq reindex" finds it)',
    leftOut: true,
    skipped: true,
  },
  /** Its check found violations. */
  not_passing: { words: 'would not pass now', leftOut: true, skipped: false },
  bytes_gone: { words: 'whose bytes are no longer in the dead-letter topic', leftOut: true, skipped: true },
  /** Also those that were not looked at, because the limit was reached. */
  over_limit: { words: 'beyond the limit', leftOut: true, skipped: false },
  /** It is too large for the topic, or the topic has no such partition (any more). */
  refused_by_topic: { words: 'refused by the topic', leftOut: false, skipped: true },
  /** Stored there, it would hold off every record of its key that the stream has still to read. */
  ahead_of_stream: { words: 'at a place that the stream has not reached', leftOut: false, skipped: true },
} as const

type Whys<K extends 'leftOut' | 'skipped'> = {
  [W in keyof typeof LEFT_OUT]: (typeof LEFT_OUT)[W][K] extends true ? W : never
}[keyof typeof LEFT_OUT]
export type LeftOutReason = Whys<'leftOut'>
export type SkipReason = Whys<'skipped'>

/** `2 not open, 1 beyond the limit`: in the order of the table. */
export function leftOutWords(counts: Readonly<Partial<Record<LeftOutReason | SkipReason, number>>>): string {
  const whys = Object.keys(LEFT_OUT) as (LeftOutReason | SkipReason)[]
  return whys.flatMap(why => (counts[why] === undefined ? [] : [`${counts[why]} ${LEFT_OUT[why].words}`])).join(', ')
}
