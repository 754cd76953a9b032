import { type BackoffPolicy, backoffMs } from '../core/backoff.ts'
import { type Dependency, dispositionOf } from '../core/errors.ts'
import type { Observer } from '../core/facts.ts'
import type { Clock } from '../core/ports.ts'

/** Whether a dependency is thought to be there. While it is not, work on it waits and one cheap probe asks. */
export interface Breaker {
  readonly dependency: Dependency
  readonly open: { readonly reason: string; readonly sinceMs: number } | undefined
  /** The dependency failed. The first report opens the breaker and starts the probe. */
  trip(error: unknown): void
  /** Resolves when it is closed (at once when it is), or when the signal aborts. */
  whenClosed(signal: AbortSignal): Promise<void>
  /** Ends the probe. */
  stop(): void
}

export interface BreakerParts {
  readonly dependency: Dependency
  /** Rejects while the dependency is away. */
  readonly probe: () => Promise<void>
  readonly clock: Clock
  readonly random: () => number
  readonly observer: Observer
  readonly initialMs: number
}

/** Probes are cheap and come from one place: often enough that work resumes within a few seconds. */
const PROBE_MAX_MS = 2_000

export function createBreaker(parts: BreakerParts): Breaker {
  const { dependency, clock, observer } = parts
  const policy: BackoffPolicy = { initialMs: parts.initialMs, maxMs: PROBE_MAX_MS }
  const stopped = new AbortController()
  let open: { reason: string; sinceMs: number; closed: PromiseWithResolvers<void> } | undefined

  async function probeUntilBack(): Promise<void> {
    const since = clock.monotonic()
    for (let attempt = 1; !stopped.signal.aborted; attempt++) {
      await clock.sleep(backoffMs(policy, attempt, parts.random()), stopped.signal)
      try {
        await parts.probe()
        break
      } catch (error) {
        // Not ours to judge: work that meets the same error itself stops the stream, with that error.
        if (dispositionOf(error) !== 'retry') break
        if (open !== undefined) open.reason = reasonOf(error)
      }
    }
    const waited = open
    open = undefined
    if (!stopped.signal.aborted) {
      observer.observe({ kind: 'breaker_closed', dependency, openSeconds: (clock.monotonic() - since) / 1000 })
    }
    waited?.closed.resolve()
  }

  return {
    dependency,
    get open() {
      return open === undefined ? undefined : { reason: open.reason, sinceMs: open.sinceMs }
    },
    trip(error) {
      if (open !== undefined || stopped.signal.aborted) return
      open = { reason: reasonOf(error), sinceMs: clock.now(), closed: Promise.withResolvers() }
      observer.observe({ kind: 'breaker_opened', dependency, error })
      void probeUntilBack()
    },
    async whenClosed(signal) {
      if (open === undefined || signal.aborted) return
      const aborted = Promise.withResolvers<void>()
      const onAbort = () => aborted.resolve()
      signal.addEventListener('abort', onAbort, { once: true })
      await Promise.race([open.closed.promise, aborted.promise])
      signal.removeEventListener('abort', onAbort)
    },
    stop: () => stopped.abort(),
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
