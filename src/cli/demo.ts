import type { Command } from 'commander'
import { parseCount, parseDurationMs, parsePercent, parseRate } from './arguments.ts'
import type { DemoOptions } from './demo-run.ts'

const DEFAULT_RATE = 200
const DEFAULT_INVALID = 0.02

interface Flags extends Omit<DemoOptions, 'invalid' | 'settings'> {
  readonly invalid?: number
  readonly traces?: boolean
  readonly useEnv?: boolean
}

export function register(program: Command): void {
  program
    .command('demo')
    .description('a real Kafka, a real Postgres, the service and a generator on this machine')
    .option('--for <time>', 'end by itself after this time', parseDurationMs)
    .option('--orders <n>', 'end by itself once so many records are produced and settled', parseCount)
    .option('--rate <r/s>', 'records a second (default: 200/s; with --orders as fast as acknowledged)', parseRate)
    .option('--invalid <p%>', 'share that no consumer can take (default: 2%)', parsePercent)
    .option('--data <dir>', 'keep Kafka and Postgres here between runs')
    .option('--no-produce', 'start everything but the generator')
    .option('--use-env', 'use the Kafka and Postgres of KAFKA_BROKERS and DATABASE_URL; asks first')
    .option('--traces', 'with a viewer of traces (the default but with --orders and --json)')
    .option('--no-traces', 'without it')
    .option('--json', 'two JSON lines: once ready, and the summary')
    .addHelpText(
      'after',
      `
It starts servers of its own, whatever KAFKA_BROKERS and DATABASE_URL say; Ctrl-C stops all of it. --use-env migrates, fills
and consumes the servers that they name instead, once you have typed the name of the database.
When it ends it proves that nothing was lost ("holdfast verify"); exit code 1 when that fails.

Examples:
  holdfast demo
  holdfast demo --orders 10000
  holdfast demo --for 30s --rate 500/s --invalid 5%`,
    )
    .action(demo)
}

async function demo({ traces, useEnv, invalid = DEFAULT_INVALID, ...options }: Flags): Promise<void> {
  const rate = options.rate ?? (options.orders === undefined ? DEFAULT_RATE : undefined)
  const [{ ignoredLine, takeDemoSettings }, { envFile }, { note }] = await Promise.all([
    import('./demo-settings.ts'),
    import('./env-file.ts'),
    import('./output.ts'),
  ])
  // Before anything reads the environment.
  const settings = await takeDemoSettings(process.env, envFile(), { useEnv, produce: options.produce, rate })
  const ignored = ignoredLine(settings)
  if (ignored !== undefined) note(ignored)
  // With those two nobody is there to look, or it is over before the viewer is up.
  const wanted = traces ?? !(options.json === true || options.orders !== undefined)
  // First: tracing wants to be there before the rest is imported.
  const { openDemoTraces } = await import('./demo-traces.ts')
  const opened = await openDemoTraces(wanted, rate)
  const { runDemo } = await import('./demo-run.ts')
  await runDemo({ ...options, rate, invalid, settings }, opened)
}
