import { ATTENTION, CAUSE_STATES } from './causes.ts'
import {
  DEAD_LETTER_STATES,
  LEFT_OUT,
  LETTER_STATES,
  offers,
  REDRIVE_STATES,
  REDRIVES,
  type RedriveStep,
  redrivesWhere,
  WAITING,
} from './letter-states.ts'

/** The console's table of states: `node scripts/write-states.ts` writes it as web/console/states.js. */
export function consoleStates() {
  const steps = (step: RedriveStep) => REDRIVE_STATES.filter(state => offers(state, step))
  const labelOf = (state: (typeof DEAD_LETTER_STATES)[number]) =>
    state === 'failed_again' ? 'failed again' : LETTER_STATES[state].label
  return {
    STATES: Object.fromEntries(DEAD_LETTER_STATES.map(state => [state, labelOf(state)])),
    WAITING,
    CAUSE_STATES: Object.fromEntries(Object.entries(CAUSE_STATES).map(([state, { label }]) => [state, label])),
    ATTENTION,
    REDRIVE_STATES: Object.fromEntries(REDRIVE_STATES.map(state => [state, REDRIVES[state].label])),
    UNDER_WAY: redrivesWhere(state => state.underWay),
    FINAL: redrivesWhere(state => state.final),
    STEPS: { pause: steps('pause'), resume: steps('resume'), cancel: steps('cancel') },
    LEFT_OUT: Object.fromEntries(Object.entries(LEFT_OUT).map(([why, { words }]) => [why, words])),
  }
}
