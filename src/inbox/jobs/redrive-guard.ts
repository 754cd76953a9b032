import type { Clock } from '../../engine/ports.ts'
import {
  CANARY_WAIT_MS,
  type GuardCounts,
  isInCanary,
  judgeOutcomes,
  pageLimit,
  pausedUnsettled,
  restsFor,
  WAITS_FOR_OUTCOMES,
  type WaitingFor,
} from '../redrive-guard.ts'
import type { Parting, RedriveInHand, RedriveStore } from '../redrive-work.ts'
import type { LagAnswer } from '../stream-lag.ts'

/** What the rules of a redrive say before its next page. */
export type GuardAnswer =
  | { readonly kind: 'go' }
  /** It looks again after a while. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'pause'; readonly parting: Parting }

export interface RedriveGuard {
  /** Looks at what became of the members, and at the live stream; notes what it waits for. */
  look(): Promise<GuardAnswer>
  /** How many members the next page may have. */
  limit(most: number): number
}

export interface RedriveGuardParts {
  readonly redrive: RedriveInHand
  readonly store: Pick<RedriveStore, 'outcomes' | 'noteGuard'>
  /** Lag of the live stream. */
  readonly lag: () => Promise<LagAnswer>
  readonly clock: Clock
}

/** Applies the rules to one redrive, from what its earlier workers have counted. */
export function createRedriveGuard({ redrive, store, lag, clock }: RedriveGuardParts): RedriveGuard {
  const { rules } = redrive
  let { counts } = redrive
  /** Since when no outcome of the canary has come, though one is due. */
  let waitsSinceMs: number | undefined
  let noted = JSON.stringify([counts, undefined])

  /** @returns whether the next member is published and not settled yet; or why the redrive is to pause */
  async function count(): Promise<boolean | Extract<GuardAnswer, { kind: 'pause' }>> {
    while (isInCanary(counts, rules) || rules.maxFailures !== null) {
      const { outcomes, at, awaits, more } = await store.outcomes(redrive, counts.at)
      const verdict = judgeOutcomes(counts, rules, outcomes, at)
      // Noted together with the pause: a successor of a worker that is killed before that comes to the same verdict.
      if (verdict.pause !== undefined) return paused(verdict.counts, verdict.pause)
      if (at > counts.at) waitsSinceMs = undefined
      counts = verdict.counts
      if (!more) return awaits
    }
    return false
  }

  function paused(counts: GuardCounts, because: ReturnType<typeof pausedUnsettled>) {
    return { kind: 'pause', parting: { to: 'paused', because, counts } } as const
  }

  async function note(waitingFor: WaitingFor | undefined): Promise<void> {
    const now = JSON.stringify([counts, waitingFor])
    if (now === noted) return
    await store.noteGuard(redrive, counts, waitingFor)
    noted = now
  }

  return {
    async look() {
      const counting = await count()
      if (typeof counting === 'object') return counting
      if (counting && isInCanary(counts, rules)) {
        waitsSinceMs ??= clock.monotonic()
        if (clock.monotonic() - waitsSinceMs > CANARY_WAIT_MS) return paused(counts, pausedUnsettled(counts, rules))
        await note(WAITS_FOR_OUTCOMES)
        return { kind: 'wait' }
      }
      const behind = rules.yieldAboveSeconds === 0 ? undefined : await lag()
      // A slow cluster is no reason to go ahead of a stream that may be hours behind.
      if (behind === 'asked') {
        await note(undefined)
        return { kind: 'wait' }
      }
      const rests = restsFor(rules, behind)
      await note(rests)
      return { kind: rests === undefined ? 'go' : 'wait' }
    },
    limit: most => pageLimit(counts, rules, most),
  }
}
