import type { ServerResponse } from 'node:http'
import type { HttpNames } from '../../engine/http-names.ts'
import type { Clock } from '../../engine/ports.ts'
import type { StoredValue } from '../../engine/value-sql.ts'
import { createAudience, eventOf } from '../../http/event-stream.ts'

/** Sends server-sent events about values that have just been stored. */
export interface LiveFeed {
  /**
   * Takes what was just committed; of many at once only a few are shown, and only of those is the JSON asked for. With
   * it costs nothing without clients.
   */
  publish<T>(written: readonly T[], toStored: (one: T) => StoredJson): void
  /** Takes the answer over, and streams until either side goes away. False: there are too many already, or it is closed. */
  watch(res: ServerResponse): boolean
  readonly watchers: number
  /** Ends every stream and takes no more, so that none holds a shutdown up. Safe twice. */
  close(): void
}

type StoredJson = Pick<StoredValue, 'key' | 'json'>

export interface LiveFeedOptions {
  /** What the events and their members are called, and what a summary holds. */
  readonly names: Pick<HttpNames, 'one' | 'many' | 'keyField' | 'summary'>
  readonly clock: Pick<Clock, 'sleep'>
  /** Default: 100. */
  readonly maxWatchers?: number
  /** What may wait for a slow client before it is dropped. Default: 64 KiB, some 400 summaries. */
  readonly maxBehindBytes?: number
}

/** Under load the list moves twice a second and by this many values: people could not read more. */
const SHOWN_AT_ONCE = 3
const INTERVAL_MS = 500
/**
 * Events, with the names of orders: `order`, the summary of one; and `more`, `{"orders": n}`, how many were stored besides the ones
 * shown. Past events are not sent again: a client that connects reads `GET /ROUTE` for what is stored already.
 */
export function createLiveFeed(options: LiveFeedOptions): LiveFeed {
  const { clock, names, maxWatchers = 100, maxBehindBytes = 64 * 1024 } = options
  const audience = createAudience({
    clock,
    max: maxWatchers,
    maxBehindBytes,
    onEmpty() {
      waiting = []
      unsent = 0
    },
  })
  /** The latest that have not been sent, oldest first. */
  let waiting: StoredJson[] = []
  /** How many have not been sent, the ones that will not be shown among them. */
  let unsent = 0
  let pacing = false

  /** Sends at once what comes after a pause; then no oftener than the interval. */
  async function pace(): Promise<void> {
    pacing = true
    while (waiting.length > 0 && !audience.closing.aborted) {
      flush()
      await clock.sleep(INTERVAL_MS, audience.closing)
    }
    pacing = false
  }

  function flush(): void {
    const shown = waiting
    const more = unsent - shown.length
    waiting = []
    unsent = 0
    const events = shown.map(value => eventOf(names.one, summaryOf(value)))
    if (more > 0) events.push(eventOf('more', { [names.many]: more }))
    audience.tell(events.join(''))
  }

  function summaryOf({ key, json }: StoredJson): object {
    // The value was validated when it came in; the bytes are our own.
    return { [names.keyField]: key, ...names.summary(JSON.parse(json.toString())) }
  }

  return {
    publish(written, toStored) {
      if (audience.size === 0) return
      waiting = [...waiting, ...written.slice(-SHOWN_AT_ONCE).map(toStored)].slice(-SHOWN_AT_ONCE)
      unsent += written.length
      if (!pacing) void pace()
    },

    watch: audience.admit,
    get watchers() {
      return audience.size
    },
    close: audience.close,
  }
}
