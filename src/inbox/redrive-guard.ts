import { grouped } from '../engine/grouped.ts'

/**
 * The rules by which a redrive protects those who start it. It redrives a small part first, the canary, and pauses by itself when
 * half of that fails again; later when too many in a row do; and it rests while the live stream is behind. All of this is pure:
 * the worker asks after each page.
 */

/** Records a second, where neither the operator nor the schedule says otherwise. */
export const USUAL_RATE = 100
export const USUAL_MAX_FAILURES = 20
export const USUAL_YIELD_ABOVE_SECONDS = 10
/** How long the canary waits for outcomes of records that were published to the topic. */
export const CANARY_WAIT_MS = 60_000
const CANARY = { share: 0.01, least: 20, most: 500 }
/** Causes that are counted apart; failures with further ones count without a cause. */
const MOST_CAUSES = 5

/** What a request says; absent: the usual. */
export interface GuardRequest {
  /** 0: none. */
  readonly canary?: number | undefined
  /** `null`: no limit. */
  readonly maxFailures?: number | null | undefined
  /** 0: it rests for no lag. */
  readonly yieldAboveSeconds?: number | undefined
}

/** Without canary and limit: for what is tried again on a schedule, and has limits of its own. */
export const NO_GUARD: GuardRequest = { canary: 0, maxFailures: null }

export interface GuardRules {
  /** So many outcomes are waited for before the others follow; 0: it has none. */
  readonly canary: number
  /** It pauses when more than so many in a row fail again; `null`: it does not. */
  readonly maxFailures: number | null
  /** It rests while the lag of the live stream is above; 0: it does not. */
  readonly yieldAboveSeconds: number
}

/** @param total members of the set: one that is no larger than its canary needs none */
export function guardRules(asked: GuardRequest, total: number): GuardRules {
  const { canary = usualCanary(total), maxFailures = USUAL_MAX_FAILURES } = asked
  return {
    canary: canary < total ? canary : 0,
    maxFailures,
    yieldAboveSeconds: asked.yieldAboveSeconds ?? USUAL_YIELD_ABOVE_SECONDS,
  }
}

function usualCanary(total: number): number {
  return Math.min(CANARY.most, Math.max(CANARY.least, Math.ceil(total * CANARY.share)))
}

/** Why a letter failed again. Payload-free. */
export interface FailureCause {
  readonly reason: string
  readonly error: string
  readonly pointer: string
}

/** How one member ended, in the order of the set. Members that were skipped have no outcome. */
export interface MemberOutcome {
  /** `undefined`: it was resolved. */
  readonly failure: FailureCause | undefined
}

/** What has been counted since the redrive began, or since a person let it go on after it had paused itself. */
export interface GuardCounts {
  /** Position of the last member that was looked at, from 1; 0: none. */
  readonly at: number
  /** The canary is passed, or an operator has let the redrive go on without it. */
  readonly past_canary: boolean
  /** How many of the canary are settled. */
  readonly settled: number
  readonly failed: number
  /** How many of those that follow it failed in a row. */
  readonly in_a_row: number
  readonly causes: readonly CountedCause[]
}

interface CountedCause extends FailureCause {
  readonly count: number
}

const NONE = { settled: 0, failed: 0, in_a_row: 0, causes: [] } as const
export const NOTHING_COUNTED: GuardCounts = { at: 0, past_canary: false, ...NONE }

/** A person lets it go on: nothing that was counted stays, and there is no second canary. */
export function countsAfterResume({ at }: Pick<GuardCounts, 'at'>): GuardCounts {
  return { at, past_canary: true, ...NONE }
}

/** `canary`: half of it or more failed again; `failures`: too many in a row did; `unsettled`: the outcomes of the canary did not come. */
export const PAUSE_KINDS = ['canary', 'failures', 'unsettled'] as const
export type PauseKind = (typeof PAUSE_KINDS)[number]

/** Why a redrive has paused itself. Names of fields are those of the API. */
export interface PausedBecause {
  readonly kind: PauseKind
  /** The most frequent cause of those that failed again; `null`: none failed. */
  readonly reason: string | null
  readonly error: string | null
  readonly pointer: string | null
  readonly counts: {
    /** Failed again, of so many: of the canary, or in a row. */
    readonly failed_again: number
    readonly of: number
    /** How many of those are settled by now. */
    readonly settled: number
    /** How many of those that failed again have that cause. */
    readonly same_cause: number
  }
  /** All of this in a sentence. */
  readonly message: string
}

export interface GuardVerdict {
  readonly counts: GuardCounts
  /** `undefined`: it goes on. */
  readonly pause: PausedBecause | undefined
}

/**
 * Counts the outcomes that have come since the last time.
 * @param outcomes in the order of the set
 * @param at position of the last member that was looked at for them
 */
export function judgeOutcomes(
  before: GuardCounts,
  rules: GuardRules,
  outcomes: readonly MemberOutcome[],
  at: number,
): GuardVerdict {
  let counts: GuardCounts = { ...before, at, past_canary: before.past_canary || rules.canary === 0 }
  let pause: PausedBecause | undefined
  for (const { failure } of outcomes) {
    if (!counts.past_canary) {
      const failed = counts.failed + (failure === undefined ? 0 : 1)
      counts = { ...counts, settled: counts.settled + 1, failed, causes: withCause(counts.causes, failure) }
      if (counts.settled < rules.canary) continue
      if (failed * 2 >= rules.canary) pause = pausedAfterCanary(counts, rules)
      counts = { ...counts, past_canary: true, ...NONE }
    } else if (failure === undefined) {
      counts = { ...counts, in_a_row: 0, causes: [] }
    } else {
      counts = { ...counts, in_a_row: counts.in_a_row + 1, causes: withCause(counts.causes, failure) }
      if (rules.maxFailures === null || counts.in_a_row <= rules.maxFailures) continue
      // What follows in the same page has failed already, so that the number is that of the whole run.
      if (pause === undefined || pause.kind === 'failures') pause = pausedAfterFailures(counts)
    }
  }
  return { counts, pause }
}

