import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Request, Response } from 'express'
import { rowJson } from '../json.ts'
import { CSV_HEADER, csvLine } from '../letter-csv.ts'
import type { DeadLetterRow } from '../ports.ts'
import type { LetterSearch, SearchQuery } from '../search.ts'

/** Forms of a list that come whole, row by row. */
const FORMATS = {
  csv: { type: 'text/csv', line: (row: DeadLetterRow) => `${csvLine(row)}\r\n`, head: `${CSV_HEADER}\r\n` },
  ndjson: { type: 'application/x-ndjson', line: (row: DeadLetterRow) => `${JSON.stringify(rowJson(row))}\n`, head: '' },
} as const
export type ListFormat = keyof typeof FORMATS

/** @returns the form that the client prefers to JSON, if it does */
export function listFormat(req: Request<object>): ListFormat | undefined {
  const preferred = req.accepts(['application/json', ...Object.values(FORMATS).map(({ type }) => type)])
  return (Object.keys(FORMATS) as ListFormat[]).find(name => FORMATS[name].type === preferred)
}

/** Rows of one query. */
const PAGE = 500

/**
 * Streams the list from a place to its end. It holds one page, and waits while the client is slower. What fails after the first page
 * breaks the connection off, so that a part is not taken for the whole.
 * @param query.limit of rows
 */
export async function streamList(
  search: Pick<LetterSearch, 'page'>,
  query: SearchQuery,
  format: ListFormat,
  req: Request<object>,
  res: Response,
): Promise<void> {
  const { type, line, head } = FORMATS[format]
  const first = await search.page({ ...query, limit: Math.min(query.limit, PAGE) })
  res.writeHead(200, {
    'Content-Type': `${type}; charset=utf-8`,
    'Content-Disposition': `attachment; filename="dead-letters.${format}"`,
    'Cache-Control': 'no-store',
    Vary: 'Accept',
  })
  if (req.method === 'HEAD') {
    res.end()
    return
  }
  res.locals.streamingSinceMs = performance.now()
  try {
    await pipeline(Readable.from(lines()), res)
  } catch (error) {
    // The client is gone; nothing failed.
    if (!req.socket.destroyed) throw error
  }

  async function* lines() {
    yield head
    let left = query.limit
    for (let page = first; ; ) {
      for (const row of page.rows.slice(0, left)) yield line(row)
      left -= page.rows.length
      if (page.next === undefined || left <= 0) return
      page = await search.page({ ...query, limit: Math.min(left, PAGE), after: page.next })
    }
  }
}
