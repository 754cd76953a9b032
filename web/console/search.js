import { ask } from './requests.js'

/** The service reads some 2,000 values for a page, and a page has at most so many of them. */
const PAGE = 500

/**
 * Searches the values of what a filter takes, page by page, so that progress shows and it can be stopped.
 * @param {{ q: string, sort?: string, cursor?: string | undefined, signal: AbortSignal }} from
 * @param {(page: { rows: any[], read: number, gone: number, next: string | undefined }) => boolean} onPage whether it goes on
 */
export async function searchValues({ q, sort, cursor, signal }, onPage) {
  let next = cursor
  do {
    const page = await ask('/admin/dead-letters', { query: { q, sort, limit: PAGE, cursor: next }, signal })
    next = page.next ?? undefined
    const { read = 0, gone = 0 } = page.searched ?? {}
    if (!onPage({ rows: page.dead_letters, read, gone, next })) return
  } while (next !== undefined)
}
