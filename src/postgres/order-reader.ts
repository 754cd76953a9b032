import type pg from 'pg'
import { StoreContendedError, StoreUnavailableError } from '../core/errors.ts'
import type { StoredValue, ValueCatalog, ValueQueries, ValueReader } from '../core/ports.ts'
import { query } from './pool.ts'

/** Rows a page: small enough that warming the cache never holds the connection for long. */
const PAGE_ROWS = 500

/** Reads stored orders; what they look like, the domain's queries know. */
export function createOrderReader(pool: pg.Pool, queries: ValueQueries): ValueReader & ValueCatalog {
  return {
    async read(uid) {
      const [row] = await readRows({ ...queries.one, values: [uid] })
      return row === undefined ? undefined : queries.toValue(row).stored
    },

    /** Each page is a statement of its own: what is written meanwhile may be in it or not, but no value comes twice. */
    async *newest(limit): AsyncIterable<StoredValue> {
      let place = queries.start
      for (let left = limit; left > 0; ) {
        const wanted = Math.min(left, PAGE_ROWS)
        const rows = await readRows({ ...queries.newest, values: [wanted, ...place] })
        for (const row of rows) {
          const value = queries.toValue(row)
          place = value.place
          yield value.stored
        }
        if (rows.length < wanted) return
        left -= rows.length
      }
    },

    /** One row more than wanted is asked for: whether there is a next page is then known without counting. */
    async page(wanted) {
      const { values, ...statement } = queries.page({ ...wanted, limit: wanted.limit + 1 })
      const rows = await readRows({ ...statement, values: [...values] })
      const found = rows.slice(0, wanted.limit).map(row => queries.toValue(row))
      return {
        values: found.map(({ stored }) => stored),
        next: rows.length > wanted.limit ? found.at(-1)?.place : undefined,
      }
    },

    async originOf(uid) {
      const [row] = await readRows({ ...queries.origin, values: [uid] })
      return row === undefined ? undefined : queries.toOrigin(row)
    },
  }

  /** A read that took too long, or was cancelled, is an outage to whoever reads: ask again later. */
  async function readRows(statement: pg.QueryConfig): Promise<Record<string, unknown>[]> {
    try {
      return await query<Record<string, unknown>>(pool, statement)
    } catch (error) {
      if (!(error instanceof StoreContendedError)) throw error
      throw new StoreUnavailableError(error.message, { cause: error, sqlState: error.sqlState })
    }
  }
}
