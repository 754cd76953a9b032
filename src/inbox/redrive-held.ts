import { grouped } from '../engine/grouped.ts'
import { MEMBER_STATES, type MemberState, REDRIVES, type RedriveState, redrivesWhere } from './letter-states.ts'

/** Which letters another redrive, which is not over, has in its set: what is redriven twice is found stale, or not open, the second time. */

/** Names of fields are those of the API. */
export interface HeldBy {
  /** The redrive. */
  readonly replay: string
  readonly state: RedriveState
  /** How many of those that the filter takes it has still to redrive, or to settle. */
  readonly letters: number
  /** All of this in a sentence, and what to do about it. */
  readonly message: string
}

/** Redrives that may hold letters. */
export const HOLDING = redrivesWhere(({ final }) => !final)
/** Their members that are not settled yet. */
export const HELD_MEMBERS = (Object.keys(MEMBER_STATES) as MemberState[]).filter(
  state => MEMBER_STATES[state].left || MEMBER_STATES[state].inHand,
)

export function heldBy(replay: string, state: RedriveState, letters: number): HeldBy {
  const resume = `resume it ("holdfast dlq redrive --resume ${replay}")`
  const first = REDRIVES[state].underWay ? 'wait for it' : resume
  const message = `the redrive ${replay}, which is ${state}, holds ${grouped(letters)} of what matches: ${first}, or cancel it ("holdfast dlq cancel ${replay}")`
  return { replay, state, letters, message }
}
