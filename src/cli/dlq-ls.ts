import { type Command, Option } from 'commander'
import { LETTER_SORTS, type LetterSort, USUAL_SORT } from '../core/dead-letter-desk.ts'
import { parseCount } from './arguments.ts'
import { ago } from './words.ts'

export function register(dlq: Command): void {
  dlq
    .command('ls')
    .description('one by one, latest failure first unless --sort says otherwise')
    .argument('[filter...]', 'which (default: all)')
    .option('--limit <n>', 'so many at most', parseCount, 50)
    .addOption(
      new Option('--sort <by>', 'by time of the latest failure, or by topic, partition and offset; “-”: downwards')
        .choices(LETTER_SORTS)
        .default(undefined, USUAL_SORT),
    )
    .option('--cursor <c>', 'go on where another list ended')
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      `
Examples:
  holdfast dlq ls state:open --limit 20
  holdfast dlq ls uid:b563feb7b2b84b6test
  holdfast dlq ls partition:3 --sort source
  holdfast dlq ls reason:schema_violation --limit 100000 --json | jq -r .order_uid`,
    )
    .action(ls)
}

interface LsOptions {
  readonly limit: number
  readonly sort?: LetterSort
  readonly cursor?: string
  readonly json?: boolean
}

/** Rows of one question to the database. */
const PAGE = 500

async function ls(words: readonly string[], { limit, sort, cursor, json }: LsOptions): Promise<void> {
  const [{ filterOf, openDesk }, { fromCursor, toCursor }, { UsageError }, { note, printAll, print, table }] =
    await Promise.all([
      import('./dlq-desk.ts'),
      import('../core/dead-letter-cursor.ts'),
      import('../core/errors.ts'),
      import('./output.ts'),
    ])
  const filter = filterOf(words)
  let after = cursor === undefined ? undefined : fromCursor(cursor)
  if (cursor !== undefined && after === undefined) {
    throw new UsageError('--cursor must be what another list ended with')
  }
  if (sort !== undefined && after !== undefined && after.sort !== sort) {
    throw new UsageError(`--cursor is of a list with --sort ${after.sort}`)
  }
  if (limit === 0) throw new UsageError('--limit must be 1 at least')
  await using desk = openDesk()
  const now = Date.now()
  const lines: string[][] = []
  let left = limit
  do {
    const page = await desk.letters.page({
      filter,
      limit: Math.min(left, PAGE),
      ...(sort === undefined ? {} : { sort }),
      after,
    })
    left -= page.rows.length
    after = page.next
    if (json) await printAll(page.rows.map(row => JSON.stringify(row)))
    else {
      for (const { id, failed_at, state, reason, error, pointer, order_uid, replay_count } of page.rows) {
        lines.push([id, ago(failed_at, now), state, reason, error, pointer, order_uid ?? '-', String(replay_count)])
      }
    }
  } while (left > 0 && after !== undefined)
  if (lines.length > 0) print(table(['id', 'failed', 'state', 'reason', 'error', 'pointer', 'uid', 'replays'], lines))
  if (left === limit) note('no dead letters')
  if (after !== undefined) note(`there are more: --cursor ${toCursor(after)}`)
}
