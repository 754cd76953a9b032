import { createCache } from './cache/cache.ts'
import type { Config } from './config.ts'
import type { ReadObserver } from './core/read-side.ts'
import type { PoolName } from './core/status.ts'
import { httpNames } from './engine/http-names.ts'
import type { Clock } from './engine/ports.ts'
import type { StoredValue } from './engine/value-sql.ts'
import type { ReadyRecord } from './engine/verdict.ts'
import { createLiveFeed, type LiveFeed } from './http/live-feed.ts'
import { type Order, orderJson } from './orders/order.ts'
import { startWriteListener, type WriteListener } from './postgres/notifications.ts'
import { createOrderReader } from './postgres/order-reader.ts'
import type { createPool } from './postgres/pool.ts'
import { createRecordOutcomes } from './postgres/record-outcomes.ts'
import type { RecordOutcomes } from './read/ports.ts'
import { orderHttp } from './streams/orders/http.ts'
import { orderQueries } from './streams/orders/stream.ts'

/** Held answers are as old as this at most: "within a second", and the rest of it for the way to the client. */
const CACHE_LEASE_MS = 900
/** A session that says nothing for so long is given up, and another one begun. */
const LISTEN_TIMEOUT_MS = 3_000
/** Beyond the timeout of the statement: until the writer has heard of its commit, or given up on it. */
const COMMIT_MARGIN_MS = 5_000

export interface ReadSideOptions {
  readonly config: Config
  readonly pool: ReturnType<typeof createPool>
  readonly openPool: (name: PoolName, max: number, statementTimeoutMs?: number) => ReturnType<typeof createPool>
  /** Under which name this process tells others what it wrote; `undefined`: nobody tells anybody. */
  readonly notifyAs: string | undefined
  /** Whether anybody reads from this process. */
  readonly serves: boolean
  /** Whether this process has begun to write. */
  readonly writes: () => boolean
  /** Records that wait for this process, as far as it is known. */
  readonly lagRecords: () => number
  readonly observer: ReadObserver
  readonly clock: Clock
}

/** Stored orders, as this process serves them: from memory, from the database, and as they come. */
export interface ReadSide extends AsyncDisposable {
  readonly cache: ReturnType<typeof createCache>
  readonly catalog: ReturnType<typeof createOrderReader>
  readonly outcomes: RecordOutcomes
  readonly feed: LiveFeed
  /** Where others tell of what they write; `undefined` where nobody listens. */
  readonly listener: WriteListener | undefined
  /** After each commit. `written`: `undefined` when the reply to it was lost. */
  onSettled(written: readonly ReadyRecord<Order>[] | undefined, candidates: readonly ReadyRecord<Order>[]): void
  /** Loads the newest orders. Never rejects. */
  warm(signal: AbortSignal): Promise<void>
}

export function composeReadSide(options: ReadSideOptions): ReadSide {
  const { config, observer, clock, serves } = options
  const reader = createOrderReader(options.pool, orderQueries)
  const feed = createLiveFeed({ clock, names: httpNames('orders', orderHttp) })
  const cache = createCache({
    maxBytes: config.cache.maxBytes,
    ttlMs: config.cache.ttlMs,
    writeTimeoutMs: config.postgres.statementTimeoutMs + COMMIT_MARGIN_MS,
    reader,
    clock,
  })
  const listener = options.notifyAs !== undefined && serves ? listenForWrites(options.notifyAs) : undefined

  /** What others write leaves our cache; and while we do not hear of it, the cache vouches for nothing. */
  function listenForWrites(self: string): WriteListener {
    cache.trustUntil(Number.NEGATIVE_INFINITY)
    return startWriteListener({
      pool: options.openPool('listen', 1, LISTEN_TIMEOUT_MS),
      self,
      clock,
      random: Math.random,
      onConnected() {
        // Whatever came before was missed. Once we write, a put may be under way that is older than what was missed.
        if (options.writes()) cache.overtake('all')
        else cache.clear()
        observer.observe({ kind: 'coherence_established' })
      },
      // One that does not say of which stream it is concerns any.
      onWritten: (keys, stream = 'orders') => {
        if (stream === 'orders') cache.overtake(keys)
      },
      onCurrent: asOfMs => cache.trustUntil(asOfMs + CACHE_LEASE_MS),
      onLost: (error, attempt, delayMs) => observer.observe({ kind: 'coherence_lost', attempt, delayMs, error }),
    })
  }

  return {
    cache,
    catalog: reader,
    outcomes: createRecordOutcomes(options.pool, orderQueries, config.kafka.groupId),
    feed,
    listener,
    onSettled(written, candidates) {
      // Only now, after the commit. When the reply to it was lost, we know the orders but not which of them won.
      // And of a backlog only the end would still be held when it is worked off; the rest must not wash the cache out.
      if (written === undefined || cache.outrunBy(options.lagRecords())) cache.drop(candidates.map(({ key }) => key))
      else if (serves) cache.put(written.map(toStored))
      if (written !== undefined) feed.publish(written, toStored)
    },
    async warm(signal) {
      if (!serves) return
      const started = clock.monotonic()
      try {
        const entries = await cache.warm(config.cache.warmOrders, signal)
        const seconds = (clock.monotonic() - started) / 1000
        observer.observe({ kind: 'cache_warmed', entries, bytes: cache.stats().bytes, seconds })
      } catch (error) {
        // A cold cache is slower, not wrong.
        observer.observe({ kind: 'cache_warm_failed', error })
      }
    },
    [Symbol.asyncDispose]: async () => listener?.[Symbol.asyncDispose](),
  }
}

/** The position is copied: an entry of the cache must not keep the whole record alive. */
function toStored({ key, value, origin }: ReadyRecord<Order>): StoredValue {
  const { topic, partition, offset, timestampMs } = origin
  return { key, json: orderJson(value), origin: { topic, partition, offset, timestampMs } }
}
