import type { DeadLetter } from '#src/engine/dead-letter.ts'
import { claimKey, type ProvenanceClaim } from '#src/engine/provenance.ts'
import { originId } from '#src/engine/record.ts'
import type { RedriveClosings } from '#src/engine/settlement.ts'
import type { ReadAgainEnd, RedriveEnd } from '#src/inbox/redrive-ends.ts'

export interface MemoryLetter {
  state: 'open' | 'replaying' | 'resolved' | 'parked' | 'discarded'
  reason: string
  failures: number
  redriveCount: number
  redriveId: string | undefined
  dlq: DeadLetter['dlq']
  readonly origin: DeadLetter['origin']
}

export interface MemoryInbox {
  /** By id of the dead letter. */
  readonly letters: Map<string, MemoryLetter>
  /** Members of redrives, by redrive and letter: `r1 orders-0-1`. */
  readonly items: Map<string, { state: string; outcome: string | null }>
  readonly events: { readonly id: string; readonly what: string; readonly detail: Readonly<Record<string, unknown>> }[]
  /** How often the letter of a member has been redriven, with this redrive; `undefined` when it is no member. */
  redriveCountOf(claim: ProvenanceClaim): number | undefined
  /** What the settling transaction does. */
  settle(
    letters: readonly DeadLetter[],
    ends: readonly RedriveEnd[],
    readAgain: readonly ReadAgainEnd[],
    /** Of a redrive into the store: no batch counts these failures. */
    uncounted?: boolean,
  ): RedriveClosings | undefined
}

/** It waits for a decision, and no redrive has it in hand. */
export function isOpen({ state }: MemoryLetter): boolean {
  return state === 'open' || state === 'parked'
}

/** What becomes of dead letters, in memory: the same rules as those of the real store. */
export function createMemoryInbox(redriveMax = Number.POSITIVE_INFINITY): MemoryInbox {
  const letters: MemoryInbox['letters'] = new Map()
  const items: MemoryInbox['items'] = new Map()
  const events: MemoryInbox['events'] = []

  function fail(letter: DeadLetter, failures: number): void {
    const { redriveCount, redriveId, dlq, rejection } = letter
    const id = originId(letter.origin)
    const state = redriveCount >= redriveMax ? 'parked' : 'open'
    const known = letters.get(id)
    if (known === undefined) {
      letters.set(id, {
        state,
        reason: rejection.reason,
        failures,
        redriveCount,
        redriveId,
        dlq,
        origin: letter.origin,
      })
      return
    }
    known.reason = rejection.reason
    known.failures += failures
    known.dlq = dlq ?? known.dlq
    const inHand = known.state === 'replaying'
    const another = inHand && redriveId !== undefined && known.redriveId !== undefined && known.redriveId !== redriveId
    const again = redriveCount > known.redriveCount || (inHand && redriveId !== undefined)
    const settled = known.state === 'resolved' || known.state === 'discarded'
    if (again && !settled && !another) known.state = state
    known.redriveCount = Math.max(known.redriveCount, redriveCount)
    known.redriveId ??= redriveId
  }

  return {
    letters,
    items,
    events,
    redriveCountOf(claim) {
      const item = items.get(claimKey(claim))
      if (item === undefined || item.state === 'pending') return undefined
      const settled = ['resolved', 'failed_again', 'parked'].includes(item.state)
      return Math.max(1, (letters.get(originId(claim.origin))?.redriveCount ?? 0) + (settled ? 0 : 1))
    },
    settle(deadLetters, ends, readAgain, uncounted = false) {
      for (const { id, redriveId, redriveCount, failure } of ends) {
        const was = letters.get(id)
        if (failure === undefined || was === undefined) continue
        const detail = {
          replay_id: redriveId,
          replay_count: redriveCount,
          reason: failure.reason,
          was_reason: was.reason,
        }
        events.push({ id, what: 'failed_again', detail })
      }
      for (const letter of deadLetters) fail(letter, uncounted ? 0 : 1)
      for (const { id, timestampMs, outcome } of readAgain) {
        const letter = letters.get(id)
        if (letter?.origin.timestampMs !== timestampMs || !isOpen(letter)) continue
        letter.state = 'resolved'
        events.push({ id, what: 'resolved', detail: { outcome, read_again: true } })
      }
      if (ends.length === 0) return undefined
      const closings = { resolved: 0, failed_again: 0, parked: 0 }
      for (const { id, redriveId, redriveCount, outcome, failure } of ends) {
        const letter = letters.get(id)
        const result = failure === undefined ? 'resolved' : letter?.state === 'parked' ? 'parked' : 'failed_again'
        closings[result] += 1
        const item = items.get(`${redriveId} ${id}`)
        if (item !== undefined && !['resolved', 'failed_again', 'parked'].includes(item.state)) {
          Object.assign(item, { state: result, outcome: failure?.reason ?? outcome })
        }
        if (letter === undefined) continue
        if (result !== 'failed_again') {
          const detail = { replay_id: redriveId, replay_count: redriveCount, ...(failure ? {} : { outcome }) }
          events.push({ id, what: result, detail })
        }
        if (failure === undefined && letter.state !== 'resolved' && letter.state !== 'discarded') {
          letter.state = 'resolved'
          letter.redriveCount = Math.max(letter.redriveCount, redriveCount)
          letter.redriveId ??= redriveId
        }
      }
      return closings
    },
  }
}
