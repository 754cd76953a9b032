import type { Command } from 'commander'
import { plural } from './words.ts'

export function register(dlq: Command): void {
  dlq
    .command('discard')
    .description('set aside for good what is open or parked; can be undone')
    .argument('<filter...>', 'which')
    .requiredOption('--because <text>', 'why: it goes into the audit log')
    .option('--dry-run', 'only say what would be discarded')
    .option('--yes', 'do not ask')
    .option('--json', 'what was done as a JSON object')
    .addHelpText(
      'after',
      `
The bytes stay in the dead-letter topic. It asks before it does so; over 100 must be confirmed by their number.

Examples:
  holdfast dlq discard reason:malformed_json 'age:>30d' --because "load test" --dry-run
  holdfast dlq discard id:orders-3-81723 --because "sent by mistake" --yes`,
    )
    .action(discard)
}

interface DiscardOptions {
  readonly because: string
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly json?: boolean
}

async function discard(words: readonly string[], { because, dryRun, yes, json }: DiscardOptions): Promise<void> {
  const [{ filterOf, openDesk, operator }, { UsageError }, { confirm }, { note, print }, { discardable }] =
    await Promise.all([
      import('./dlq-desk.ts'),
      import('../core/errors.ts'),
      import('./confirm.ts'),
      import('./output.ts'),
      import('../core/dead-letter-desk.ts'),
    ])
  if (because.trim() === '') throw new UsageError('--because is empty: say why, for those who come after you')
  const filter = filterOf(words)
  await using desk = openDesk()
  const { count, not_open } = discardable(await desk.letters.groups(filter))
  if (not_open > 0)
    note(`${plural(not_open, 'match', 'match')} but ${not_open === 1 ? 'is' : 'are'} neither open nor parked`)
  if (dryRun || count === 0) {
    const left_out = not_open === 0 ? {} : { not_open }
    if (json) print(JSON.stringify({ discarded: dryRun ? count : 0, action: null, left_out }))
    else print(dryRun ? `${plural(count, 'dead letter')} would be discarded` : 'nothing to discard')
    return
  }
  await confirm({ verb: 'Discard', count, yes })
  const { discarded, action } = await desk.letters.discard(filter, operator(because))
  if (json) print(JSON.stringify({ discarded, action }))
  else print(`${plural(discarded, 'dead letter')} discarded; to undo it: holdfast dlq restore ${action}`)
}
