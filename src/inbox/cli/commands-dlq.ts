import { Argument, InvalidArgumentError, Option } from 'commander'
import { parseCount, parseDurationMs, parseLimit, parseRate } from '../../cli/arguments.ts'
import { type CommandGroup, type CommandSpec, option, required } from '../../cli/command.ts'
import { asOption } from '../../cli/operator-name.ts'
import { watchOption } from '../../cli/watch.ts'
import type { CauseChange } from '../causes.ts'
import { LETTER_SORTS, USUAL_SORT } from '../ports.ts'
import { USUAL_MAX_FAILURES, USUAL_RATE, USUAL_YIELD_ABOVE_SECONDS } from '../redrive-guard.ts'
import { REDRIVE_TARGETS, USUAL_TARGET } from '../redrive-ports.ts'

const because = () => option('--because <text>', 'for the audit log')
const as = asOption
const stream = () => option('--stream <name>', 'which stream (default: the only one)')
const anyFilter = () => new Argument('[filter...]', 'which (default: all)')
const redriveId = () => new Argument('<id>', 'as "dlq redrives" lists it')
const steering = () => import('./dlq-steer.ts')

/** What such an option takes, or `off`. */
function orOff<T>(parse: (text: string) => T): (text: string) => T | 'off' {
  return text => (text === 'off' ? text : parse(text))
}

const STATS: CommandSpec = {
  name: 'stats',
  summary: 'by cause: how many, since when, and one of each',
  arguments: [anyFilter()],
  options: [stream(), watchOption(), option('--json', 'one JSON object a line')],
  help: `The most frequent first.

Examples:
  holdfast dlq stats
  holdfast dlq stats state:open 'age:<1d'
  holdfast dlq stats state:open --watch
  holdfast dlq stats --json | jq -r '[.count, .reason, .error, .pointer] | @tsv'`,
  load: async () => (await import('./dlq-stats.ts')).stats,
}

const CAUSES: CommandSpec = {
  name: 'causes',
  summary: 'causes as they are worked on: state, owner and note of each',
  options: [stream(), option('--all', 'resolved ones as well'), option('--json', 'one JSON object a line')],
  help: `Those that most dead letters wait for come first. “version” is the one that was deployed when the cause appeared, or came back.

Examples:
  holdfast dlq causes
  holdfast dlq causes --json | jq -r 'select(.state == "regressed") | [.id, .version] | @tsv'`,
  load: async () => (await import('./dlq-causes.ts')).causes,
}

const CAUSE: CommandSpec = {
  name: 'cause',
  summary: 'one cause; say that it is known, snoozed or resolved, who owns it, and what is known of it',
  arguments: [new Argument('<id>', 'as "dlq causes" lists it')],
  options: [
    stream(),
    option('--known', 'it is known, and no longer asks for attention').conflicts(['resolve', 'snooze']),
    option(
      '--snooze <end>',
      'until a time has passed (24h, 7d), or until so many more wait than now (+100)',
      parseSnooze,
    ).conflicts('resolve'),
    option('--resolve', 'it is fixed: another failure makes it regressed'),
    option('--owner <name>', 'who takes care of it; empty: no owner'),
    option('--note <text>', 'what is known of it; empty: nothing. No personal data'),
    because(),
    as(),
    option('--json', 'the cause as a JSON object'),
  ],
  help: `Without an option it is shown. Changes stand in the audit log.

Examples:
  holdfast dlq cause c1f0a9b2c3d4
  holdfast dlq cause c1f0a9b2c3d4 --known --owner ada --note "producer 1.5 sends no amount; ticket 4711"
  holdfast dlq cause c1f0a9b2c3d4 --snooze +100
  holdfast dlq cause c1f0a9b2c3d4 --resolve --because "producer 1.6 is out"`,
  load: async () => (await import('./dlq-causes.ts')).cause,
}

const SNOOZE_UNITS = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 } as const

