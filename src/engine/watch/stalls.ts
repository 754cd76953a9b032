import type { Clock } from '../ports.ts'
import { hasWork, isIdle } from './rules.ts'
import type { Views } from './view.ts'

export interface StallsParts {
  readonly views: Views
  readonly clock: Clock
  /** Whether nothing may be expected of any partition: a dependency is away, or the stream does not run. */
  readonly excused: () => boolean
}

const LOOK_EVERY_MS = 500
/** After this long without a check the process was frozen, together with its work in flight. */
const FROZEN_MS = 30_000

/**
 * Notices partitions on which nothing happens any more although there is work, all that it needs is there, and it is not paused: a
 * promise that was lost, a fetch that never comes. Only a restart ends that.
 * @returns looks at all of them. Call it often: what happens in between is recognized by its traces on the partitions
 */
export function watchStalls({ views, clock, excused }: StallsParts): () => void {
  let lookedAtMs = Number.NEGATIVE_INFINITY
  return () => {
    const nowMs = clock.monotonic()
    if (nowMs - lookedAtMs < LOOK_EVERY_MS) return
    const wasFrozen = nowMs - lookedAtMs > FROZEN_MS
    lookedAtMs = nowMs
    const isExcused = excused()
    for (const view of views.all()) {
      const { signs } = view.owner
      const inHand = !isIdle(view.owner)
      const before = wasFrozen ? undefined : view.standing
      if (isExcused || !hasWork(view, nowMs)) view.standing = undefined
      else if (before?.signs === signs && before.inHand === inHand) view.standing = before
      else view.standing = { sinceMs: nowMs, signs, inHand }
    }
  }
}
