import { call, type NativeClient, type NativeMetadata } from './native.ts'

/** Determines whether a client still reaches a broker, by a request when the client has been silent for a while. */
export interface Hearing {
  /** A broker has answered. */
  heard(): void
  /** Asks when it is time to. Waits for nothing. */
  tick(): void
  /** For how long its requests have had no answer from any broker; 0 while there are answers. */
  deafMs(): number
}

/** A client that has received nothing for this long is probed, and probed again after a pause. */
const ASK_AFTER_MS = 3_000
const ASK_PAUSE_MS = 1_000

/** @param ask whether a broker answers; never rejects */
export function createHearing(ask: () => Promise<boolean>): Hearing {
  let heardAtMs = performance.now()
  let askNotBeforeMs = 0
  let asking = false
  /** When the first of the unanswered requests was sent. */
  let deafSinceMs: number | undefined

  async function askNow(): Promise<void> {
    const askedAtMs = performance.now()
    const hears = await ask()
    asking = false
    askNotBeforeMs = performance.now() + ASK_PAUSE_MS
    if (hears) hearing.heard()
    else deafSinceMs ??= askedAtMs
  }

  const hearing: Hearing = {
    heard() {
      heardAtMs = performance.now()
      deafSinceMs = undefined
    },
    tick() {
      const now = performance.now()
      if (asking || now - heardAtMs < ASK_AFTER_MS || now < askNotBeforeMs) return
      asking = true
      void askNow()
    },
    deafMs: () => (deafSinceMs === undefined ? 0 : performance.now() - deafSinceMs),
  }
  return hearing
}

/** How long the simplest question to a broker may take. It may be as long in the client's own queue. */
const TIMEOUT_MS = 3_000

/** Whether a broker answers this client and lists brokers: the client soon drops a broker that lists none. */
export async function hearsBroker(client: NativeClient, topic?: string): Promise<boolean> {
  const question = { allTopics: false, timeout: TIMEOUT_MS, ...(topic === undefined ? {} : { topic }) }
  const asked = call<NativeMetadata>(done => client.getMetadata(question, done))
  const metadata = await within(asked, 2 * TIMEOUT_MS).catch(() => undefined)
  return metadata !== undefined && metadata.brokers.length > 0
}

/** What the promise comes to, or `undefined` when that takes longer. */
export async function within<R>(promise: Promise<R>, timeoutMs: number): Promise<R | undefined> {
  const late = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => late.resolve(undefined), timeoutMs)
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