/** `24h`: for so long; `+100`: until so many more wait. */
function parseSnooze(text: string): Pick<CauseChange, 'snoozeSeconds' | 'snoozeMore'> {
  const [, more, number, unit] = /^(?:\+(\d{1,10})|(\d{1,9})(s|m|h|d|w))$/.exec(text) ?? []
  if (more !== undefined) return { snoozeMore: Number(more) }
  if (number === undefined) {
    throw new InvalidArgumentError('It must be a duration, as in 24h or 7d, or a number of further ones, as in +100.')
  }
  return { snoozeSeconds: Number(number) * SNOOZE_UNITS[unit as keyof typeof SNOOZE_UNITS] }
}

const LS: CommandSpec = {
  name: 'ls',
  summary: 'one by one, latest failure first unless --sort says otherwise',
  arguments: [anyFilter()],
  options: [
    stream(),
    option('--limit <n>', 'so many at most', parseCount, 50),
    new Option('--sort <by>', 'by time of the latest failure, or by topic, partition and offset; “-”: downwards')
      .choices(LETTER_SORTS)
      .default(undefined, USUAL_SORT),
    option('--cursor <c>', 'continue where another list ended'),
    option('--csv', 'with commas and a line of names, for a spreadsheet').conflicts('json'),
    option('--json', 'one JSON object a line'),
  ],
  help: `Examples:
  holdfast dlq ls state:open --limit 20
  holdfast dlq ls b563feb7b2b84b6test
  holdfast dlq ls partition:3 --sort source
  holdfast dlq ls after:2026-11-29T14:05:00Z before:2026-11-29T14:20:00Z
  holdfast dlq ls reason:schema_violation --limit 100000 --json | jq -r .key`,
  load: async () => (await import('./dlq-ls.ts')).ls,
}

const SHOW: CommandSpec = {
  name: 'show',
  summary: 'one of them: why, its bytes with the violations beside their places, headers, history',
  arguments: [new Argument('<id>', 'topic-partition-offset of the record')],
  options: [
    stream(),
    option('--reveal', 'with what may be personal; noted in the audit log'),
    option(
      '--raw',
      'with --reveal: the bytes of its value, as they are; on a terminal with what cannot be seen escaped',
    ).conflicts(['hex', 'json', 'masked']),
    option('--hex', 'with --reveal: the bytes of its value, as a dump').conflicts(['json', 'masked']),
    option('--masked', 'what it does without --reveal').conflicts('reveal').hideHelp(),
    as(),
    option('--json', 'all of it as one JSON object'),
  ],
  help: `What may be personal is masked: of a JSON value only those fields are shown that the schema declares and that are not personal, with
the type of the schema; other values are hidden as a whole. --reveal shows all of it, and notes in the audit log who looked.

Examples:
  holdfast dlq show orders-3-81723
  holdfast dlq show orders-3-81723 --reveal
  holdfast dlq show orders-3-81723 --reveal --raw > value.json
  holdfast dlq show orders-3-81723 --json | jq -r '.violations[] | .pointer'`,
  load: async () => (await import('./dlq-show.ts')).show,
}

const CHECK: CommandSpec = {
  name: 'check',
  summary: 'would they pass now? Against the schema of today; writes nothing',
  arguments: [anyFilter()],
  options: [
    stream(),
    option('--limit <n>', 'so many at most, latest failure first (default: all)', parseCount),
    option('--json', 'one JSON object a line'),
  ],
  help: `Examples:
  holdfast dlq check state:open reason:schema_violation
  holdfast dlq check state:open --json | jq -r 'select(.passes) | .id'`,
  load: async () => (await import('./dlq-check.ts')).check,
}

