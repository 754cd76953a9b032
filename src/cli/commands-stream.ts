import { Argument, InvalidArgumentError } from 'commander'
import { parseLimit } from './arguments.ts'
import { type CommandGroup, option, required } from './command.ts'

const offline = () => option('--offline', 'do not ask the database')

/** Every statement of a batch plans with all parts and locks those that it needs: with hundreds of them that is what it costs. */
function parseParts(text: string): number {
  const parts = parseLimit(text)
  if (parts < 2 || parts > 256) throw new InvalidArgumentError('It must be from 2 to 256 parts.')
  return parts
}

/** Every `--from` of a command line. commander hands over what came before. */
function collect(text: string, before: readonly string[] = []): readonly string[] {
  if (text === '') throw new InvalidArgumentError('It must be a path, or - for stdin.')
  return [...before, text]
}

export const STREAM: CommandGroup = {
  name: 'stream',
  summary: 'the streams of this project: list them, start a new one, compare them with the database',
  help: `holdfast.config.ts in the working directory (or HOLDFAST_CONFIG) lists them; without it there is only the stream orders.

Examples:
  holdfast stream ls
  holdfast stream init returns --from sample.json
  holdfast stream check returns`,
  commands: [
    {
      name: 'ls',
      summary: 'name, topic, dead-letter topic, group, route and tables of each',
      options: [option('--json', 'one JSON object a line')],
      help: "Examples:\n  holdfast stream ls\n  holdfast stream ls --json | jq -r '.tables[]'",
      load: async () => (await import('./stream-ls.ts')).ls,
    },
    {
      name: 'init',
      summary: 'write the files of a new stream, from samples of its values',
      arguments: [new Argument('<name>', 'also its topic, route and root table, as returns')],
      options: [
        required('--from <path>', 'a sample; each one of an array or NDJSON; - reads stdin; may be repeated').argParser(
          collect,
        ),
        option('--tables-in <schema>', 'the schema of its tables (default: public)'),
        option('--json', 'what was written and assumed, as one JSON object'),
      ],
      help: `Writes streams/NAME.ts, its schema, its samples, a test, a migration, and holdfast.config.ts, package.json and tsconfig.json where
they are missing. Asks nothing, overwrites nothing, and says what it assumed and what comes next. More samples make fewer
assumptions.

Examples:
  holdfast stream init returns --from sample.json
  holdfast stream init returns --from first.json --from more.ndjson`,
      load: async () => (await import('./stream-init.ts')).init,
    },
    {
      name: 'check',
      summary: 'compare definitions with schema, samples and tables: each difference with its fix',
      arguments: [new Argument('[name]', 'which stream (default: all)')],
      options: [offline(), option('--json', 'one JSON object a line')],
      help: `Changes nothing. Says what GET rebuilds a value from, and what is not given back.

Exit codes: 0 no difference; 1 differences; 4 no difference, but the database could not be asked.

Examples:
  holdfast stream check
  holdfast stream check returns --offline`,
      load: async () => (await import('./stream-check.ts')).check,
    },
    {
      name: 'migration',
      summary: 'print SQL, up and down: of all tables, or the difference to those that are there',
      arguments: [new Argument('<name>', 'which stream')],
      options: [
        option('--down', 'only the SQL that reverts it'),
        option('--partitions <n>', 'tables in so many parts, by a hash of the key; divides existing ones', parseParts),
        offline(),
      ],
      help: `As a file of migrations/, to be read before it is applied. Changes nothing.

Examples:
  holdfast stream migration returns > migrations/0002_returns.sql
  holdfast stream migration returns --down
  holdfast stream migration orders --partitions 8`,
      load: async () => (await import('./stream-migration.ts')).migration,
    },
  ],
}
