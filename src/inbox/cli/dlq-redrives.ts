import { note, print, table } from '../../cli/output.ts'
import { ago } from '../../cli/words.ts'
import { grouped } from '../../engine/grouped.ts'
import { type DlqOptions, openDeadLetters } from './dlq-parts.ts'
import { stateText } from './redrive-words.ts'

interface RedrivesOptions extends DlqOptions {
  readonly limit: number
}

export async function redrives(options: RedrivesOptions): Promise<void> {
  await using inbox = await openDeadLetters(options)
  const rows = await inbox.redrives.list(options.limit)
  if (options.json) {
    for (const row of rows) print(JSON.stringify(row))
    return
  }
  if (rows.length === 0) return note('no redrives')
  const now = Date.now()
  const counts = ['total', 'published', 'resolved', 'failed_again', 'parked', 'skipped', 'released'] as const
  print(
    table(
      [
        'id',
        'started',
        'state',
        'by',
        'to',
        ...counts.map(count => (count === 'published' ? 'redriven' : count)),
        'filter',
      ],
      rows.map(row => [
        row.id,
        ago(row.created_at, now),
        stateText(row),
        row.requested_by,
        row.to,
        ...counts.map(count => grouped(row[count])),
        row.filter,
      ]),
    ),
  )
}