const REDRIVE: CommandSpec = {
  name: 'redrive',
  alias: 'replay',
  summary: 'process dead letters again',
  arguments: [
    new Argument(
      '[filter...]',
      'which: of what matches, the open ones; parked or replaying ones when it names that state',
    ),
  ],
  options: [
    stream(),
    option('--dry-run', 'only say what would be redriven, and how many would pass now').conflicts('resume'),
    new Option('--to <where>', 'store: into its tables; topic: publish once more, to all readers of the topic')
      .choices(REDRIVE_TARGETS)
      .default(undefined, USUAL_TARGET)
      .conflicts('resume'),
    option('--rate <r/s>', `records a second, or off: no limit (default: ${USUAL_RATE}/s)`, orOff(parseRate)),
    option('--limit <n>', 'the oldest so many', parseLimit).conflicts('resume'),
    option('--only-passing', 'only those that are valid today').conflicts('resume'),
    option('--edit <file>', 'one dead letter with this value instead of its own; - reads stdin').conflicts('resume'),
    option(
      '--canary <n>',
      'so many first; pauses when half of them fail again; 0: none (default: 1 %, from 20 to 500)',
      parseCount,
    ).conflicts('resume'),
    option(
      '--max-failures <n>',
      `pauses when more than so many in a row fail again, or off (default: ${USUAL_MAX_FAILURES})`,
      orOff(parseCount),
    ),
    option(
      '--yield-above <time>',
      `rests while the lag of the stream is above, or off (default: ${USUAL_YIELD_ABOVE_SECONDS}s)`,
      orOff(parseDurationMs),
    ),
    because(),
    as(),
    option('--yes', 'do not ask'),
    option('--resume <id>', 'continue a redrive that is paused, or whose process is gone'),
    option('--json', 'the preview, or what came of it, as a JSON object'),
  ],
  help: `The set is frozen when it starts; one redrive of a stream is under way at a time. It works whether the service runs or not: in this
process, unless a service that runs jobs takes it first. Into the store, each is settled in the tables of the stream at the position where
it first stood, and no other consumer of the topic notices. With --to topic it is published once more, and the redrive ends when consumers
have settled each record. Ctrl-C pauses it and says how to continue. It pauses itself when too many fail again, and says why; --resume
goes on without a canary, and takes --rate, --max-failures and --yield-above: what is not given stays as it was. Exit code 0: all were resolved; 3: some were, or it is paused; 1: none was.

Examples:
  holdfast dlq redrive reason:schema_violation 'pointer:/payment/*' --dry-run
  holdfast dlq redrive error:required --only-passing --rate 100/s --because "producer 1.5 is out"
  holdfast dlq redrive id:orders-3-81723 --edit value.json
  holdfast dlq redrive --resume r4x0c2m8ab --rate 20/s`,
  load: async () => (await import('./dlq-redrive.ts')).redrive,
}

const REDRIVES: CommandSpec = {
  name: 'redrives',
  alias: 'replays',
  summary: 'redrives, the latest first',
  options: [
    stream(),
    option('--limit <n>', 'so many at most', parseCount, 20),
    option('--json', 'one JSON object a line'),
  ],
  help: `Examples:
  holdfast dlq redrives
  holdfast dlq redrives --json | jq 'select(.state == "running")'`,
  load: async () => (await import('./dlq-redrives.ts')).redrives,
}

const PAUSE: CommandSpec = {
  name: 'pause',
  summary: 'pause a redrive at the end of the current page',
  arguments: [redriveId()],
  options: [stream(), because(), as(), option('--json', 'the redrive as a JSON object')],
  help: 'To continue: holdfast dlq redrive --resume ID\n\nExample:\n  holdfast dlq pause r4x0c2m8ab',
  load: async () => (await steering()).pause,
}

const CANCEL: CommandSpec = {
  name: 'cancel',
  summary: 'end a redrive at the end of the current page',
  arguments: [redriveId()],
  options: [stream(), because(), as(), option('--yes', 'do not ask'), option('--json', 'the redrive as a JSON object')],
  help: `What was redriven stays so; the others are released: they wait as before. It asks before it does so.

Example:
  holdfast dlq cancel r4x0c2m8ab --because "wrong filter"`,
  load: async () => (await steering()).cancel,
}

const DISCARD: CommandSpec = {
  name: 'discard',
  summary: 'discard what is open or parked: it is not redriven any more; can be undone',
  arguments: [new Argument('<filter...>', 'which')],
  options: [
    stream(),
    required('--because <text>', 'why: it goes into the audit log'),
    as(),
    option('--dry-run', 'only say what would be discarded'),
    option('--yes', 'do not ask'),
    option('--json', 'what was done as a JSON object'),
  ],
  help: `The bytes stay in the dead-letter topic. It asks before it does so; over 100 must be confirmed by their number.

Examples:
  holdfast dlq discard reason:malformed_json 'age:>30d' --because "load test" --dry-run
  holdfast dlq discard id:orders-3-81723 --because "sent by mistake" --yes`,
  load: async () => (await import('./dlq-discard.ts')).discard,
}

