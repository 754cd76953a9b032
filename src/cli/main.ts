import { type Command, CommanderError } from 'commander'
import { shieldTerms } from '../inbox/cli/commands-dlq.ts'
import { misspeltSettings, tidyEnvironment } from '../settings/environment.ts'
import { envFile } from './env-file.ts'
import { exitCodeOf, failureLines } from './failure.ts'
import { note, paint, quietBrokenPipe } from './output.ts'
import { createProgram } from './program.ts'

const EXIT_USAGE = 2

/** @returns the exit code */
async function main(args: readonly string[]): Promise<number> {
  const program = createProgram()
  if (args.length === 0) {
    program.outputHelp({ error: true })
    return EXIT_USAGE
  }
  try {
    const words = isKnown(program, args[0]) ? args : await (await import('./alias.ts')).withoutAlias(args)
    await program.parseAsync(shieldTerms(words), { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    // Commander has printed what is wrong; 0 is `--help` and `--version`.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE
    for (const line of failureLines(error, process.env)) note(line)
    return exitCodeOf(error)
  }
}

/** Whether it is a command, or a flag, and not perhaps a word that a stream brings. */
function isKnown(program: Command, word = ''): boolean {
  return word.startsWith('-') || word === 'help' || program.commands.some(command => command.name() === word)
}

/** Commands that show the settings, or run for long with them: they warn of misspelt ones. */
const WARNING: ReadonlySet<string | undefined> = new Set(['serve', 'config', 'doctor'])

quietBrokenPipe()
const notes = tidyEnvironment(process.env)
if (WARNING.has(process.argv[2])) {
  for (const text of [...notes, ...misspeltSettings(process.env, envFile())])
    note(`${paint('yellow', 'warning:')} ${text}`)
}
process.exitCode = await main(process.argv.slice(2))
