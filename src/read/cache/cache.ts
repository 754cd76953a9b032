import { setTimeout as timer } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { dispositionOf } from '../../engine/errors.ts'
import type { Clock } from '../../engine/ports.ts'
import { compareOrigins, type Origin } from '../../engine/record.ts'
import type { ValueReader } from '../ports.ts'
import type { CacheResult, EvictionCause, Lookup, ValueCache } from '../read-side.ts'
import { costOf, Entry } from './entry.ts'
import { rememberOvertaken } from './overtaken.ts'

export interface CacheOptions {
  /** Bound of all entries together, overhead counted; 0 holds nothing. */
  readonly maxBytes: number
  /** How long an entry may be served; 0: as long as memory allows. */
  readonly ttlMs: number
  readonly reader: ValueReader
  /** How long a writer may take to learn of its own commit: an entry that it puts is at most that old. Default: 15,000. */
  readonly writeTimeoutMs?: number
  /** Default: the real one. */
  readonly clock?: Pick<Clock, 'monotonic'> & Partial<Pick<Clock, 'sleep'>>
}

/**
 * "There is no such order" is remembered only this long, counted from the question: long enough against a storm of one
 * mistyped key. Other replicas send no notices of new values, so this bounds how late one is seen here.
 */
const ABSENT_TTL_MS = 750
const WRITE_TIMEOUT_MS = 15_000
/** How long an answer that is held waits for the store to confirm it, before the store counts as away. */
const CONFIRM_TIMEOUT_MS = 1_000
/** So long a store that was away is not asked about what is held. */
const AWAY_MS = 1_000
/** A separate LRU, so that lookups of unknown keys cannot evict values. */
const ABSENT_MAX = 10_000
/** Estimated size of one entry while the cache is empty: the sample order and its overhead. */
const TYPICAL_ENTRY_BYTES = 2_500

/** One question to the store that is under way. */
interface Load {
  readonly answer: Promise<Lookup>
  readonly race: Race
}

/** What happens while a load is under way. Also the load's identity: see `disowned` in {@link createCache}. */
interface Race {
  /** The newest version put meanwhile. Kept here as well as in the cache, which may have evicted it by then. */
  overtakenBy: Entry | undefined
}

/** What happens while the cache is being warmed. */
interface Warming {
  /** Uids that left: the page in hand may hold a version that is older than the one that left. */
  readonly gone: Set<string>
  /** Everything was dropped: what is in hand is worth nothing. */
  cleared: boolean
}

/**
 * The serialized LRU cache. A hit needs no parsing; and as bytes are held, there is no shared object to be changed.
 *
 * Two rules keep an older version from coming back. (1) A version goes in only when it is newer than the one that is
 * held, or that overtook the load; where offset and timestamp contradict each other, neither is held. (2) Dropping a key detaches the load that is under way for it: it answers those who
 * asked before, and leaves nothing behind; later callers load again.
 *
 * Where several replicas write, a third keeps a held version from outliving the one that replaced it: (3) What is held is
 * served only while it is vouched for (`trustUntil`). Without that the store is asked again; only when it is away, and
 * so no one can have written (or we are cut off, and have nothing better), what is held is the answer all the same.
 */
