import type { Clock } from '#src/engine/ports.ts'

/** Wall clock at the start of a schedule: any moment will do, but always the same one. */
const EPOCH_MS = 1_700_000_000_000

/** Time that moves only when nothing else can run. Two runs with the same events are the same run. */
export interface VirtualTime {
  /** Since the start of the schedule. */
  readonly nowMs: number
  /** Calls `run` in `delayMs`; at the same moment, in the order of these calls. */
  after(delayMs: number, run: () => void): void
  /** The next event, and everything that follows from it without waiting. @returns false when nothing is left to come */
  step(): Promise<boolean>
}

export function createVirtualTime(): VirtualTime {
  // In descending order of time: the next one is at the end. Few wait at once, so inserting one by one is cheap.
  const events: { readonly atMs: number; readonly run: () => void }[] = []
  let nowMs = 0
  return {
    get nowMs() {
      return nowMs
    },
    after(delayMs, run) {
      const atMs = nowMs + Math.max(0, delayMs)
      let place = events.length
      for (let event = events[place - 1]; event !== undefined && event.atMs <= atMs; event = events[place - 1]) place--
      events.splice(place, 0, { atMs, run })
    },
    async step() {
      const event = events.pop()
      if (event === undefined) return false
      nowMs = event.atMs
      event.run()
      // Promises of this event all run before it: the only thing that is asked of the real event loop.
      await new Promise<void>(resolve => setImmediate(resolve))
      return true
    },
  }
}

/** A process in virtual time: it may be frozen (what it waits for comes when it is thawed) or die (it never comes). */
export interface VirtualProcess {
  readonly name: string
  readonly state: 'running' | 'frozen' | 'dead'
  readonly clock: Clock
  /** When it last began to run: at its start, or when it was thawed. */
  readonly runningSinceMs: number
  /** Calls `run` in it, in `delayMs` or once it is thawed; never when it is dead. */
  after(delayMs: number, run: () => void): void
  freeze(): void
  thaw(): void
  kill(): void
}

export function createVirtualProcess(name: string, time: VirtualTime): VirtualProcess {
  let state: VirtualProcess['state'] = 'running'
  let held: (() => void)[] = []
  let runningSinceMs = time.nowMs

  function enter(run: () => void): void {
    if (state === 'running') run()
    else if (state === 'frozen') held.push(run)
  }

  const process: VirtualProcess = {
    name,
    get state() {
      return state
    },
    get runningSinceMs() {
      return runningSinceMs
    },
    after: (delayMs, run) => time.after(delayMs, () => enter(run)),
    freeze() {
      if (state === 'running') state = 'frozen'
    },
    thaw() {
      if (state !== 'frozen') return
      state = 'running'
      runningSinceMs = time.nowMs
      // Each as an event of its own, in the order in which they came.
      for (const run of held) process.after(0, run)
      held = []
    },
    kill() {
      state = 'dead'
      held = []
    },
    clock: {
      now: () => EPOCH_MS + time.nowMs,
      monotonic: () => time.nowMs,
      sleep(ms, signal) {
        if (signal?.aborted) return Promise.resolve()
        return new Promise(resolve => {
          const wake = () => {
            signal?.removeEventListener('abort', wake)
            resolve()
          }
          signal?.addEventListener('abort', wake)
          process.after(ms, wake)
        })
      },
    },
  }
  return process
}
