import { AUTOMATIC, type Operator } from '../../engine/operator.ts'
import type { DeadLetterFilter } from '../filter.ts'
import { NO_GUARD, USUAL_RATE } from '../redrive-guard.ts'
import {
  NothingToRedriveError,
  type Redrive,
  RedriveRunningError,
  type Redrives,
  USUAL_TARGET,
} from '../redrive-ports.ts'
import type { AutomaticRedrive } from '../stream-ports.ts'

export interface AutomaticRedriveParts {
  readonly redrives: Pick<Redrives, 'start' | 'list'>
  readonly automatic: Pick<AutomaticRedrive, 'status'>
  /** How long a dead letter waits for its first automatic redrive, its second …, in ms. */
  readonly automaticDelaysMs: readonly number[]
  /** In ms since the epoch. */
  readonly now: () => number
}

const BY: Operator = { who: AUTOMATIC, because: 'the cause may have passed' }
/** Redrives that are looked through: for one that an operator has paused, and for letters that were tried in vain. */
const RECENT = 200

/**
 * Starts a redrive of what has waited long enough, if there is any: of those that failed for a temporary reason,
 * the ones never redriven after the first delay, those redriven once after the second, and so on. Letters that an automatic
 * redrive had and did not publish wait as long again: what is gone from its topic, or was just cancelled by an operator, would
 * otherwise come back each minute for ever.
 * @returns what it started; nothing while the switch is off, another redrive is under way, or an automatic one is paused
 */
export async function redriveAutomatically(parts: AutomaticRedriveParts): Promise<Redrive | undefined> {
  const { redrives, automatic, automaticDelaysMs, now } = parts
  if (!(await automatic.status()).on) return undefined
  const earlier = (await redrives.list(RECENT)).filter(redrive => redrive.automatic)
  // While an automatic one is paused, the next minute does not start another.
  if (earlier.some(redrive => redrive.state === 'paused')) return undefined
  for (const [times, delayMs] of automaticDelaysMs.entries()) {
    try {
      const inVain = earlier.filter(redrive => leftSome(redrive) && now() - Date.parse(redrive.created_at) < delayMs)
      const filter = dueFilter(times, delayMs, inVain)
      const request = { filter, rate: USUAL_RATE, limit: undefined, onlyPassing: false, edited: undefined }
      return await redrives.start({ ...request, to: USUAL_TARGET, automatic: true, guard: NO_GUARD }, BY)
    } catch (error) {
      if (error instanceof RedriveRunningError) return undefined
      if (!(error instanceof NothingToRedriveError)) throw error
    }
  }
  return undefined
}

function leftSome({ state, skipped }: Redrive): boolean {
  return skipped > 0 || state === 'cancelled' || state === 'failed'
}

function dueFilter(times: number, delayMs: number, inVain: readonly Redrive[]): DeadLetterFilter {
  return {
    terms: [
      { field: 'reason', not: false, values: ['retries_exhausted', 'unexpected_error'] },
      { field: 'state', not: false, values: ['open'] },
      { field: 'replays', not: false, comparison: '=', count: times },
      { field: 'age', not: false, comparison: '>', ms: delayMs },
      ...(inVain.length === 0 ? [] : [{ field: 'replay', not: true, values: inVain.map(({ id }) => id) } as const]),
    ],
  }
}
