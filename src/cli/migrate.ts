import type { Command } from 'commander'
import { parseCount } from './arguments.ts'

export function register(program: Command): void {
  const migrate = program
    .command('migrate')
    .description('bring the tables of DATABASE_URL up to date, or take migrations back')
    .addHelpText(
      'after',
      `
Several replicas may do so at once: they wait for one another.

Examples:
  holdfast migrate up
  holdfast migrate down --count 2
  holdfast migrate status --json`,
    )
  migrate
    .command('up')
    .description('apply what is missing')
    .option('--json', 'the names as a JSON object')
    .action((options: { json?: boolean }) => run('up', options))
  migrate
    .command('down')
    .description('take the last migration back')
    .option('--count <n>', 'how many of them', parseCount, 1)
    .option('--json', 'the names as a JSON object')
    .action((options: { json?: boolean; count: number }) => run('down', options))
  migrate
    .command('status')
    .description('which migrations are applied; exit code 1 when one is missing')
    .option('--json', 'one JSON object a line')
    .action(status)
}

async function run(
  direction: 'up' | 'down',
  options: { readonly json?: boolean; readonly count?: number },
): Promise<void> {
  const { url, migrations, output } = await tools()
  const names = await migrations.migrate(url, direction, options.count === undefined ? {} : { count: options.count })
  const did = direction === 'up' ? 'applied' : 'taken_back'
  if (options.json) return output.print(JSON.stringify({ [did]: names }))
  for (const name of names) output.print(`${direction === 'up' ? 'applied' : 'taken back'} ${name}`)
  if (names.length === 0) output.note(direction === 'up' ? 'nothing to do: up to date' : 'nothing to take back')
}

async function status({ json }: { readonly json?: boolean }): Promise<void> {
  const { url, migrations, output } = await tools()
  const rows = await migrations.migrationStatus(url)
  for (const { name, appliedAt, known } of rows) {
    const applied = appliedAt?.toISOString()
    if (json) output.print(JSON.stringify({ name, applied_at: applied ?? null, known }))
    else
      output.print(
        `${name}  ${applied === undefined ? 'missing' : `applied ${applied}`}${known ? '' : ' by a newer version'}`,
      )
  }
  if (rows.some(({ appliedAt }) => appliedAt === undefined)) {
    const { CommandFailed } = await import('./failure.ts')
    throw new CommandFailed('migrations are missing; run: holdfast migrate up')
  }
}

async function tools() {
  const [{ loadConfig }, migrations, output] = await Promise.all([
    import('../config.ts'),
    import('../postgres/migrate.ts'),
    import('./output.ts'),
  ])
  return { url: loadConfig(process.env).postgres.url, migrations, output }
}
