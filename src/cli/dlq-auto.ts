import { Argument, type Command } from 'commander'

export function register(dlq: Command): void {
  dlq
    .command('auto')
    .description('automatic redrives of what fails for a reason that passes by itself')
    .addArgument(new Argument('<what>').choices(['on', 'off', 'status']))
    .option('--because <text>', 'for the audit log')
    .option('--json', 'as a JSON object')
    .addHelpText(
      'after',
      `
They redrive retries_exhausted and unexpected_error after the waits of AUTO_REDRIVE_DELAYS, and stand in the list of redrives
like any other. The switch holds for all processes and overrides AUTO_REDRIVE.

Examples:
  holdfast dlq auto status
  holdfast dlq auto on --because "the database was moved"`,
    )
    .action(auto)
}

interface AutoOptions {
  readonly because?: string
  readonly json?: boolean
}

async function auto(what: 'on' | 'off' | 'status', { because, json }: AutoOptions): Promise<void> {
  const [{ openDesk, operator }, { print }] = await Promise.all([import('./dlq-desk.ts'), import('./output.ts')])
  await using desk = openDesk()
  const status =
    what === 'status' ? await desk.automatic.status() : await desk.automatic.set(what === 'on', operator(because))
  if (json) return print(JSON.stringify(status))
  const since =
    status.changed_at === null ? 'as AUTO_REDRIVE says' : `since ${status.changed_at}, by ${status.changed_by}`
  const next = status.next_run === null ? '' : `; it looks again at ${status.next_run}`
  print(`automatic redrives are ${status.on ? 'on' : 'off'} (${since})${next}`)
}
