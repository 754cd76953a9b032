import type { ServerResponse } from 'node:http'
import type { Clock } from '../engine/ports.ts'
import type { StoredValue } from '../engine/value-sql.ts'
import { createAudience, eventOf } from './event-stream.ts'

/** Tells those who watch what has just been stored, by server-sent events. */
export interface LiveFeed {
  /**
   * Takes what was just committed; of many at once only a few are shown, and only of those is the JSON asked for. With
   * nobody watching it costs nothing.
   */
  publish<T>(written: readonly T[], toStored: (one: T) => StoredJson): void
  /** Takes the answer over, and streams until either side goes away. False: there are too many already, or it is closed. */
  watch(res: ServerResponse): boolean
  readonly watchers: number
  /** Ends every stream and takes no more, so that none holds a shutdown up. Safe twice. */
  close(): void
}

type StoredJson = Pick<StoredValue, 'json'>

export interface LiveFeedOptions {
  readonly clock: Pick<Clock, 'sleep'>
  /** Default: 100. */
  readonly maxWatchers?: number
  /** What may wait for a slow client before it is dropped. Default: 64 KiB, some 400 orders. */
  readonly maxBehindBytes?: number
}

/** An order as the list shows it: nothing of who ordered, paid or receives it. */
interface Summary {
  readonly order_uid: string
  readonly date_created: string
  readonly amount: number
  readonly currency: string
  /** How many. */
  readonly items: number
}

/** Under load the list moves twice a second and by this many orders: more, and nobody could read it. */
const SHOWN_AT_ONCE = 3
const INTERVAL_MS = 500
/**
 * Events: `order`, a {@link Summary}; and `more`, `{"orders": n}`, how many were stored besides the ones shown.
 * There is no replay: who (re)connects reads `GET /orders` for what is there already.
 */
export function createLiveFeed(options: LiveFeedOptions): LiveFeed {
  const { clock, maxWatchers = 100, maxBehindBytes = 64 * 1024 } = options
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
    const events = shown.map(value => eventOf('order', summaryOf(value)))
    if (more > 0) events.push(eventOf('more', { orders: more }))
    audience.tell(events.join(''))
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

function summaryOf({ json }: StoredJson): Summary {
  // What was validated when it came in; the bytes are our own.
  const order = JSON.parse(json.toString()) as Pick<Summary, 'order_uid' | 'date_created'> & {
    readonly payment: Pick<Summary, 'amount' | 'currency'>
    readonly items: readonly unknown[]
  }
  return {
    order_uid: order.order_uid,
    date_created: order.date_created,
    amount: order.payment.amount,
    currency: order.payment.currency,
    items: order.items.length,
  }
}
