import type { ServerResponse } from 'node:http'
import { dispositionOf } from '../../engine/errors.ts'
import type { Clock } from '../../engine/ports.ts'
import { createAudience, eventOf } from '../../http/event-stream.ts'
import type { Redrive } from '../redrive-ports.ts'
import type { StreamOverview } from './stream-overview.ts'

/** Sends server-sent events about the stream and its redrives to operators who watch. */
export interface AdminFeed {
  /** Takes the answer over, and streams until either side goes away. False: there are too many already, or it is closed. */
  watch(res: ServerResponse): boolean
  readonly watchers: number
  /** Safe twice. */
  close(): void
}

export interface AdminFeedOptions {
  readonly clock: Pick<Clock, 'sleep'>
  readonly overview: () => Promise<StreamOverview>
  /** The latest first. @throws StoreUnavailableError */
  readonly redrives: (limit: number) => Promise<readonly Redrive[]>
  /** An unexpected error: to be logged. The feed goes on. */
  readonly onError: (error: unknown) => void
  /** Default: 20. */
  readonly maxWatchers?: number
}

/** Redrives move faster than figures that people compare. */
const LOOK_EVERY_MS = 1_000
const LOOKS_PER_OVERVIEW = 2
/** Those that may still change: one under way, and the ones that wait for their last settlements. */
const REDRIVES = 5
/** An overview of a hundred partitions has some 25 KB. */
const MAX_BEHIND_BYTES = 512 * 1024

/**
 * Each of its questions is asked for itself: one that the database leaves unanswered holds up neither the others nor what the
 * process knows without it. Events: `stream`, a {@link StreamOverview}, about every two seconds; `replay`, one of the latest redrives whenever it has
 * changed; `dead_letters`, open ones by reason whenever that has changed. A new client gets all three at once. Nothing is
 * read without clients.
 */
export function createAdminFeed(options: AdminFeedOptions): AdminFeed {
  const { clock } = options
  const audience = createAudience({
    clock,
    max: options.maxWatchers ?? 20,
    maxBehindBytes: MAX_BEHIND_BYTES,
    onEmpty: forget,
  })
  /** What was sent last: the event of the stream, of the dead letters, and of each redrive. */
  const sent = new Map<string, string>()
  /** Questions that are not answered yet: they are not asked once more. */
  const asked = new Set<string>()
  let looking = false
  let turn = 0

  function forget(): void {
    sent.clear()
    turn = 0
  }

  async function look(): Promise<void> {
    looking = true
    while (audience.size > 0) {
      const isDue = turn % LOOKS_PER_OVERVIEW === 0
      turn += 1
      if (isDue) void ask('stream', lookAtStream)
      void ask('redrives', lookAtRedrives)
      await clock.sleep(LOOK_EVERY_MS, audience.closing)
    }
    looking = false
  }

  async function ask(what: string, question: () => Promise<void>): Promise<void> {
    if (asked.has(what)) return
    asked.add(what)
    try {
      await question()
    } catch (error) {
      // While Postgres is away, the overview says so.
      if (dispositionOf(error) !== 'retry') options.onError(error)
    } finally {
      asked.delete(what)
    }
  }

  async function lookAtStream(): Promise<void> {
    const overview = await options.overview()
    tell('stream', eventOf('stream', overview), true)
    if (overview.dead_letters === null) return
    // Its age changes always, and is no news.
    const { oldest_age_seconds: _, ...counts } = overview.dead_letters
    tell('dead_letters', eventOf('dead_letters', counts))
  }

  async function lookAtRedrives(): Promise<void> {
    for (const redrive of (await options.redrives(REDRIVES)).toReversed()) {
      tell(`replay ${redrive.id}`, eventOf('replay', redrive))
    }
  }

  function tell(what: string, event: string, always = false): void {
    if (audience.size === 0 || (!always && sent.get(what) === event)) return
    sent.set(what, event)
    audience.tell(event)
  }

  return {
    watch(res) {
      if (!audience.admit(res)) return false
      // The others have heard it.
      for (const event of sent.values()) res.write(event)
      if (!looking) void look()
      return true
    },
    get watchers() {
      return audience.size
    },
    close: audience.close,
  }
}
