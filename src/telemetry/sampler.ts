import type { Clock } from '../engine/ports.ts'

/** Disposing it stops reading; a reading under way ends, and its result is dropped. */
export interface Sampler<T> extends Disposable {
  /** What was last read; `undefined` when the last attempt failed, or before the first: not known, and so not shown. */
  latest(): T | undefined
}

export interface SamplerOptions<T> {
  readonly read: () => Promise<T>
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>
  /** Between two readings, at least. */
  readonly intervalMs: number
  readonly onFailure: (error: unknown) => void
}

/** However long a reading takes, it takes no more than a fiftieth of the time. */
const SHARE = 50

/** Reads something that is too dear for every scrape, at intervals, from now on. */
export function startSampler<T>({ read, clock, intervalMs, onFailure }: SamplerOptions<T>): Sampler<T> {
  const stopping = new AbortController()
  let latest: T | undefined
  void run()

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const startedMs = clock.monotonic()
      try {
        const found = await read()
        if (stopping.signal.aborted) return
        latest = found
      } catch (error) {
        latest = undefined
        if (stopping.signal.aborted) return
        onFailure(error)
      }
      await clock.sleep(Math.max(intervalMs, (clock.monotonic() - startedMs) * SHARE), stopping.signal)
    }
  }

  return {
    latest: () => latest,
    [Symbol.dispose]() {
      stopping.abort()
      latest = undefined
    },
  }
}
