import type { Dependency } from '../errors.ts'
import type { Observer } from '../facts.ts'
import type { Clock } from '../ports.ts'
import { retry } from '../retry.ts'

/** Whether a dependency is thought to be there. While it is not, work on it waits and one cheap probe asks. */
export interface Breaker {
  readonly dependency: Dependency
  /** As it is reported: while a probe asks, and until the work that failed has come through. */
  readonly open: { readonly reason: string; readonly sinceMs: number } | undefined
  /** The dependency failed. The first report opens the breaker and starts the probe. */
  trip(error: unknown): void
  /**
   * Work that failed tries again, until it is through or given up. That a probe passes does not end its trouble: a topic that
   * is there may refuse this one record.
   */
  doubt(): Disposable
  /** Resolves when no probe asks any more (at once when none does), or when the signal aborts. */
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
  const stopped = new AbortController()
  let trouble: { reason: string; readonly sinceMs: number; readonly since: number } | undefined
  let probing: PromiseWithResolvers<void> | undefined
  let doubts = 0

  async function probeUntilBack(failure: unknown): Promise<void> {
    // The work that has just failed was the first attempt: so the probe waits before it asks.
    const ask = (attempt: number) => (attempt === 1 ? Promise.reject(failure) : parts.probe())
    await retry(ask, {
      policy: { initialMs: parts.initialMs, maxMs: PROBE_MAX_MS },
      clock,
      random: parts.random,
      signal: stopped.signal,
      onFailed({ error }) {
        if (trouble !== undefined) trouble.reason = reasonOf(error)
      },
      // Another error is not ours to judge: work that meets it itself stops the stream, with that error.
    }).catch(() => {})
    const waited = probing
    probing = undefined
    closeUnlessInDoubt()
    waited?.resolve()
  }

  function closeUnlessInDoubt(): void {
    if (trouble === undefined || probing !== undefined || doubts > 0) return
    const openSeconds = (clock.monotonic() - trouble.since) / 1000
    trouble = undefined
    if (!stopped.signal.aborted) observer.observe({ kind: 'breaker_closed', dependency, openSeconds })
  }

  return {
    dependency,
    get open() {
      return trouble === undefined ? undefined : { reason: trouble.reason, sinceMs: trouble.sinceMs }
    },
    trip(error) {
      if (probing !== undefined || stopped.signal.aborted) return
      if (trouble === undefined) {
        trouble = { reason: '', sinceMs: clock.now(), since: clock.monotonic() }
        observer.observe({ kind: 'breaker_opened', dependency, error })
      }
      trouble.reason = reasonOf(error)
      probing = Promise.withResolvers()
      void probeUntilBack(error)
    },
    doubt() {
      doubts += 1
      return {
        [Symbol.dispose]() {
          doubts -= 1
          closeUnlessInDoubt()
        },
      }
    },
    async whenClosed(signal) {
      if (probing === undefined || signal.aborted) return
      const aborted = Promise.withResolvers<void>()
      const onAbort = () => aborted.resolve()
      signal.addEventListener('abort', onAbort, { once: true })
      await Promise.race([probing.promise, aborted.promise])
      signal.removeEventListener('abort', onAbort)
    },
    stop: () => stopped.abort(),
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
