import { existsSync } from 'node:fs'
import { Argument, type Command } from 'commander'
import { UsageError } from '../engine/errors.ts'
import { DLQ } from '../inbox/cli/commands-dlq.ts'
import {
  ENDLESS_RATE,
  parseCount,
  parseDurationMs,
  parseNames,
  parsePercent,
  parseRate,
  parseRoles,
} from './arguments.ts'
import { addCommand, addGroup, type CommandGroup, type CommandSpec, option, required } from './command.ts'
import { AUDIT, PAUSE, RESUME, SEEK } from './commands-operate.ts'
import { STREAM } from './commands-stream.ts'
import { asOption } from './operator-name.ts'
import { watchOption } from './watch.ts'

/**
 * Every command, in the order of `--help`: the one place that names them. An implementation is imported by its `load`, when the
 * command runs.
 */

const migrate = () => import('./migrate.ts')
const ofOne = () => option('--stream <name>', 'which stream (default: the only one)')
const ofAll = () => option('--stream <name>', 'only this stream (default: all)')

/** The demo brings servers of its own, which come with a checkout and are no part of the package. */
async function loadDemo(): Promise<CommandSpec['load'] extends () => Promise<infer T> ? T : never> {
  const module = new URL('../../tools/demo/demo.ts', import.meta.url)
  if (existsSync(module)) return (await import(module.href)).demo
  throw new UsageError(
    'the demo is not part of this installation: run it in a checkout of the repository (make demo), or start Kafka and Postgres with docker compose up',
  )
}

const DEMO: CommandSpec = {
  name: 'demo',
  summary: 'a real Kafka, a real Postgres, the service and a generator on this machine',
  options: [
    option('--for <time>', 'end after this time', parseDurationMs),
    option('--orders <n>', 'end once so many records are produced and settled', parseCount),
    option('--rate <r/s>', 'records a second (default: 200/s; with --orders no limit)', parseRate),
    option('--invalid <p%>', 'share that no consumer can take (default: 2%)', parsePercent),
    option('--data <dir>', 'keep Kafka and Postgres here between runs'),
    option('--no-produce', 'start everything but the generator'),
    option('--use-env', 'use the Kafka and Postgres of KAFKA_BROKERS and DATABASE_URL; asks first'),
    option('--traces', 'with a viewer of traces (the default but with --orders and --json)'),
    option('--no-traces', 'without it'),
    option('--json', 'two JSON lines: once ready, and the summary'),
  ],
  help: `It starts servers of its own, whatever KAFKA_BROKERS and DATABASE_URL say; Ctrl-C stops all of it. --use-env migrates, fills
and consumes the servers that they name instead, once you have typed the name of the database.
When it ends it proves that nothing was lost ("holdfast verify"); exit code 1 when that fails.

Examples:
  holdfast demo
  holdfast demo --orders 10000
  holdfast demo --for 30s --rate 500/s --invalid 5%`,
  load: loadDemo,
}

const SERVE: CommandSpec = {
  name: 'serve',
  summary: 'the service, against the Kafka and Postgres that the environment names',
  options: [
    option('--roles <list>', 'of consumer, api, jobs (default: all)', parseRoles),
    option('--streams <list>', 'which streams of holdfast.config.ts (default: all)', parseNames),
    option('--check-config', 'check the settings and stop'),
  ],
  help: `It starts at once, waits for Kafka and Postgres, and says on /readyz for what; SIGTERM drains it.

Examples:
  holdfast serve
  holdfast serve --roles api
  holdfast serve --streams returns
  KAFKA_BROKERS=kafka:9092 holdfast serve --check-config`,
  load: async () => (await import('./serve.ts')).serve,
}

function forceOptions() {
  return [
    option('--force', 'even if running processes will fail (audited)'),
    option('--because <text>', 'with --force: why, for the audit log'),
    asOption(),
  ]
}

