import type pg from 'pg'
import { StoreContendedError, StoreUnavailableError } from '../../engine/errors.ts'
import { query } from '../../engine/postgres/pool.ts'
import type { Place, StoredValue, ValueQueries } from '../../engine/value-sql.ts'
import type { StoredPositions, ValueCatalog, ValueReader } from '../ports.ts'

/** Rows of one statement. A row may have a megabyte, so one asks for few until it is known how large they are. */
const FIRST_ROWS = 25
const MOST_ROWS = 500
/** What a statement of many rows should bring at most; a page of the list ends with the value that would exceed it. */
const PAGE_BYTES = 4 * 1024 * 1024
/** Bytes that are turned into values before the event loop may turn. */
const TURN_BYTES = 64 * 1024

/** Reads stored values with the queries of the stream, which build the values from rows. */
export function createValueReader(pool: pg.Pool, queries: ValueQueries): ValueReader & ValueCatalog & StoredPositions {
  return {
    async of(key) {
      const [row] = await readRows({ ...queries.origin, values: [key] })
      return row === undefined ? undefined : { origin: queries.toOrigin(row), storedAtMs: Number(row.stored_at_ms) }
    },

    async read(key) {
      const [row] = await readRows({ ...queries.one, values: [key] })
      return row === undefined ? undefined : queries.toValue(row).stored
    },

    /** Each page is a statement of its own: what is written meanwhile may be in it or not, but no value comes twice. */
    async *newest(limit): AsyncIterable<StoredValue> {
      let place = queries.start
      let most = FIRST_ROWS
      for (let left = limit; left > 0; ) {
        const wanted = Math.min(left, most)
        const rows = await readRows({ ...queries.newest, values: [wanted, ...place] })
        let bytes = 0
        for await (const value of valuesOf(rows)) {
          place = value.place
          bytes += value.stored.json.length
          yield value.stored
        }
        if (rows.length < wanted) return
        left -= rows.length
        most = Math.min(MOST_ROWS, Math.max(1, Math.floor((rows.length * PAGE_BYTES) / Math.max(bytes, 1))), most * 2)
      }
    },

    /** One row more than wanted is asked for: whether there is a next page is then known without counting. */
    async page(wanted) {
      const values: StoredValue[] = []
      let next: Place | undefined
      let bytes = 0
      for (;;) {
        const left = wanted.limit + 1 - values.length
        // As many as should still fit, by the mean of those that are there.
        const fitting = bytes === 0 ? left : Math.ceil((PAGE_BYTES - bytes) / (bytes / values.length)) + 1
        const limit = Math.min(left, FIRST_ROWS, Math.max(1, fitting))
        const { values: parameters, ...statement } = queries.page({ ...wanted, after: next ?? wanted.after, limit })
        const rows = await readRows({ ...statement, values: [...parameters] })
        for await (const { stored, place } of valuesOf(rows)) {
          const isOver = values.length > 0 && bytes + stored.json.length > PAGE_BYTES
          if (values.length === wanted.limit || isOver) return { values, next }
          values.push(stored)
          bytes += stored.json.length
          next = place
        }
        if (rows.length < limit) return { values, next: undefined }
      }
    },
  }

  /** One by one, with a turn of the event loop between those that are large. */
  async function* valuesOf(rows: readonly Record<string, unknown>[]) {
    let bytes = 0
    for (const row of rows) {
      const value = queries.toValue(row)
      yield value
      bytes += value.stored.json.length
      if (bytes < TURN_BYTES) continue
      bytes = 0
      await new Promise<void>(resolve => setImmediate(resolve))
    }
  }

  /** A read that took too long, or was cancelled, is an outage to the caller: ask again later. */
  async function readRows(statement: pg.QueryConfig): Promise<Record<string, unknown>[]> {
    try {
      return await query<Record<string, unknown>>(pool, statement)
    } catch (error) {
      if (!(error instanceof StoreContendedError)) throw error
      throw new StoreUnavailableError(error.message, { cause: error, sqlState: error.sqlState })
    }
  }
}
