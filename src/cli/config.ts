import type { Command } from 'commander'

export function register(program: Command): void {
  program
    .command('config')
    .description('effective settings with their origin, secrets hidden')
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      `
Examples:
  holdfast config
  KAFKA_BROKERS=kafka:9092 holdfast config --json | jq -r 'select(.origin == "environment") | .name'`,
    )
    .action(showConfig)
}

async function showConfig({ json }: { readonly json?: boolean }): Promise<void> {
  const [{ describeConfig, loadConfig }, { print, table }, { envFile }] = await Promise.all([
    import('../config.ts'),
    import('./output.ts'),
    import('./env-file.ts'),
  ])
  // Settings that cannot be used are told, not shown.
  loadConfig(process.env)
  const rows = describeConfig(process.env, envFile())
  if (json) for (const row of rows) print(JSON.stringify(row))
  else
    print(
      table(
        ['name', 'value', 'origin'],
        rows.map(({ name, value, origin }) => [name, value, origin]),
      ),
    )
}