const MIGRATE: CommandGroup = {
  name: 'migrate',
  summary: 'bring the tables of DATABASE_URL up to date, or revert migrations',
  help: `"up" applies Holdfast's own migrations, then those of the folder migrations/ in the working directory, where there is one. "down"
reverts Holdfast's own, or with --project those of the folder. Several replicas may run it at once: they wait for one another.

Examples:
  holdfast migrate up
  holdfast migrate down --count 2
  holdfast migrate status --json`,
  commands: [
    {
      name: 'up',
      summary: 'apply what is missing',
      options: [
        ...forceOptions(),
        option('--new', 'a second installation beside one in another schema'),
        option('--json', 'the names as a JSON object'),
      ],
      help: `The old version may run meanwhile. A migration that it cannot work with is refused, with the names of the processes, until
they have ended; what runs in spite of --force fails.

Where PG_SCHEMA names a schema without an installation, and the database has one in another schema that is in use, nothing is done
without --new: the name may be mistyped, and an empty installation would read the topics from their start.

Examples:
  holdfast migrate up
  PG_SCHEMA=shop holdfast migrate up --new`,
      load: async () => (await migrate()).up,
    },
    {
      name: 'down',
      summary: "revert the last of Holdfast's own migrations",
      options: [
        option('--count <n>', 'how many of them', parseCount, 1),
        option('--project', 'the last of the folder migrations/ instead: its tables go, with their rows'),
        ...forceOptions(),
        option('--json', 'the names as a JSON object'),
      ],
      help: `Refused while a process runs that needs what would be taken away; with --project, while any process runs on the database.

Examples:
  holdfast migrate down --count 2
  holdfast migrate down --project`,
      load: async () => (await migrate()).down,
    },
    {
      name: 'status',
      summary: 'which migrations are applied, and what runs; exit code 1 when one is missing',
      options: [option('--json', 'one JSON object a line')],
      help: `Running processes are listed on stderr; in JSON "blocked_by" names the processes that keep a migration from being applied.

Example:
  holdfast migrate status --json`,
      load: async () => (await migrate()).status,
    },
  ],
}

const PRODUCE: CommandSpec = {
  name: 'produce',
  summary: 'send records to the topic of a stream: generated ones, or those of a file',
  options: [
    ofOne(),
    option('--count <n>', 'how many records (default: until Ctrl-C)', parseCount).conflicts('file'),
    option('--rate <r/s>', `records a second (default: no limit; ${ENDLESS_RATE}/s without --count)`, parseRate),
    option('--seed <s>', 'the same seed gives the same bytes', parseCount).conflicts('file'),
    option('--invalid <p%>', 'share that no consumer can take (default: 0%)', parsePercent).conflicts('file'),
    option('--updates <p%>', 'share that is a new version of an earlier value (default: 10%)', parsePercent).conflicts(
      'file',
    ),
    option('--file <path>', 'send this value as it is, even if invalid; each one of an array or NDJSON; - reads stdin'),
    option('--key <key>', "key of the records of --file (default: each one's own)"),
    option('--json', 'the summary as a JSON object'),
  ],
  help: `Examples:
  holdfast produce --count 1000 --seed 42
  holdfast produce --stream returns --rate 500/s --invalid 2% --updates 20%
  holdfast produce --file data/model.json
  jq -c '.values[]' dump.json | holdfast produce --file -`,
  load: async () => (await import('./produce.ts')).produce,
}

const VERIFY: CommandSpec = {
  name: 'verify',
  summary: 'prove that each consumed offset is accounted for',
  options: [
    ofAll(),
    option('--json', 'the proof as one JSON object; of several streams one a line'),
    option('--full', 'read everything, and not only from the checkpoint that an earlier proof has left'),
    option('--deep', 'read the topic again, and compare each record with the rows, value for value'),
    option('--repair', 'first reset the position of values that claim one beyond progress (audited)'),
    option('--because <text>', 'with --repair: why, for the audit log'),
    asOption(),
    option('--yes', 'with --repair: do not ask'),
  ],
  help: `Compares the ledger, the tables, Kafka's committed offsets and the dead-letter topic with one another. Writes its checkpoint
and nothing else, and may run beside the service.

A proof that succeeds leaves a checkpoint, and the next one goes on from it: it reads the ledger, counts the rows, and reads those
of values that were stored since. Where something does not add up, everything is read, to name the place. --full reads
everything in any case, as --deep does.

Exit codes: 0 everything was asked and adds up; 1 a finding, with partition and offset; 2 usage; 4 no finding, but
something could not be asked (Kafka or Postgres away, a topic that this user may not see).

--deep reads what is settled and still in the topic: a record may not be newer than what is stored of its key, and the
tables must hold the value of the record that they name. It needs a quarter of a megabyte for each million offsets.

--repair changes values that claim a position beyond progress (a forged header, a position edited by hand), and nothing
else: they get the position before every record, so that the next genuine version replaces them. What is stored
stays until then. "holdfast seek" reads versions again that were counted as stale meanwhile.

Examples:
  holdfast verify
  holdfast verify --json | jq .findings
  holdfast verify --deep
  holdfast verify --repair --because "forged positions of 2026-11-03"`,
  load: async () => (await import('./verify.ts')).verify,
}

