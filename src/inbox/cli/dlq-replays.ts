import { note, print, table } from '../../cli/output.ts'
import { ago } from '../../cli/words.ts'
import { type DlqOptions, openDeadLetters } from './dlq-parts.ts'

interface ReplaysOptions extends DlqOptions {
  readonly limit: number
}

export async function replays(options: ReplaysOptions): Promise<void> {
  await using inbox = await openDeadLetters(options)
  const rows = await inbox.replays.list(options.limit)
  if (options.json) {
    for (const row of rows) print(JSON.stringify(row))
    return
  }
  if (rows.length === 0) return note('no redrives')
  const now = Date.now()
  const counts = ['total', 'published', 'resolved', 'failed_again', 'parked', 'skipped'] as const
  print(
    table(
      ['id', 'started', 'state', 'by', ...counts, 'filter'],
      rows.map(row => [
        row.id,
        ago(row.created_at, now),
        row.state,
        row.requested_by,
        ...counts.map(count => String(row[count])),
        row.filter,
      ]),
    ),
  )
}
