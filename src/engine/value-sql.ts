import type { Origin } from './record.ts'
import type { ReadyRecord } from './verdict.ts'

/** How the values of a stream become rows, and rows become values again: all that store and readers need of its tables. */

/** One parameter of a statement: a whole column, one entry a row, sent as a binary array. `null` is SQL's NULL. */
export type Column =
  | { readonly type: 'text'; readonly values: readonly (string | null)[] }
  | { readonly type: 'int8'; readonly values: readonly (number | bigint | null)[] }
  | { readonly type: 'int4'; readonly values: readonly (number | null)[] }
  | { readonly type: 'bool'; readonly values: readonly (boolean | null)[] }
  | { readonly type: 'float8'; readonly values: readonly (number | null)[] }
  /** Decimal text, as JavaScript prints a number: `12.50`, `1e-7`. */
  | { readonly type: 'numeric'; readonly values: readonly (string | null)[] }
  /** Microseconds since the Unix epoch. */
  | { readonly type: 'timestamptz'; readonly values: readonly (bigint | null)[] }
  /** `YYYY-MM-DD`, in the years 0001 to 9999. */
  | { readonly type: 'date'; readonly values: readonly (string | null)[] }
  | { readonly type: 'uuid'; readonly values: readonly (string | null)[] }
  /** JSON text. */
  | { readonly type: 'jsonb'; readonly values: readonly (string | null)[] }

/** Text with `$1 …` placeholders, one for each column; prepared under `name` on each connection (`''`: planned anew each time). */
export interface Statement {
  readonly name: string
  readonly text: string
  readonly columns: readonly Column[]
  /** The columns as binary arrays, where they are encoded already. */
  readonly arrays?: readonly Buffer[]
}

/** `COPY … FROM STDIN (FORMAT binary)` into one table, with what it is given: signature, rows, trailer. */
export interface CopyStatement {
  readonly text: string
  readonly bytes: Buffer
  /** What the command tag must count. */
  readonly rows: number
}

/** How a domain's values become rows: all that a settlement store needs of the domain. */
export interface Tables<T> {
  /**
   * Upserts all tables under the stale guard. Answers one row for each record: `key text`, `outcome text`
   * (written | duplicate | stale), `replaced boolean` (written over an earlier row).
   */
  upsert(records: readonly ReadyRecord<T>[]): Statement
  /**
   * Removes what an earlier, longer version left behind, for records that replaced one. A statement of its own, run
   * after the upsert holds the row locks: only a fresh snapshot sees rows that another transaction has just committed.
   * @returns `undefined` when a version of these tables cannot leave anything behind
   */
  trim(records: readonly ReadyRecord<T>[]): Statement | undefined
  /** What must be known, in the transaction that writes, before keys that are new may go by COPY. */
  readonly beforeCopy: {
    /** Keeps the definition of the tables as it is until the transaction ends. No statement that writes rows waits for it. */
    readonly lock: string
    /**
     * Answers one row: `obstacle text`, a clause that says why COPY would not do what the upsert does (`NULL`: it does); `now text`, the
     * transaction's start in microseconds since the Unix epoch.
     */
    readonly obstacle: Statement
    /** Answers a row (`key text`) for each of these keys that the root table holds. */
    known(keys: readonly string[]): Statement
  }
  /**
   * Writes values whose keys no table holds; a key that is there all the same fails with 23505. Tables without a row are left out.
   * @param storedAtMicros the transaction's `now()`, as the upsert stores it for a key that is new
   * @throws RangeError, TypeError for a value that its column cannot hold
   */
  copies(records: readonly ReadyRecord<T>[], storedAtMicros: bigint): readonly CopyStatement[]
}

/** A stored value as the read side serves it. */
export interface StoredValue {
  readonly key: string
  /** Canonical JSON, the bytes that are served. */
  readonly json: Buffer
  /** Position of the record that wrote it: decides which of two versions is newer. */
  readonly origin: Origin
}

/** Text with `$1 …` placeholders, prepared under `name` on each connection. */
export interface ValueQuery {
  readonly name: string
  readonly text: string
}

/** Where a value stands among all, newest first: its own date in canonical form, then its key. */
export type Place = readonly [date: string, key: string]

/** A page of values, newest first by their own date. Dates are canonical instants. */
export interface PageQuery {
  /** Columns that the values must equal, out of {@link ValueList.by}: `{ colour: 'red' }`. Empty: all values. */
  readonly by: Readonly<Record<string, string>>
  /** The earliest date that belongs to it. */
  readonly from: string | undefined
  /** The date before which it ends: this one does not belong to it. */
  readonly to: string | undefined
  /** The last place of the page before. */
  readonly after: Place | undefined
  readonly limit: number
}

/** What pages of a stream can be restricted by. */
export interface ValueList {
  /** Columns of the root table; their names are also those of the query parameters. */
  readonly by: readonly string[]
  /** A date of the list in canonical form (it compares as text and as Postgres reads it); `undefined` when the text is no date. */
  canonicalDate(text: string): string | undefined
}

/** How rows become a domain's values: all that a reader needs of the domain. */
export interface ValueQueries {
  /** `undefined`: the stream declares no order of its values, so that there are no pages, and `newest` goes by the key. */
  readonly list: ValueList | undefined
  /** The value of the key `$1`: one row or none. */
  readonly one: ValueQuery
  /** The values of the keys `$1`: a row for each that has one. */
  readonly many: ValueQuery
  /** At most `$1` rows, newest first, after the place `($2, $3)` of an earlier row. */
  readonly newest: ValueQuery
  /** The place before all rows. */
  readonly start: Place
  /** The rows of a page, newest first, at most `limit`. Only where there is a `list`. */
  page(query: PageQuery): ValueQuery & { readonly values: readonly unknown[] }
  /** Position of the record that wrote the value of the key `$1`, and `stored_at_ms`: one row or none. */
  readonly origin: ValueQuery
  toOrigin(row: Readonly<Record<string, unknown>>): Origin
  /** A row of either query: the value, and its place in the order of `newest`. */
  toValue(row: Readonly<Record<string, unknown>>): {
    readonly stored: StoredValue
    readonly place: Place
  }
}
