import { type Command, InvalidArgumentError } from 'commander'
import type { Role } from '../app.ts'

interface ServeOptions {
  readonly roles?: ReadonlySet<Role>
  readonly checkConfig?: boolean
}

export function register(program: Command): void {
  program
    .command('serve')
    .description('the service, against the Kafka and Postgres that the environment names')
    .option('--roles <list>', 'of consumer, api, jobs (default: all)', parseRoles)
    .option('--check-config', 'check the settings and stop')
    .addHelpText(
      'after',
      `
It starts at once, waits for Kafka and Postgres, and says on /readyz for what; SIGTERM drains it.

Examples:
  holdfast serve
  holdfast serve --roles api
  KAFKA_BROKERS=kafka:9092 holdfast serve --check-config`,
    )
    .action(serve)
}

async function serve({ roles, checkConfig }: ServeOptions): Promise<void> {
  const [{ loadConfig }, { note }] = await Promise.all([import('../config.ts'), import('./output.ts')])
  const config = loadConfig(process.env)
  // The native client knows its properties best. It is asked before anything is started.
  const { checkProperties } = await import('../kafka/client.ts')
  await checkProperties(config.kafka)
  if (checkConfig) return note('the settings can be used')
  const { runService } = await import('../main.ts')
  // Waited for by the service itself: connections that are closed, threads that are joined. What is left may end.
  process.exit(await runService(config, roles))
}

function parseRoles(text: string): ReadonlySet<Role> {
  const names = text.split(',').map(name => name.trim())
  for (const name of names) {
    if (name !== 'consumer' && name !== 'api' && name !== 'jobs')
      throw new InvalidArgumentError('It must be a list of consumer, api and jobs.')
  }
  return new Set(names as Role[])
}
