import { Command } from 'commander'
import { VERSION } from '../version.ts'
import { addCommands } from './commands.ts'
import { checkEnvFile } from './env-file.ts'
import { note } from './output.ts'

/** The command line with all its commands. No command's implementation is loaded before it runs. */
export function createProgram(): Command {
  const program = new Command('holdfast')
    .description('Streams of records from Kafka to Postgres: nothing lost, nothing twice, nothing stale.')
    .version(VERSION)
    .helpCommand(true)
    .showHelpAfterError('(see --help)')
    // Commander would end the process itself, with 1 for a wrong flag: a script could not distinguish usage from failure.
    .exitOverride()
    // It quotes arguments, which may hold control characters.
    .configureOutput({ writeErr: text => note(text.trimEnd()) })
    .addHelpText(
      'after',
      `
Results go to stdout, progress to stderr. Exit codes: 0 done, 1 failed, 2 usage, 3 partly done,
4 could not be asked (verify, stream check).
Settings come from the environment and from .env; "holdfast config" shows them.`,
    )
  program.hook('preAction', checkEnvFile)
  addCommands(program)
  return program
}
