import type { Command } from 'commander'
import { plural } from './words.ts'

export function register(dlq: Command): void {
  dlq
    .command('restore')
    .description('undo a discard')
    .argument('<action>', 'the number that the discard ended with; the audit log has it, too')
    .option('--because <text>', 'for the audit log')
    .option('--json', 'what was done as a JSON object')
    .addHelpText(
      'after',
      `
What it discarded, and is still discarded, is open again, or parked if it was.

Example:
  holdfast dlq restore 42 --because "the producer was right"`,
    )
    .action(restore)
}

interface RestoreOptions {
  readonly because?: string
  readonly json?: boolean
}

async function restore(action: string, { because, json }: RestoreOptions): Promise<void> {
  const [{ openDesk, operator }, { print }] = await Promise.all([import('./dlq-desk.ts'), import('./output.ts')])
  await using desk = openDesk()
  const { restored } = await desk.letters.restore(action, operator(because))
  print(json ? JSON.stringify({ restored }) : `${plural(restored, 'dead letter')} restored`)
}