export function createCache(options: CacheOptions): ValueCache {
  const { reader, ttlMs } = options
  // A maxSize of 0 would mean "no bound" to lru-cache, and a start time of 0 "no TTL".
  const maxSize = Math.max(1, options.maxBytes)
  const monotonic = options.clock?.monotonic.bind(options.clock) ?? (() => performance.now())
  const sleep = options.clock?.sleep?.bind(options.clock) ?? realSleep
  const perf = { now: () => monotonic() + 1 }

  const requests: Record<CacheResult, number> = { hit: 0, negative_hit: 0, miss: 0, collapsed: 0, revalidated: 0 }
  const evictions: Record<EvictionCause, number> = { size: 0, expired: 0, invalidated: 0 }
  const loads = new Map<string, Load>()
  let warming: Warming | undefined
  let trustedUntilMs = Number.POSITIVE_INFINITY
  let awayUntilMs = Number.NEGATIVE_INFINITY
  let readAtMs = Number.NEGATIVE_INFINITY
  let doubted: () => void = () => {}
  const overtaken = rememberOvertaken(options.writeTimeoutMs ?? WRITE_TIMEOUT_MS, monotonic)

  const entries = new LRUCache<string, Entry>({
    maxSize,
    ttl: ttlMs,
    ttlResolution: 0,
    perf,
    dispose: (_entry, key, reason) => {
      if (reason === 'set') return
      warming?.gone.add(key)
      evictions[reason === 'evict' ? 'size' : reason === 'expire' ? 'expired' : 'invalidated'] += 1
    },
  })
  const absent = new LRUCache<string, true>({ max: ABSENT_MAX, ttl: ABSENT_TTL_MS, ttlResolution: 0, perf })

  function store(key: string, entry: Entry): void {
    absent.delete(key)
    const held = entries.peek(key)
    if (held !== undefined && compareOrigins(entry.origin, held.origin) !== 'newer') return
    // One that is too large is not taken, and the version before it goes all the same: never a stale answer.
    entries.set(key, entry, { size: costOf(key, entry) })
    if (!entries.has(key)) warming?.gone.add(key)
  }

  function tell(key: string, value: Entry | undefined, how: { hit: boolean }): Lookup {
    const ttl = value === undefined ? absent.getRemainingTTL(key) : entries.getRemainingTTL(key)
    const stored = value === undefined ? ttl > 0 : entries.peek(key) === value
    return { value, hit: how.hit, collapsed: false, stored: stored && !how.hit, ttlMs: stored ? Math.max(0, ttl) : 0 }
  }

  async function load(key: string, race: Race): Promise<Lookup> {
    const disowned = () => loads.get(key)?.race !== race
    const start = perf.now()
    try {
      const read = await reader.read(key)
      const loaded = read === undefined ? undefined : new Entry(read)
      const overtakenBy = race.overtakenBy
      if (overtakenBy !== undefined) {
        // Asked as "is the put one older?", so that of two equals the put one wins: it came later.
        if (loaded === undefined || compareOrigins(overtakenBy.origin, loaded.origin) !== 'older') {
          return tell(key, overtakenBy, { hit: false })
        }
      }
      if (!disowned()) {
        if (loaded === undefined) {
          entries.delete(key)
          absent.set(key, true, { start })
        } else store(key, loaded)
      }
      return tell(key, loaded, { hit: false })
    } catch (error) {
      // The store is away, and yet the answer is known: it was written while we asked.
      if (race.overtakenBy !== undefined) return tell(key, race.overtakenBy, { hit: false })
      throw error
    } finally {
      if (!disowned()) loads.delete(key)
    }
  }

  /** Asks the store, sharing a load that is under way. */
  function ask(key: string, result: 'miss' | 'revalidated'): Promise<Lookup> {
    const running = loads.get(key)
    if (running !== undefined) {
      requests.collapsed += 1
      return running.answer.then(answer => ({ ...answer, collapsed: true }))
    }
    requests[result] += 1
    const race: Race = { overtakenBy: undefined }
    // `load` runs up to its first await here and now; it looks into `loads` only after that.
    const answer = load(key, race)
    loads.set(key, { answer, race })
    return answer
  }

  /** What is held is not vouched for: the store's answer goes before it, unless the store is away. */
  async function confirm(key: string, held: Entry): Promise<Lookup> {
    const answered = new AbortController()
    const answer = ask(key, 'revalidated')
    // It may still fail after the last caller has left.
    answer.catch(() => {})
    try {
      const confirmed = await Promise.race([answer, sleep(CONFIRM_TIMEOUT_MS, answered.signal)])
      if (confirmed !== undefined) return confirmed
    } catch (error) {
      if (dispositionOf(error) !== 'retry') throw error
    } finally {
      answered.abort()
    }
    awayUntilMs = monotonic() + AWAY_MS
    return tell(key, entries.peek(key) ?? held, { hit: true })
  }

  function hit(key: string): Lookup | undefined {
    if (!vouchedFor()) return undefined
    const held = entries.get(key)
    if (held === undefined) return undefined
    requests.hit += 1
    return { value: held, hit: true, collapsed: false, stored: false, ttlMs: Math.max(0, entries.getRemainingTTL(key)) }
  }

  function vouchedFor(): boolean {
    if (trustedUntilMs === Number.POSITIVE_INFINITY) return true
    readAtMs = monotonic()
    if (readAtMs < trustedUntilMs) return true
    doubted()
    return readAtMs < awayUntilMs
  }

  return {
    hit,

    get(key) {
      const found = hit(key)
      if (found !== undefined) return Promise.resolve(found)
      const held = entries.get(key)
      if (held !== undefined) return confirm(key, held)
      if (absent.has(key)) {
        requests.negative_hit += 1
        return Promise.resolve(tell(key, undefined, { hit: true }))
      }
      return ask(key, 'miss')
    },

    put(values) {
      for (const value of values) {
        if (overtaken.has(value.key)) {
          forget(value.key)
          continue
        }
        const entry = new Entry(value)
        if (contradicts(entry.origin, entries.peek(value.key)?.origin)) {
          forget(value.key)
          continue
        }
        store(value.key, entry)
        const race = loads.get(value.key)?.race
        if (race === undefined) continue
        const earlier = race.overtakenBy
        if (earlier === undefined || compareOrigins(entry.origin, earlier.origin) === 'newer') race.overtakenBy = entry
      }
    },

    outrunBy(count) {
      const meanBytes = entries.size === 0 ? TYPICAL_ENTRY_BYTES : entries.calculatedSize / entries.size
      return count * meanBytes > maxSize
    },

    drop(keys) {
      for (const key of keys) forget(key)
    },

    overtake(keys) {
      overtaken.add(keys)
      if (keys === 'all') forgetAll()
      else for (const key of keys) forget(key)
    },

    clear: forgetAll,

    trustUntil(monotonicMs) {
      trustedUntilMs = monotonicMs
    },

    readWithin: ms => monotonic() - readAtMs < ms,

    onDoubt(listener) {
      doubted = listener
    },

    async warm(limit, signal) {
      if (warming !== undefined) throw new RangeError('the cache is being warmed already')
      const added: string[] = []
      try {
        do {
          added.length = 0
          const now: Warming = { gone: new Set(), cleared: false }
          warming = now
          for await (const value of reader.newest(limit)) {
            if (signal.aborted || now.cleared || added.length >= limit) break
            if (now.gone.has(value.key) || entries.peek(value.key) !== undefined) continue
            const entry = new Entry(value)
            if (entries.calculatedSize + costOf(value.key, entry) > maxSize) break
            store(value.key, entry)
            added.push(value.key)
          }
        } while (warming.cleared && !signal.aborted)
      } finally {
        warming = undefined
      }
      rank(added)
      return added.length
    },

    stats: () => ({
      entries: entries.size,
      bytes: entries.calculatedSize,
      requests: { ...requests },
      evictions: { ...evictions },
    }),
  }

  function forget(key: string): void {
    entries.delete(key)
    absent.delete(key)
    loads.delete(key)
    warming?.gone.add(key)
  }

  function forgetAll(): void {
    entries.clear()
    absent.clear()
    loads.clear()
    if (warming !== undefined) warming.cleared = true
  }

  /**
   * They went in newest first, which would make the newest the first to be evicted. Touched again from the oldest to the
   * newest, and then what was written or asked for meanwhile, they stand as if they had come in the order of time.
   */
  function rank(added: readonly string[]): void {
    const warmed = new Set(added)
    const others = [...entries.rkeys()].filter(key => !warmed.has(key))
    for (const key of added.toReversed()) entries.get(key)
    for (const key of others) entries.get(key)
  }
}

/**
 * What was just stored has a lower offset and a later timestamp than what is held of its partition: the topic may have been created again, and
 * its offsets have begun anew. Which of both the store has, it says itself.
 */
function contradicts(written: Origin, held: Origin | undefined): boolean {
  if (held === undefined || written.timestampMs <= held.timestampMs) return false
  return compareOrigins(written, held) === 'older'
}

/** An abort only ends the wait. */
async function realSleep(ms: number, signal?: AbortSignal): Promise<void> {
  await timer(ms, undefined, signal === undefined ? {} : { signal }).catch(() => {})
}
