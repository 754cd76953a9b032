import { type BackoffPolicy, backoffMs } from '../engine/backoff.ts'
import { dispositionOf } from '../engine/errors.ts'
import { runningLifecycle } from '../engine/lifecycle.ts'
import type { Clock } from '../engine/ports.ts'
import type { DueNotice, Notice, NoticeKind } from './notice.ts'
import type { Outbox } from './postgres/outbox.ts'
import type { Send } from './send.ts'

/** Facts about messages to operators. The receiver's address is in none. */
export type NotifyFact =
  | { readonly kind: 'notice_sent'; readonly notice: NoticeKind; readonly subject: string }
  | {
      readonly kind: 'notice_failed'
      readonly notice: NoticeKind
      readonly subject: string
      readonly attempt: number
      readonly error: unknown
    }
  /** Given up: its receiver was away for too long. */
  | { readonly kind: 'notice_dropped'; readonly notice: NoticeKind; readonly subject: string }
  /** Too many wait already: these are noted once there is room. */
  | { readonly kind: 'notices_refused'; readonly count: number }
  | { readonly kind: 'notify_trouble'; readonly error: unknown }

export interface NotifyObserver {
  observe(fact: NotifyFact): void
}

export interface NotifierParts {
  /** What this process sees of its streams. Asks nothing of the database. */
  readonly own: () => readonly Notice[]
  /** What the database knows of its streams; absent where another role looks for it. @throws StoreUnavailableError */
  readonly observed?: () => Promise<readonly Notice[]>
  readonly outbox: Outbox
  readonly send: Send
  readonly observer: NotifyObserver
  readonly clock: Clock
  readonly random: () => number
}

/** How soon an event is noticed, and a message that is due is sent. */
const LOOK_EVERY_MS = 5_000
const BACKOFF: BackoffPolicy = { initialMs: 5_000, maxMs: 300_000 }
/** About a day: after that it is no news any more. */
const MAX_ATTEMPTS = 500
const QUIET_MS = 3_600_000

/**
 * Tells operators of what happens: looks, notes it in the outbox, sends what is due. Nothing waits for it, and it uses connections of its own.
 * While the database is away, events that this process sees itself are sent without it: one of each subject an hour and process.
 */
export function startNotifier(parts: NotifierParts): AsyncDisposable {
  const { outbox, send, observer, clock, random } = parts
  const direct = createDirect(parts)
  const lifecycle = runningLifecycle(() => working)
  const { stopping } = lifecycle
  const working = work()
  return { [Symbol.asyncDispose]: lifecycle.stop }

  async function work(): Promise<void> {
    while (!stopping.aborted) {
      try {
        await look()
      } catch (error) {
        // Readiness tells of an outage of the database.
        if (dispositionOf(error) !== 'retry') observer.observe({ kind: 'notify_trouble', error })
      }
      await clock.sleep(LOOK_EVERY_MS, stopping)
    }
  }

  async function look(): Promise<void> {
    const own = parts.own().filter(notice => !direct.wasSent(notice))
    try {
      const refused = await outbox.note([...own, ...((await parts.observed?.()) ?? [])])
      if (refused > 0) observer.observe({ kind: 'notices_refused', count: refused })
    } catch (error) {
      if (dispositionOf(error) !== 'retry') throw error
      return await direct.send(own)
    }
    while (!stopping.aborted) {
      const notice = await outbox.claim()
      // The next ones meet the same receiver.
      if (notice === undefined || !(await deliver(notice))) return
    }
  }

  /** A stop does not cut it short: whether it arrived would not be known. */
  async function deliver(notice: DueNotice): Promise<boolean> {
    const { kind, subject, attempt } = notice
    try {
      await send(notice)
    } catch (error) {
      observer.observe({ kind: 'notice_failed', notice: kind, subject, attempt, error })
      const again = attempt < MAX_ATTEMPTS
      if (!again) observer.observe({ kind: 'notice_dropped', notice: kind, subject })
      await outbox.noteFailed(notice, again ? backoffMs(BACKOFF, attempt, random()) : undefined)
      return false
    }
    observer.observe({ kind: 'notice_sent', notice: kind, subject })
    await outbox.noteSent(notice)
    return true
  }
}

interface Direct {
  /** Tries each that was not sent in the last hour, and whose last attempt is long enough ago. */
  send(notices: readonly Notice[]): Promise<void>
  wasSent(notice: Notice): boolean
}

/** Sends without the outbox. What it remembers is bounded by the subjects of this process. */
function createDirect({ send, observer, clock, random }: NotifierParts): Direct {
  const known = new Map<string, { readonly sentAtMs?: number; readonly dueAtMs: number; readonly attempt: number }>()

  function wasSent({ subject }: Notice): boolean {
    const sentAtMs = known.get(subject)?.sentAtMs
    return sentAtMs !== undefined && clock.monotonic() - sentAtMs < QUIET_MS
  }

  async function attempt(notice: Notice): Promise<void> {
    const { kind, subject, since, ...rest } = notice
    const nowMs = clock.monotonic()
    const before = known.get(subject)
    if (wasSent(notice) || (before !== undefined && before.sentAtMs === undefined && before.dueAtMs > nowMs)) return
    const tries = before?.sentAtMs === undefined ? (before?.attempt ?? 0) + 1 : 1
    const at = typeof since === 'number' ? clock.now() - since : since.getTime()
    const id = `${subject} ${new Date(clock.now()).toISOString()}`
    try {
      await send({ ...rest, kind, subject, id, since: new Date(at).toISOString(), attempt: tries })
      known.set(subject, { sentAtMs: clock.monotonic(), dueAtMs: nowMs, attempt: 0 })
      observer.observe({ kind: 'notice_sent', notice: kind, subject })
    } catch (error) {
      known.set(subject, { dueAtMs: clock.monotonic() + backoffMs(BACKOFF, tries, random()), attempt: tries })
      observer.observe({ kind: 'notice_failed', notice: kind, subject, attempt: tries, error })
    }
  }

  return {
    wasSent,
    async send(notices) {
      for (const notice of notices) await attempt(notice)
    },
  }
}
