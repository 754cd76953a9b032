/** One way: a part that has been stopped is not started again; another one takes its place. */
export type LifecycleState = 'idle' | 'running' | 'draining' | 'stopped'

export interface LifecycleSteps {
  /**
   * Sets to work. What it opens goes into `parts`: a stop, and a start that fails half-way, close it in reverse order.
   * @param stopping aborts when a stop is asked for; a start that takes long gives up on it
   */
  readonly start?: (parts: AsyncDisposableStack, stopping: AbortSignal) => Promise<void> | void
  /** Ends the work that is under way, once, after `stopping` has aborted and before the parts close. Not called where the start failed. */
  readonly drain?: () => Promise<void> | void
}

/** The contract that every part with a start and a stop keeps. */
export interface Lifecycle extends AsyncDisposable {
  readonly state: LifecycleState
  /** Aborts as soon as a stop is asked for, or the start has failed. */
  readonly stopping: AbortSignal
  /**
   * Safe twice: it starts once, and each call waits for it.
   * @throws what the start threw, with nothing left open; StoppedError when a stop was asked for before it had started
   */
  start(): Promise<void>
  /** Safe twice, before a start and during one. Each call waits until all is closed, so the start and the drain must not wait for it. @throws what the drain or a part threw, with all parts closed */
  stop(): Promise<void>
}

/** A part was asked to start although it has been stopped. */
export class StoppedError extends Error {
  override readonly name = 'StoppedError'
}

export function createLifecycle(steps: LifecycleSteps): Lifecycle {
  const stopping = new AbortController()
  const parts = new AsyncDisposableStack()
  let state: LifecycleState = 'idle'
  /** The start is over, well or not. */
  let isStarted = false

  async function begin(): Promise<void> {
    state = 'running'
    try {
      await steps.start?.(parts, stopping.signal)
    } catch (error) {
      stopping.abort()
      await close(() => Promise.reject(error))
    } finally {
      isStarted = true
    }
    if (stopping.signal.aborted) throw new StoppedError('it was stopped before it had started')
  }

  async function end(): Promise<void> {
    stopping.abort()
    if (state === 'idle') {
      state = 'stopped'
      return
    }
    // Whether the start succeeds is its caller's matter: a stop leaves nothing open in either case.
    if (!isStarted) await beginOnce().catch(() => {})
    if (state === 'running') await close(steps.drain)
  }

  /** Runs the last step, then closes the parts, whatever the step throws. */
  async function close(last: (() => Promise<void> | void) | undefined): Promise<void> {
    state = 'draining'
    try {
      await using _ = parts
      await last?.()
    } finally {
      state = 'stopped'
    }
  }

  const beginOnce = once(begin)
  const stop = once(end)
  function start(): Promise<void> {
    if (stopping.signal.aborted) return Promise.reject(new StoppedError('it has been stopped and is not started again'))
    return beginOnce()
  }
  return {
    get state() {
      return state
    },
    stopping: stopping.signal,
    start,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/**
 * Does the work with the first call and gives every caller the same promise: also one that calls from inside the work, which
 * `running ??= work()` would begin a second time.
 */
function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  return () => {
    if (running) return running
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    running = promise
    work().then(resolve, reject)
    return running
  }
}

/** The lifecycle of a part that is at work already when it is built. @param drain as in {@link LifecycleSteps} */
export function runningLifecycle(drain: () => Promise<void> | void): Lifecycle {
  const lifecycle = createLifecycle({ drain })
  // It has nothing to open, so it can only be refused by a stop, which the caller asks for and waits for.
  lifecycle.start().catch(() => {})
  return lifecycle
}
