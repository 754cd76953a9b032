import type { Command } from 'commander'

export function register(program: Command): void {
  program
    .command('doctor')
    .description('look at all that a start needs: a tick, or the fix, for each')
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      `
Looks at Node, the native Kafka client, the settings, ports, Kafka, the topics and the rights on them, Postgres and its
migrations. Changes nothing. Exit code 1 when something is not well.

Examples:
  holdfast doctor
  holdfast doctor --json | jq 'select(.ok | not)'`,
    )
    .action(doctor)
}

async function doctor({ json }: { readonly json?: boolean }): Promise<void> {
  const [{ examine }, { paintData, print }, { CommandFailed }, { visible }] = await Promise.all([
    import('./doctor-checks.ts'),
    import('./output.ts'),
    import('./failure.ts'),
    import('../core/visible.ts'),
  ])
  let wrong = 0
  for await (const { name, ok, detail, fix } of examine(process.env)) {
    if (!ok) wrong += 1
    if (json) {
      print(JSON.stringify({ name, ok, detail, fix: fix ?? null }))
      continue
    }
    print(`${ok ? paintData('green', '✓') : paintData('red', '✗')} ${name.padEnd(14)} ${visible(detail)}`)
    if (fix !== undefined) print(`${' '.repeat(17)}${fix}`)
  }
  if (wrong > 0) throw new CommandFailed(`${wrong === 1 ? 'one thing is' : `${wrong} things are`} not well`)
}
