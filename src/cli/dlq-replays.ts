import type { Command } from 'commander'
import { parseCount } from './arguments.ts'

export function register(dlq: Command): void {
  dlq
    .command('replays')
    .description('redrives, the latest first')
    .option('--limit <n>', 'so many at most', parseCount, 20)
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      `
Examples:
  holdfast dlq replays
  holdfast dlq replays --json | jq 'select(.state == "running")'`,
    )
    .action(replays)
}

async function replays({ limit, json }: { readonly limit: number; readonly json?: boolean }): Promise<void> {
  const [{ openDesk }, { ago }, { note, print, table }] = await Promise.all([
    import('./dlq-desk.ts'),
    import('./words.ts'),
    import('./output.ts'),
  ])
  await using desk = openDesk()
  const rows = await desk.replays.list(limit)
  if (json) {
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
