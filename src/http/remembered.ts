import { dispositionOf } from '../engine/errors.ts'
import type { Clock } from '../engine/ports.ts'

/** The last answer to a question that may take its time, so that callers need not wait for the next one. */
export interface Remembered<T> {
  /** Asks again, unless the question before is still unanswered. Resolves when that is answered, or the store is away. Never rejects. */
  ask(): Promise<void>
  /** As it was answered last; `undefined` when it never was. */
  latest(): { readonly value: T; readonly ageMs: number } | undefined
  /** For how long an answer of the store has been outstanding, or the store unavailable; 0 when none is outstanding. */
  owedMs(): number
  /** An unexpected error, once. */
  takeBug(): unknown
}

export function createRemembered<T>(read: () => Promise<T>, clock: Pick<Clock, 'monotonic'>): Remembered<T> {
  let known: { readonly value: T; readonly at: number } | undefined
  let asking: Promise<void> | undefined
  let owedSince: number | undefined
  let bug: unknown

  async function answer(): Promise<void> {
    try {
      const value = await read()
      known = { value, at: clock.monotonic() }
      owedSince = undefined
    } catch (error) {
      // Away: what was known stays, and grows old.
      if (dispositionOf(error) === 'retry') return
      owedSince = undefined
      bug = error
    }
  }

  return {
    ask() {
      owedSince ??= clock.monotonic()
      asking ??= answer().finally(() => {
        asking = undefined
      })
      return asking
    },
    latest: () => known && { value: known.value, ageMs: clock.monotonic() - known.at },
    owedMs: () => (owedSince === undefined ? 0 : clock.monotonic() - owedSince),
    takeBug() {
      const taken = bug
      bug = undefined
      return taken
    },
  }
}