const RESTORE: CommandSpec = {
  name: 'restore',
  summary: 'undo a discard',
  arguments: [new Argument('<action>', 'the number that the discard ended with; the audit log has it, too')],
  options: [stream(), because(), as(), option('--json', 'what was done as a JSON object')],
  help: `What it discarded, as far as it is still discarded, is open again, or parked if it was.

Example:
  holdfast dlq restore 42 --because "the producer was right"`,
  load: async () => (await import('./dlq-restore.ts')).restore,
}

const EXPORT: CommandSpec = {
  name: 'export',
  summary: 'everything about each, one JSON object a line: columns, violations, headers, key and value',
  arguments: [anyFilter()],
  options: [stream(), as(), option('--json', 'accepted for consistency; the output is always NDJSON')],
  help: `UTF-8 text is in "text", anything else in "base64". Nothing is masked, so that a value can be repaired or handed over as it was sent: each
export is noted in the audit log, with the ids. "dlq ls --json" has the columns without any bytes.

Examples:
  holdfast dlq export state:open > open.ndjson
  holdfast dlq export key:b563feb7b2b84b6test | jq -r .value.text`,
  load: async () => (await import('./dlq-export.ts')).exportAll,
}

const REINDEX: CommandSpec = {
  name: 'reindex',
  summary: 'read the dead-letter topic from its start, and add what the index lacks',
  options: [stream(), because(), as(), option('--json', 'what was done, as one JSON object')],
  help: `For dead letters that other programs wrote to the topic, for places that are not in the index, and for an index that was lost. Rows
that are there stay as they are. A dead letter that is added takes what became of it from what the database still knows; where that is
lost, too, it is open again. What was purged stays away. May run beside the service.

Example:
  holdfast dlq reindex`,
  load: async () => (await import('./dlq-reindex.ts')).reindex,
}

const AUTO: CommandSpec = {
  name: 'auto',
  summary: 'automatic redrives of failures with a temporary cause',
  arguments: [new Argument('<what>').choices(['on', 'off', 'status'])],
  options: [stream(), because(), as(), option('--json', 'as a JSON object')],
  help: `They redrive retries_exhausted and unexpected_error after the waits of AUTO_REDRIVE_DELAYS, and stand in the list of redrives
like any other. The switch holds for all processes, also after restarts, and overrides AUTO_REDRIVE.

Examples:
  holdfast dlq auto status
  holdfast dlq auto on --because "the database was moved"`,
  load: async () => (await import('./dlq-auto.ts')).auto,
}

/** In the order in which an operator comes to need them. */
export const DLQ: CommandGroup = {
  name: 'dlq',
  summary: 'dead letters: find, understand, redrive',
  help: `FILTER says which, in terms that must all hold: reason: error: pointer: key: id: topic: partition: age: after: before:
state: replays: replay: text: value:. Commas between values mean "or", a "-" before a term "not", "*" anything; without a
FILTER it is all of them. A word without a field is an id, a key or else text. value:/payment/bank=alpha (also !=, or the
place alone) reads the values of the open ones that the other terms match out of the topic.
A redrive takes open ones, a discard open and parked ones. Needs Kafka and Postgres, not the service.

Examples:
  holdfast dlq stats state:open
  holdfast dlq ls reason:schema_violation 'pointer:/payment/*' 'age:<1h'
  holdfast dlq show orders-3-81723`,
  commands: [
    ...[STATS, CAUSES, CAUSE, LS, SHOW, CHECK, REDRIVE, REDRIVES, PAUSE, CANCEL, DISCARD, RESTORE, EXPORT],
    ...[REINDEX, AUTO],
  ],
}

/** `-field:…`, `-"…"`, `-word`; an option of one character, and one that begins with `--`, is none of them. */
const NEGATED = /^-(?:"|[^-\s\d]\S)/

/** A term that begins with "-" is no option: commander does not take what begins with a blank for one. */
export function shieldTerms(args: readonly string[]): string[] {
  if (args[0] !== 'dlq') return [...args]
  return args.map(arg => (NEGATED.test(arg) ? ` ${arg}` : arg))
}
