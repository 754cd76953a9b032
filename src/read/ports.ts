import type { Reason } from '../engine/dead-letter.ts'
import type { Origin } from '../engine/record.ts'
import type { PageQuery, Place, StoredValue } from '../engine/value-sql.ts'

/** What the read side asks of the store. */

export interface ValueReader {
  /** @returns `undefined` when there is none. @throws StoreUnavailableError */
  read(key: string): Promise<StoredValue | undefined>
  /** Newest first (by the value's own date, then key), at most `limit`. */
  newest(limit: number): AsyncIterable<StoredValue>
}

/** What is asked of the store besides single values. @throws StoreUnavailableError */
export interface ValueCatalog {
  /** May end before its limit, when its values are large. */
  page(query: PageQuery): Promise<{
    readonly values: readonly StoredValue[]
    /** Where the next page goes on; `undefined` when this is the last. */
    readonly next: Place | undefined
  }>
}

/** Where the record stands whose value is stored, and when it was stored. @throws StoreUnavailableError */
export interface StoredPositions {
  /** `undefined`: nothing is stored under this key. */
  of(key: string): Promise<{ readonly origin: Origin; readonly storedAtMs: number } | undefined>
}

export interface RecordOutcomes {
  /** What became of the record at this position, which holds a version of this value. @throws StoreUnavailableError StoreContendedError */
  outcomeOf(key: string, at: Origin): Promise<RecordOutcome>
}

/** How a published record ended, as its producer sees it. */
export type RecordOutcome =
  /** Not settled yet, as far as is known. */
  | { readonly kind: 'pending' }
  /** The stored value is what this record holds. */
  | { readonly kind: 'stored' }
  /** A newer version is stored: this one was stale or superseded, or was written and has been replaced. */
  | { readonly kind: 'overtaken' }
  /** Set aside: valid, though not for the store. */
  | { readonly kind: 'dead_lettered'; readonly reason: Reason; readonly error: string }