/** How many members the next page may have at most. */
export function pageLimit(counts: GuardCounts, rules: GuardRules, most: number): number {
  if (!counts.past_canary && rules.canary > 0) return Math.min(most, rules.canary - counts.settled)
  // A run of failures is followed closely, so that it ends at the limit and not a page later.
  if (rules.maxFailures !== null && counts.in_a_row > 0) {
    return Math.min(most, Math.max(1, rules.maxFailures + 1 - counts.in_a_row))
  }
  return most
}

export function isInCanary(counts: GuardCounts, rules: GuardRules): boolean {
  return rules.canary > 0 && !counts.past_canary
}

/** The outcomes of the canary have not come in time. */
export function pausedUnsettled(counts: GuardCounts, rules: GuardRules): PausedBecause {
  const { settled, failed } = counts
  return pausedBecause('unsettled', counts.causes, { failed_again: failed, of: rules.canary, settled })
}

function pausedAfterCanary(counts: GuardCounts, { canary }: GuardRules): PausedBecause {
  return pausedBecause('canary', counts.causes, { failed_again: counts.failed, of: canary, settled: counts.settled })
}

function pausedAfterFailures({ in_a_row: run, causes }: GuardCounts): PausedBecause {
  return pausedBecause('failures', causes, { failed_again: run, of: run, settled: run })
}

function pausedBecause(
  kind: PauseKind,
  causes: readonly CountedCause[],
  numbers: Omit<PausedBecause['counts'], 'same_cause'>,
): PausedBecause {
  const [main] = causes.toSorted((a, b) => b.count - a.count)
  const cause = main === undefined ? NO_CAUSE : { reason: main.reason, error: main.error, pointer: main.pointer }
  const counts = { ...numbers, same_cause: main?.count ?? 0 }
  return { kind, ...cause, counts, message: pausedWords(kind, counts, main) }
}

const NO_CAUSE = { reason: null, error: null, pointer: null }

function pausedWords(kind: PauseKind, counts: PausedBecause['counts'], main: FailureCause | undefined): string {
  const { failed_again: failed, of, settled, same_cause: same } = counts
  if (kind === 'unsettled') {
    return (
      `paused itself: ${grouped(settled)} of the ${grouped(of)} records of the canary were settled within ${CANARY_WAIT_MS / 1000} s. ` +
      '"holdfast lag" says whether a consumer settles them'
    )
  }
  const cause = main === undefined ? '' : ` with ${causeWords(main)}`
  const most = same < failed && main !== undefined ? `, ${grouped(same)} of them` : ''
  return kind === 'canary'
    ? `paused itself after the canary: ${grouped(failed)} of ${grouped(of)} failed again${most}${cause}`
    : `paused itself: ${grouped(failed)} in a row failed again${most}${cause}`
}

/** `schema_violation required /payment/bank` */
export function causeWords({ reason, error, pointer }: FailureCause): string {
  return [reason, error, pointer].filter(part => part !== '').join(' ')
}

function withCause(causes: readonly CountedCause[], failure: FailureCause | undefined): readonly CountedCause[] {
  if (failure === undefined) return causes
  const { reason, error, pointer } = failure
  const same = causes.findIndex(one => one.reason === reason && one.error === error && one.pointer === pointer)
  if (same >= 0) return causes.map((one, index) => (index === same ? { ...one, count: one.count + 1 } : one))
  return causes.length < MOST_CAUSES ? [...causes, { reason, error, pointer, count: 1 }] : causes
}

/** What a redrive that is under way waits for, while it is not at work. Names of fields are those of the API. */
export interface WaitingFor {
  /** `lag`: the live stream is behind; `outcomes`: those of the canary. */
  readonly kind: 'lag' | 'outcomes'
  readonly message: string
}

export const WAITS_FOR_OUTCOMES: WaitingFor = {
  kind: 'outcomes',
  message: 'waits until the records of its canary are settled',
}

/** @param lagSeconds of the live stream; `undefined`: it is not known, and holds nothing up */
export function restsFor({ yieldAboveSeconds }: GuardRules, lagSeconds: number | undefined): WaitingFor | undefined {
  if (yieldAboveSeconds === 0 || lagSeconds === undefined || lagSeconds <= yieldAboveSeconds) return undefined
  const message = `rests: the stream is ${grouped(Math.round(lagSeconds))} s behind, and it goes on below ${grouped(yieldAboveSeconds)} s`
  return { kind: 'lag', message }
}

/** `null`: it is not over, or some of what it published is not settled yet. */
export type RedriveVerdict = 'all' | 'partly' | 'none' | null

/** How many of the members were resolved, once that is known of all. */
export function verdictOf(redrive: {
  readonly isOver: boolean
  readonly total: number
  readonly published: number
  readonly resolved: number
  readonly failed_again: number
  readonly parked: number
}): RedriveVerdict {
  const { isOver, total, published, resolved, failed_again, parked } = redrive
  if (!isOver || published > resolved + failed_again + parked) return null
  if (resolved === 0) return 'none'
  return resolved < total ? 'partly' : 'all'
}

/** With separators, as in `1,000`. */
