import type { Observer } from '../engine/facts.ts'
import type { Clock } from '../engine/ports.ts'
import { retry as repeat } from '../engine/retry.ts'
import type { HealthCheck } from '../engine/status.ts'
import type { Config } from '../settings/config.ts'

/** The longest wait between two tries, in ms: an operator watches the start. */
const MAX_WAIT_MS = 5_000

/** What the start of the process, or of one stream, waits for. Until it is open, readiness fails and names that. */
export interface StartGate {
  readonly check: HealthCheck
  /** Tries until it succeeds or the process stops. @throws what no retry resolves */
  until<R>(what: string, attempt: () => Promise<R>): Promise<R | undefined>
  /** The start is over. */
  open(): void
}

export function createStartGate({
  stream,
  retry,
  observer,
  clock,
  signal,
}: {
  /** Absent: the start of the process. */
  readonly stream?: string
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
      ...(stream === undefined ? {} : { stream }),
      check: () => (waitingFor === undefined ? { ok: true } : { ok: false, reason: waitingFor, since: sinceMs }),
    },
    async until(what, attempt) {
      waitingFor = `waiting for ${what}`
      sinceMs = clock.now()
      try {
        return await repeat(attempt, {
          policy,
          clock,
          random: Math.random,
          signal,
          onFailed({ error, attempt: tries, delayMs }) {
            waitingFor = `waiting for ${what}: ${error instanceof Error ? error.message : String(error)}`
            observer.observe({ kind: 'start_waiting', what, attempt: tries, delayMs, error })
          },
        })
      } catch (error) {
        if (signal.aborted && error === signal.reason) return undefined
        throw error
      }
    },
    open() {
      waitingFor = undefined
    },
  }
}
