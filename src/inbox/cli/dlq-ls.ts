import { note, print, printAll, table } from '../../cli/output.ts'
import { ago } from '../../cli/words.ts'
import { UsageError } from '../../engine/errors.ts'
import { listStart, toCursor } from '../cursor.ts'
import { rowJson } from '../json.ts'
import { CSV_HEADER, csvLine } from '../letter-csv.ts'
import type { LetterSort } from '../ports.ts'
import { answerable, filterOf } from './dlq-filter.ts'
import { type DlqOptions, openDeadLetters } from './dlq-parts.ts'

interface LsOptions extends DlqOptions {
  readonly limit: number
  readonly sort?: LetterSort
  readonly cursor?: string
  readonly csv?: boolean
}

/** Rows of one query. */
const PAGE = 500

export async function ls(words: readonly string[], options: LsOptions): Promise<void> {
  const { limit, sort, cursor, json, csv } = options
  const written = filterOf(words)
  const begins = listStart(sort, cursor)
  if (!begins.ok) throw new UsageError(`--${begins.what} ${begins.message}`)
  if (limit === 0) throw new UsageError('--limit must be 1 at least')
  await using inbox = await openDeadLetters(options)
  const filter = await answerable(inbox, written, options)
  if (csv) print(CSV_HEADER)
  const now = Date.now()
  const lines: string[][] = []
  let left = limit
  let { after } = begins.start
  do {
    const page = await inbox.letters.page({ ...begins.start, filter, limit: Math.min(left, PAGE), after })
    left -= page.rows.length
    after = page.next
    if (json) await printAll(page.rows.map(row => JSON.stringify(rowJson(row))))
    else if (csv) await printAll(page.rows.map(csvLine))
    else {
      for (const { id, failed_at, state, reason, error, pointer, key, replay_count } of page.rows) {
        lines.push([id, ago(failed_at, now), state, reason, error, pointer, key ?? '-', String(replay_count)])
      }
    }
  } while (left > 0 && after !== undefined)
  if (lines.length > 0) print(table(['id', 'failed', 'state', 'reason', 'error', 'pointer', 'key', 'redrives'], lines))
  if (left === limit) note('no dead letters')
  if (after !== undefined) note(`there are more: --cursor ${toCursor(after)}`)
}
