import type { Command } from 'commander'
import { ago, plural } from './words.ts'

export function register(dlq: Command): void {
  dlq
    .command('stats')
    .description('by cause: how many, since when, and one of each')
    .argument('[filter...]', 'which (default: all)')
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      `
The most frequent first.

Examples:
  holdfast dlq stats
  holdfast dlq stats state:open 'age:<1d'
  holdfast dlq stats --json | jq -r '[.count, .reason, .error, .pointer] | @tsv'`,
    )
    .action(stats)
}

async function stats(words: readonly string[], { json }: { readonly json?: boolean }): Promise<void> {
  const [{ filterOf, openDesk }, { note, print, table }] = await Promise.all([
    import('./dlq-desk.ts'),
    import('./output.ts'),
  ])
  const filter = filterOf(words)
  await using desk = openDesk()
  const groups = await desk.letters.groups(filter)
  if (json) {
    for (const group of groups) print(JSON.stringify(group))
    return
  }
  const now = Date.now()
  if (groups.length > 0) {
    print(
      table(
        ['count', 'open', 'reason', 'error', 'pointer', 'first', 'last', 'one of them'],
        groups.map(group => [
          String(group.count),
          String(group.states.open ?? 0),
          group.reason,
          group.error,
          group.pointer,
          ago(group.first_seen, now),
          ago(group.last_seen, now),
          group.sample.id,
        ]),
      ),
    )
  }
  const total = groups.reduce((sum, { count }) => sum + count, 0)
  const open = groups.reduce((sum, { states }) => sum + (states.open ?? 0), 0)
  note(
    total === 0
      ? 'no dead letters'
      : `${plural(total, 'dead letter')}, ${open} open, ${plural(groups.length, 'cause')}`,
  )
}
