import { pauseOf, type RequestStore } from '../operator.ts'
import type { Clock } from '../ports.ts'
import { askAgain } from './ask-again.ts'
import { requestReposition, type Views } from './view.ts'

export interface RequestsParts {
  readonly requests: RequestStore
  readonly views: Views
  readonly clock: Clock
}

/** A request takes effect within about this time. An idle process asks as often. */
const INTERVAL_MS = 1_000

/**
 * Operators leave their requests in the store, wherever a partition is consumed just now: so the store is asked, as long as any is ours.
 * @returns asks when it is time to; it waits for nothing
 */
export function pollRequests({ requests, views, clock }: RequestsParts): () => void {
  return askAgain(clock, INTERVAL_MS, async () => {
    // Those of now: a partition that is assigned while the store answers has read what is asked of it by itself, and later.
    const asked = [...views.all()]
    if (asked.length === 0) return
    const { pauses, moves } = await requests.read()
    for (const view of asked) {
      const { partition } = view.owner
      view.manualPause = pauseOf(pauses, partition)
      view.move = moves.find(move => move.partition === partition)
      if (view.move !== undefined) requestReposition(view, 'move_requested')
    }
  })
}
