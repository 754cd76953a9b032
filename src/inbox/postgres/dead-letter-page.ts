import type pg from 'pg'
import { query } from '../../engine/postgres/pool.ts'
import { type DeadLetterPlace, type DeadLetterStore, USUAL_SORT } from '../ports.ts'
import { filterSql } from './dead-letter-filter-sql.ts'
import { LETTER_COLUMNS, type LetterColumns, toLetterRow } from './dead-letter-rows.ts'

/** A `Date` holds milliseconds, the column microseconds: a page must go on exactly where the one before ended. */
const EXACT_INSTANT = `to_char(d.failed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

interface Key {
  readonly column: string
  readonly type: string
  /** The column as text that the type reads again. Default: as Postgres writes it. */
  readonly text?: string
}

const ID: Key = { column: 'id', type: 'text' }
/** Each the columns of an index, or its first ones and the id, which decides between equals. */
const SORTS: Readonly<Record<string, readonly Key[]>> = {
  failed_at: [{ column: 'failed_at', type: 'timestamptz', text: EXACT_INSTANT }, ID],
  source: [
    { column: 'source_topic', type: 'text' },
    { column: 'source_partition', type: 'integer' },
    { column: 'source_offset', type: 'bigint' },
    ID,
  ],
}

/** Keyset paging: what a page costs does not depend on how far down the list it is. */
export const readPage =
  (pool: pg.Pool, stream: string): DeadLetterStore['page'] =>
  async ({ filter, limit, after, ...asked }) => {
    const sort = after?.sort ?? asked.sort ?? USUAL_SORT
    const keys = SORTS[sort.replace('-', '')]
    if (keys === undefined) throw new RangeError(`there is no sort ${sort}`)
    const [direction, beyond] = sort.startsWith('-') ? (['DESC', '<'] as const) : (['ASC', '>'] as const)
    const given = [limit + 1, stream, ...(after === undefined ? [] : [after.keys])]
    const { text, values } = filterSql(filter, { first: given.length + 1 })
    const order = keys.map(({ column }) => `${column} ${direction}`).join(', ')
    const place = `ARRAY[${keys.map(key => key.text ?? `d.${key.column}::text`).join(', ')}] AS place`
    const parts = (after === undefined ? ['true'] : restOf(keys, beyond)).map(
      rest =>
        `(SELECT ${LETTER_COLUMNS}, ${place} FROM holdfast.dead_letters AS d WHERE d.stream = $2 AND ${text} AND ${rest} ORDER BY ${order} LIMIT $1)`,
    )
    const rows = await query<LetterColumns & { place: string[] }>(pool, {
      text: `SELECT * FROM (${parts.join(' UNION ALL ')}) AS page ORDER BY ${order} LIMIT $1`,
      values: [...given, ...values],
    })
    const page = rows.slice(0, limit)
    const places = page.map(({ place }): DeadLetterPlace => ({ sort, keys: place }))
    return { rows: page.map(toLetterRow), places, next: rows.length > limit ? places.at(-1) : undefined }
  }

/**
 * What comes after the keys in `$3`, in their order. A topic's rest and the topics after it are asked for apart: where all
 * letters have one topic, Postgres takes one comparison of all keys for one that hardly a row survives, and reads the table.
 */
function restOf(keys: readonly Key[], beyond: '<' | '>'): string[] {
  const given = keys.map(({ type }, index) => `($3::text[])[${index + 1}]::${type}`)
  const row = (from: number) => {
    const columns = keys.slice(from).map(({ column }) => `d.${column}`)
    return `(${columns.join(', ')}) ${beyond} (${given.slice(from).join(', ')})`
  }
  if (keys[0]?.column !== 'source_topic') return [row(0)]
  return [`d.source_topic = ${given[0]} AND ${row(1)}`, `d.source_topic ${beyond} ${given[0]}`]
}
