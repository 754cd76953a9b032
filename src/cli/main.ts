import { Command, CommanderError } from 'commander'
import { misspeltSettings, tidyEnvironment } from '../environment.ts'
import { VERSION } from '../version.ts'
import * as dlq from './dlq.ts'
import { checkEnvFile, envFile } from './env-file.ts'
import { exitCodeOf, failureLines } from './failure.ts'
import { note, paint, quietBrokenPipe } from './output.ts'

/**
 * The command line. Each command is a file beside this one that exports `register(program)`; only the names of its flags
 * are loaded for `--help`, and what it works with is imported inside its action.
 */
const COMMANDS: readonly (() => Promise<{ register(program: Command): void }>)[] = [
  () => import('./demo.ts'),
  () => import('./serve.ts'),
  () => import('./migrate.ts'),
  () => import('./produce.ts'),
  () => import('./verify.ts'),
  () => import('./resume.ts'),
  () => import('./seek.ts'),
  () => import('./order.ts'),
  () => import('./lag.ts'),
  async () => dlq,
  () => import('./config.ts'),
  () => import('./doctor.ts'),
]

const EXIT_USAGE = 2

async function createProgram(): Promise<Command> {
  const program = new Command('holdfast')
    .description('Kafka orders to Postgres with nothing lost, nothing twice, nothing stale.')
    .version(VERSION)
    .helpCommand(true)
    .showHelpAfterError('(see --help)')
    // Commander would end the process itself, with 1 for a wrong flag: scripts must tell usage from failure.
    .exitOverride()
    // It quotes arguments, which may have been pasted.
    .configureOutput({ writeErr: text => note(text.trimEnd()) })
    .addHelpText(
      'after',
      `
Results go to stdout, progress to stderr. Exit codes: 0 done, 1 failed, 2 usage, 3 partly done,
4 could not be asked (verify).
Settings come from the environment and from .env; "holdfast config" shows them.`,
    )
  program.hook('preAction', checkEnvFile)
  for (const { register } of await Promise.all(COMMANDS.map(load => load()))) register(program)
  return program
}

/** @returns the exit code */
async function main(args: readonly string[]): Promise<number> {
  const program = await createProgram()
  if (args.length === 0) {
    program.outputHelp({ error: true })
    return EXIT_USAGE
  }
  try {
    await program.parseAsync(dlq.shieldTerms(args), { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    // Commander has said what is wrong; 0 is `--help` and `--version`.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE
    for (const line of failureLines(error, process.env)) note(line)
    return exitCodeOf(error)
  }
}

/** Commands that show what is set, or run for long with it. */
const TELLING: ReadonlySet<string | undefined> = new Set(['serve', 'config', 'doctor'])

quietBrokenPipe()
const notes = tidyEnvironment(process.env)
if (TELLING.has(process.argv[2])) {
  for (const text of [...notes, ...misspeltSettings(process.env, envFile())])
    note(`${paint('yellow', 'warning:')} ${text}`)
}
process.exitCode = await main(process.argv.slice(2))
