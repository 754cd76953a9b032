import type { ServerResponse } from 'node:http'
import type { Clock, StoredValue } from '../core/ports.ts'

/** Tells those who watch what has just been stored, by server-sent events (HTML standard, §9.2). */
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
/** Shorter than the 60 s after which common proxies cut an idle connection; also finds clients that are gone. */
const HEARTBEAT_MS = 15_000
const RETRY_MS = 2_000

/**
 * Events: `order`, a {@link Summary}; and `more`, `{"orders": n}`, how many were stored besides the ones shown.
 * There is no replay: who (re)connects reads `GET /orders` for what is there already.
 */
export function createLiveFeed(options: LiveFeedOptions): LiveFeed {
  const { clock, maxWatchers = 100, maxBehindBytes = 64 * 1024 } = options
  const watchers = new Set<ServerResponse>()
  const closing = new AbortController()
  /** The latest that have not been sent, oldest first. */
  let waiting: StoredJson[] = []
  /** How many have not been sent, the ones that will not be shown among them. */
  let unsent = 0
  let pacing = false
  let beating = false

  /** Sends at once what comes after a pause; then no oftener than the interval. */
  async function pace(): Promise<void> {
    pacing = true
    while (waiting.length > 0 && !closing.signal.aborted) {
      flush()
      await clock.sleep(INTERVAL_MS, closing.signal)
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
    broadcast(events.join(''))
  }

  async function beat(): Promise<void> {
    beating = true
    while (watchers.size > 0) {
      await clock.sleep(HEARTBEAT_MS, closing.signal)
      broadcast(': still here\n\n')
    }
    beating = false
  }

  function broadcast(text: string): void {
    for (const res of watchers) {
      // One that does not read must not make us hold the stream for it; when it comes back it starts afresh.
      if (res.writableLength > maxBehindBytes) res.destroy()
      else res.write(text)
    }
  }

  return {
    publish(written, toStored) {
      if (watchers.size === 0) return
      waiting = [...waiting, ...written.slice(-SHOWN_AT_ONCE).map(toStored)].slice(-SHOWN_AT_ONCE)
      unsent += written.length
      if (!pacing) void pace()
    },

    watch(res) {
      if (closing.signal.aborted || watchers.size >= maxWatchers) return false
      res.writeHead(200, {
        'Content-Type': 'text/event-stream; charset=utf-8',
        'Cache-Control': 'no-store',
        // nginx collects answers otherwise, and the list would come in lumps.
        'X-Accel-Buffering': 'no',
      })
      res.write(`retry: ${RETRY_MS}\n\n`)
      watchers.add(res)
      res.once('close', () => {
        watchers.delete(res)
        if (watchers.size > 0) return
        // Nobody is left to be told.
        waiting = []
        unsent = 0
      })
      if (!beating) void beat()
      return true
    },

    get watchers() {
      return watchers.size
    },

    close() {
      closing.abort()
      for (const res of watchers) res.end()
      watchers.clear()
    },
  }
}

/** JSON has no line breaks of its own, so that one line holds it all. */
function eventOf(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
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
