import { UsageError } from './errors.ts'

/** Who acts on a stream, and why: both go into the audit log. */
export interface Operator {
  /** Name of the key, or of the person at the terminal. */
  readonly who: string
  readonly because: string
}

/** The name under which automatic redrives, and pauses that a redrive made by itself, stand in the audit log; no person can take it. */
export const AUTOMATIC = 'automatic'
/** What the audit log holds where no reason was given. */
const NOT_SAID = 'not said'

/** What a name of an operator may be, in words that complete "must be …". */
export const OPERATOR_NAME = "1 to 64 of A-Z a-z 0-9 '.' '_' '-' '+' '@', other than `automatic`"
const NAME = /^[A-Za-z0-9._+@-]{1,64}$/

/** The one rule for names of operators, whether a flag, a setting or an API key gives them. */
export function isOperatorName(text: string): boolean {
  return NAME.test(text) && text !== AUTOMATIC
}

/** @param because blank or `undefined`: none was given */
export function operatorOf(who: string, because: string | undefined): Operator {
  return { who, because: because?.trim() || NOT_SAID }
}

/** A pause that an operator has made: of one partition, or of all that the stream has, now and later. */
export interface ManualPause {
  /** `undefined`: all of them. */
  readonly partition: number | undefined
  readonly by: string
  readonly because: string
  /** Wall clock of the database, in ms. */
  readonly sinceMs: number
}

/** A request to move a partition: its owner lets go of it, carries the move out, and takes it again at the new place. */
export interface MoveRequest {
  readonly id: string
  readonly partition: number
  readonly to: bigint
}

export interface OperatorRequests {
  readonly pauses: readonly ManualPause[]
  /** Those that are not carried out, and not too old. */
  readonly moves: readonly MoveRequest[]
}

/** Where operators leave their requests for whichever process consumes the stream. */
export interface RequestStore {
  /** @throws StoreUnavailableError StoreMisconfiguredError, as the other method does */
  read(): Promise<OperatorRequests>
  /**
   * Moves progress in one transaction with the ledger's row, the entry of the audit log and the end of the request.
   * @returns where it was (`undefined`: it was never consumed); nothing when another process was faster, or the request is too old
   */
  move(request: MoveRequest): Promise<{ readonly from: bigint | undefined } | undefined>
}

/** No operator can ask for anything. */
export const NO_REQUESTS: RequestStore = {
  read: async () => ({ pauses: [], moves: [] }),
  move: async () => undefined,
}

/** The pause that holds a partition: its own, else that of the stream. */
export function pauseOf(pauses: readonly ManualPause[], partition: number): ManualPause | undefined {
  return pauses.find(pause => pause.partition === partition) ?? pauses.find(pause => pause.partition === undefined)
}

/** Pauses that wait for an operator, by who made them. */
export const PAUSE_KINDS = ['operator', 'storm_guard'] as const
export type PauseKind = (typeof PAUSE_KINDS)[number]
/** Which of them are to be lifted. */
export const LIFTS = [...PAUSE_KINDS, 'all'] as const
export type Lift = (typeof LIFTS)[number]

export interface LiftedPause {
  /** `undefined`: it was one of the whole stream. */
  readonly partition: number | undefined
  readonly kind: PauseKind
  /** What the storm guard counted, when the pause is one of its own; else 0. */
  readonly deadLettersInARow: number
}

export interface Lifted {
  readonly lifted: readonly LiftedPause[]
  /** Pauses of operators that still hold what was asked for, or a part of it. */
  readonly remaining: readonly ManualPause[]
}

/** What an operator asked for does not fit what stands in the database. The message says what does. */
export class PauseRefusal extends UsageError {
  readonly code: 'already_paused' | 'no_such_partition' | 'two_pauses' | 'stream_paused'
  constructor(code: PauseRefusal['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** `partition 3 is paused by ada since 2026-11-29T08:00:00.000Z (the reason)`. */
export function pauseText({ partition, by, because, sinceMs }: ManualPause): string {
  const what = partition === undefined ? 'the whole stream' : `partition ${partition}`
  return `${what} is paused by ${by} since ${new Date(sinceMs).toISOString()} (${because})`
}
