import type { Config } from './config.ts'
import { backoffMs } from './core/backoff.ts'
import { dispositionOf } from './core/errors.ts'
import type { Observer } from './core/facts.ts'
import type { HealthCheck } from './core/status.ts'
import type { Clock } from './engine/ports.ts'

/** The longest wait between two tries: whoever starts is looked at. */
const MAX_WAIT_MS = 5_000

/** What the start waits for, which keeps readiness shut. */
export interface StartGate {
  readonly check: HealthCheck
  /** Tries until it succeeds or we stop; says for what it waits. @throws what a retry cannot mend */
  until<R>(what: string, attempt: () => Promise<R>): Promise<R | undefined>
  /** The start is over. */
  open(): void
}

export function createStartGate({
  retry,
  observer,
  clock,
  signal,
}: {
  readonly retry: Config['retry']
  readonly observer: Observer
  readonly clock: Clock
  readonly signal: AbortSignal
}): StartGate {
  let waitingFor: string | undefined = 'starting'
  let sinceMs = clock.now()
  const policy = { initialMs: retry.initialMs, maxMs: Math.min(retry.maxMs, MAX_WAIT_MS) }

  return {
    check: {
      name: 'start',
      check: () => (waitingFor === undefined ? { ok: true } : { ok: false, reason: waitingFor, since: sinceMs }),
    },
    async until(what, attempt) {
      waitingFor = `waiting for ${what}`
      sinceMs = clock.now()
      for (let tries = 1; !signal.aborted; tries++) {
        try {
          return await attempt()
        } catch (error) {
          if (dispositionOf(error) !== 'retry') throw error
          waitingFor = `waiting for ${what}: ${error instanceof Error ? error.message : String(error)}`
          const delayMs = backoffMs(policy, tries, Math.random())
          observer.observe({ kind: 'start_waiting', what, attempt: tries, delayMs, error })
          await clock.sleep(delayMs, signal)
        }
      }
      return undefined
    },
    open() {
      waitingFor = undefined
    },
  }
}
