import type { Origin } from '../engine/record.ts'
import type { StoredValue } from '../engine/value-sql.ts'
import type { Keyless } from '../settings/access.ts'

/** A value as the cache holds it: the bytes of the answer, never to be changed. */
export interface CachedValue {
  readonly json: Buffer
  readonly origin: Origin
  /** Strong entity tag with its quotes, made of the bytes; computed when first asked for, once. */
  readonly etag: string
}

/** The answer to one lookup, with the facts that `Cache-Status` (RFC 9211) states. */
export interface Lookup {
  /** `undefined`: there is no such value. */
  readonly value: CachedValue | undefined
  /** The store was not asked, or could not be reached, and the answer is the one that is held. */
  readonly hit: boolean
  /** Another lookup had asked the store already, and this one waited with it. */
  readonly collapsed: boolean
  /** A miss whose answer is in the cache now. */
  readonly stored: boolean
  /** How long the cache will go on holding the answer, in ms; 0 when it does not. */
  readonly ttlMs: number
}

/**
 * How lookups ended. `revalidated`: an answer was held, but the store had to be asked whether it still is the newest.
 * A closed set: also the values of the metric label `result`.
 */
export const CACHE_RESULTS = ['hit', 'negative_hit', 'miss', 'collapsed', 'revalidated'] as const
export type CacheResult = (typeof CACHE_RESULTS)[number]

/** Why entries left. A closed set: also the values of the metric label `cause`. */
export const EVICTION_CAUSES = ['size', 'expired', 'invalidated'] as const
export type EvictionCause = (typeof EVICTION_CAUSES)[number]

export interface CacheStats {
  readonly entries: number
  /** Bytes of the values and what holding them costs. */
  readonly bytes: number
  /** Since the start. */
  readonly requests: Readonly<Record<CacheResult, number>>
  /** Since the start. */
  readonly evictions: Readonly<Record<EvictionCause, number>>
}

/** Serialized values in memory in front of a store; never answers with a version older than one it was notified of. */
export interface ValueCache {
  /**
   * The entry that is held and known to be current, without waiting. `undefined` when only `get` can answer (which then counts
   * the lookup), also where it is known that there is no such value.
   */
  hit(key: string): Lookup | undefined
  /** From memory, else from the store: once, however many ask. Rejects with what the store threw. */
  get(key: string): Promise<Lookup>
  /** Takes what was just committed. An older version never replaces a newer one. */
  put(values: readonly StoredValue[]): void
  /**
   * Whether so many further values are more than it can hold, by the mean size of those that it holds. What is put now would
   * then be gone before they are all in.
   */
  outrunBy(count: number): boolean
  /** Forgets these, because another process has written them, or they are not worth holding. */
  drop(keys: readonly string[]): void
  /**
   * Another process has written these: forgets them, and for a while takes no version of them from `put`. What is put then
   * may have been committed *before* the other's version, and be reported only after it.
   */
  overtake(keys: readonly string[] | 'all'): void
  clear(): void
  /**
   * Until this moment of the monotonic clock all that is held is the newest there is (or close enough); afterwards the store
   * is asked again whatever is held, and what is held is the answer only when the store is away. At first: for ever.
   */
  trustUntil(monotonicMs: number): void
  /** Whether something was looked up in the last so many ms, while it depended on `trustUntil`. */
  readWithin(ms: number): boolean
  /** @param listener is called when something is looked up that nothing vouches for */
  onDoubt(listener: () => void): void
  /**
   * Fills free memory with the newest values of the store, newest first, until it is full or `limit` are in.
   * Ends early, without an error, when the signal aborts.
   * @returns how many it put in. @throws what the store threw
   */
  warm(limit: number, signal: AbortSignal): Promise<number>
  stats(): CacheStats
}

/** Methods that are distinguished. A closed set: also the values of the metric label `method`; `OTHER` is any that is not known here. */
export const HTTP_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'OTHER'] as const
export type HttpMethod = (typeof HTTP_METHODS)[number]

/**
 * Why the API refused a request, or closed a connection, without doing any work. A closed set: also the values of the metric
 * label `reason`.
 */
export const HTTP_REFUSALS = [
  'key_required',
  'bad_key',
  'role_too_small',
  'foreign_page',
  'host_not_allowed',
  'too_many_requests',
  'busy',
  'connection_idle',
  'no_connection_left',
  'answer_unread',
] as const
export type HttpRefusal = (typeof HTTP_REFUSALS)[number]

/** Facts about the read side, as {@link Fact} is of the stream. Routes are patterns, never paths. */
export type ReadFact =
  | {
      readonly kind: 'http_served'
      readonly method: HttpMethod
      readonly route: string
      readonly status: number
      readonly seconds: number
    }
  /** Its address goes into the log, and into no metric. `undefined`: connections that need no attention. */
  | { readonly kind: 'http_refused'; readonly reason: HttpRefusal; readonly address: string | undefined }
  | { readonly kind: 'http_failed'; readonly route: string; readonly traceId: string; readonly error: unknown }
  | {
      readonly kind: 'http_started'
      readonly url: string
      /** Who may read and write without a key. */
      readonly keyless: Keyless
      /** Names that it answers to, for people. */
      readonly names: string
    }
  | { readonly kind: 'metrics_started'; readonly url: string }
  | { readonly kind: 'cache_warmed'; readonly entries: number; readonly bytes: number; readonly seconds: number }
  | { readonly kind: 'cache_warm_failed'; readonly error: unknown }
  /** From now on, notices of other replicas' writes arrive. */
  | { readonly kind: 'coherence_established' }
  | {
      readonly kind: 'coherence_lost'
      readonly attempt: number
      readonly delayMs: number
      readonly error: unknown
    }

export interface ReadObserver {
  observe(fact: ReadFact): void
}