const GET: CommandSpec = {
  name: 'get',
  summary: 'print one stored value as JSON; exit code 1 when there is none',
  arguments: [new Argument('<key>')],
  options: [ofOne(), option('--json', 'on one line')],
  help: `A stream may define a command word: "order get KEY" is "get KEY --stream orders".

Examples:
  holdfast get b563feb7b2b84b6test
  holdfast get RET-1042 --stream returns --json | jq '.lines | length'`,
  load: async () => (await import('./get.ts')).get,
}

const LAG: CommandSpec = {
  name: 'lag',
  summary: 'how far each partition is behind, in records and in seconds',
  options: [ofAll(), watchOption(), option('--json', 'one JSON object a line')],
  help: `Measured from progress in Postgres to the end of the topic; the seconds are the age of the oldest record that waits. Where there
is no progress, from where the service would start (KAFKA_START_AT); while Postgres is away, from the group's offset in Kafka,
which follows it. A partition that Kafka cannot serve, because it has no leader, is shown with the reason. The end is that
of committed records: what stands behind the start of an open transaction is no lag, and is named on stderr. Joins no group and
moves nothing, so it works beside the service and without it. "paused for" is storm_guard, operator (with who
paused it, since when and why), position_unknown, or unreadable_batch: then stderr says what to do. Outages are on /readyz?verbose.

Examples:
  holdfast lag
  holdfast lag --watch
  holdfast lag --json | jq 'select(.lag_records > 0)'`,
  load: async () => (await import('./lag.ts')).lag,
}

const CONFIG: CommandSpec = {
  name: 'config',
  summary: 'effective settings with their origin, secrets hidden',
  options: [option('--json', 'one JSON object a line')],
  help: `Examples:
  holdfast config
  KAFKA_BROKERS=kafka:9092 holdfast config --json | jq -r 'select(.origin == "environment") | .name'`,
  load: async () => (await import('./config.ts')).showConfig,
}

const NOTIFY: CommandSpec = {
  name: 'notify',
  summary: 'send a test message to NOTIFY_WEBHOOK_URL',
  options: [required('--test', 'send it'), option('--json', 'what was done as a JSON object')],
  help: `The service sends messages by itself: docs/notifications.md says which. Exit code 1 when the receiver does not take it.

Examples:
  holdfast notify --test
  NOTIFY_FORMAT=slack holdfast notify --test`,
  load: async () => (await import('./notify.ts')).notify,
}

const DOCTOR: CommandSpec = {
  name: 'doctor',
  summary: 'check all that a start needs: a tick, or the fix, for each',
  options: [ofAll(), option('--json', 'one JSON object a line')],
  help: `Checks Node, the native Kafka client, the settings, ports, Kafka, the topics and the rights on them, Postgres and its
migrations. Changes nothing. Exit code 1 when a check fails.

Examples:
  holdfast doctor
  holdfast doctor --json | jq 'select(.ok | not)'`,
  load: async () => (await import('./doctor.ts')).doctor,
}

const COMPLETION: CommandSpec = {
  name: 'completion',
  summary: 'a script with which a shell completes commands, flags and their values',
  arguments: [new Argument('<shell>').choices(['bash', 'zsh', 'fish'])],
  help: `Examples:
  eval "$(holdfast completion bash)"         # in ~/.bashrc
  eval "$(holdfast completion zsh)"          # in ~/.zshrc, after compinit
  holdfast completion fish | source          # in config.fish`,
  load: async () => {
    const { completion } = await import('./completion.ts')
    return (shell: Parameters<typeof completion>[0]) => completion(shell, COMMANDS)
  },
}

export const COMMANDS: readonly (CommandSpec | CommandGroup)[] = [
  ...[
    DEMO,
    SERVE,
    MIGRATE,
    STREAM,
    PRODUCE,
    VERIFY,
    PAUSE,
    RESUME,
    SEEK,
    AUDIT,
    GET,
    LAG,
    DLQ,
    CONFIG,
    NOTIFY,
    DOCTOR,
    COMPLETION,
  ],
]

export function addCommands(program: Command): void {
  for (const command of COMMANDS) {
    if ('commands' in command) addGroup(program, command)
    else addCommand(program, command)
  }
}
