import type { Publisher } from '../engine/kafka/publisher.ts'
import type { Clock } from '../engine/ports.ts'
import { startWriteListener, type WriteListener } from '../engine/postgres/notifications.ts'
import type { Stream } from '../engine/stream.ts'
import type { StoredValue } from '../engine/value-sql.ts'
import type { ReadyRecord } from '../engine/verdict.ts'
import { createDeadLetterIndex } from '../inbox/postgres/dead-letter-index.ts'
import { createCache } from '../read/cache/cache.ts'
import { createLiveFeed, type LiveFeed } from '../read/http/live-feed.ts'
import type { Intake } from '../read/intake.ts'
import { createRecordOutcomes } from '../read/postgres/record-outcomes.ts'
import { createValueReader } from '../read/postgres/value-reader.ts'
import type { ReadObserver } from '../read/read-side.ts'
import type { Config } from '../settings/config.ts'
import { composeIntake } from './intake.ts'
import type { Pools } from './pools.ts'

/** How old a cached answer may be at most: "within a second", minus the time that the answer takes to reach the client. */
const CACHE_LEASE_MS = 900
/** So long after the last look at a cache its entries are kept vouched for. The first look after that confirms its answer. */
const READ_WITHIN_MS = 10_000
/** A session that has not answered for so long is given up, and another one begun. */
const LISTEN_TIMEOUT_MS = 3_000
/** Added to the timeout of the statement: until the writer knows that it has committed, or gives up on it. */
const COMMIT_MARGIN_MS = 5_000

export interface ReadingParts {
  readonly config: Config
  readonly stream: Stream
  readonly pool: ReturnType<Pools['open']>
  readonly publisher: Publisher
  /** Memory of the cache. */
  readonly maxBytes: number
  /** Whether this process has the role `api`. */
  readonly serves: boolean
  /** Records that wait for this process, as far as it is known. */
  readonly lagRecords: () => number
  readonly observer: ReadObserver
  readonly clock: Clock
}

/** The values of one stream, as this process serves them: from memory, from the database, and as they come. */
export interface Reading {
  readonly stream: Stream
  readonly cache: ReturnType<typeof createCache>
  readonly catalog: ReturnType<typeof createValueReader>
  readonly positions: ReturnType<typeof createValueReader>
  readonly outcomes: ReturnType<typeof createRecordOutcomes>
  readonly deadLetters: ReturnType<typeof createDeadLetterIndex>
  readonly intake: Intake
  readonly feed: LiveFeed
  /** After each commit. `written`: `undefined` when the reply to it was lost. */
  onSettled(written: readonly ReadyRecord<unknown>[] | undefined, candidates: readonly ReadyRecord<unknown>[]): void
  /** Loads the newest values into the cache. Never rejects. */
  warm(signal: AbortSignal): Promise<void>
}

export function composeReading(parts: ReadingParts): Reading {
  const { config, stream, pool, observer, clock, serves } = parts
  const reader = createValueReader(pool, stream.queries)
  const feed = createLiveFeed({ clock, names: stream.http })
  const cache = createCache({
    maxBytes: parts.maxBytes,
    ttlMs: config.cache.ttlMs,
    writeTimeoutMs: config.postgres.statementTimeoutMs + COMMIT_MARGIN_MS,
    reader,
    clock,
  })

  /** The position is copied: an entry of the cache must not keep the whole record in memory. */
  function toStored(ready: ReadyRecord<unknown>): StoredValue {
    const { topic, partition, offset, timestampMs } = ready.origin
    const json = ready.json?.() ?? stream.json(ready.value)
    return { key: ready.key, json, origin: { topic, partition, offset, timestampMs } }
  }

  return {
    stream,
    cache,
    catalog: reader,
    positions: reader,
    outcomes: createRecordOutcomes(pool, stream.queries, stream.groupId),
    deadLetters: createDeadLetterIndex(pool, stream.name),
    intake: composeIntake(parts),
    feed,
    onSettled(written, candidates) {
      // When the reply to the commit was lost, we know the keys but not which records were written. And of a backlog only the
      // end would still be in the cache when it is worked off, while the rest would have pushed other values out.
      if (written === undefined || cache.outrunBy(parts.lagRecords())) cache.drop(candidates.map(({ key }) => key))
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
  }
}

export interface CoherenceParts {
  readonly pools: Pools
  /** Notices with this name are our own. */
  readonly self: string
  readonly readings: readonly Reading[]
  /** Whether this process has begun to write. */
  readonly writes: () => boolean
  readonly observer: ReadObserver
  readonly clock: Clock
}

/**
 * Keeps the caches coherent with what other replicas write: a key that was written elsewhere leaves them. While nothing is heard of
 * the others, each answer from a cache is confirmed first. One connection serves all streams.
 */
export function keepCoherent({ pools, self, readings, writes, observer, clock }: CoherenceParts): WriteListener {
  const caches = readings.map(({ cache }) => cache)
  for (const cache of caches) cache.trustUntil(Number.NEGATIVE_INFINITY)
  const listener = startWriteListener({
    pool: pools.openDirect('listen', 1, LISTEN_TIMEOUT_MS),
    self,
    clock,
    random: Math.random,
    onConnected() {
      // Earlier notices were missed. Once we write, a put may be under way that is older than what was missed.
      for (const cache of caches) {
        if (writes()) cache.overtake('all')
        else cache.clear()
      }
      observer.observe({ kind: 'coherence_established' })
    },
    onWritten(keys, stream) {
      // A notice that names no stream may concern any.
      const concerned = readings.filter(reading => stream === undefined || reading.stream.name === stream)
      for (const { cache } of concerned) cache.overtake(keys)
    },
    onCurrent(asOfMs) {
      for (const cache of caches) cache.trustUntil(asOfMs + CACHE_LEASE_MS)
    },
    isWanted: () => caches.some(cache => cache.readWithin(READ_WITHIN_MS)),
    onLost: (error, attempt, delayMs) => observer.observe({ kind: 'coherence_lost', attempt, delayMs, error }),
  })
  for (const cache of caches) cache.onDoubt(listener.hurry)
  return listener
}
