import { parseCount, parseLifted, parseLimit, parsePlace } from './arguments.ts'
import { type CommandSpec, option, required } from './command.ts'
import { asOption } from './operator-name.ts'

/** Commands by which an operator intervenes in a stream, and the log of what operators did. */

const stream = () => option('--stream <name>', 'which stream (default: the only one)')

export const PAUSE: CommandSpec = {
  name: 'pause',
  summary: 'hold a partition, or a whole stream, until an operator resumes it',
  options: [
    stream(),
    option('--partition <p>', 'only this partition (default: all, also those that come later)', parseCount),
    required('--because <text>', 'why: kept in the audit log, and shown with the stream'),
    asOption(),
    option('--json', 'what was paused as a JSON object'),
  ],
  help: `Kept in Postgres, so that it survives restarts and rebalances. A running service settles what it has in hand, within a second
or two, and reads nothing more of it; other partitions go on. /readyz stays 200 and names the pause; \`holdfast lag\`, the console and
the metric partition_paused{reason="operator"} show it. A pause of the storm guard is separate: lifting one leaves the other.
Redrives are paused separately (holdfast dlq pause).

Examples:
  holdfast pause --because "maintenance of the warehouse"
  holdfast pause --partition 3 --because "producer 1.4 is being rolled back" --as ada`,
  load: async () => (await import('./pause.ts')).pause,
}

export const RESUME: CommandSpec = {
  name: 'resume',
  summary: 'lift the pause of an operator, or of the storm guard',
  options: [
    stream(),
    option(
      '--partition <p>',
      'only this partition (default: the pause of the stream, else all that are paused)',
      parseCount,
    ),
    option(
      '--lift <kind>',
      'operator, storm_guard or all; needed only where both kinds of pause are in force',
      parseLifted,
    ),
    option('--because <text>', 'for the audit log'),
    asOption(),
    option('--json', 'what was lifted, one JSON object a line'),
  ],
  help: `The service continues within a second or two. After the storm guard it counts from 0, and stops again while the cause persists:
\`holdfast lag\` names it. Where one partition waits for both, or a pause of each kind is in force, it refuses and names them, until
--lift says which. While a whole stream is paused, resume lifts that; partitions that were paused singly stay paused, and are named.

Examples:
  holdfast resume
  holdfast resume --partition 3 --because "producer 1.4 rolled back"
  holdfast resume --lift storm_guard`,
  load: async () => (await import('./resume.ts')).resume,
}

export const SEEK: CommandSpec = {
  name: 'seek',
  summary: 'move a partition on purpose, to read again or to skip',
  options: [
    stream(),
    required('--partition <p>', 'which partition of its topic', parseCount),
    required('--to <place>', 'an offset, earliest, latest, or a time as 2026-11-29T08:00:00Z', parsePlace),
    required('--because <text>', 'why: it goes into the audit log'),
    asOption(),
    option('--json', 'what was done as a JSON object'),
  ],
  help: `A time means the first record whose timestamp is not before it; where there is none, it says so and moves nothing. Noted in the
ledger and in the audit log. A running service is asked to let go of the partition: it settles what it has in hand, moves, and
goes on at the new place; the command waits for that. Reading again is harmless: what is stored already counts as duplicate or stale.
It lifts a pause of the storm guard, but not one of an operator. In a topic that was deleted and created again, what was stored from the
former one is marked first: between the two the later timestamp decides.

Examples:
  holdfast seek --partition 2 --to earliest --because "read again after a fix"
  holdfast seek --partition 2 --to 2026-11-29T08:00:00Z --because "read again since the deploy"
  holdfast seek --partition 2 --to earliest --because "topic was recreated"`,
  load: async () => (await import('./seek.ts')).seek,
}

export const AUDIT: CommandSpec = {
  name: 'audit',
  summary: 'who did what, newest first',
  options: [
    option('--stream <name>', 'only this stream (default: all)'),
    option('--who <names>', 'only what these did; several separated by commas'),
    option('--what <actions>', 'only these actions, as discard,seek; redrive and replay are the same'),
    option('--since <time>', 'from then on: 2026-11-29T08:00:00Z, 2026-11-29 (UTC), or how long ago, as 24h'),
    option('--until <time>', 'before then; the same'),
    option('--limit <n>', 'so many at most', parseLimit, 50),
    option('--json', 'one JSON object a line'),
  ],
  help: `Every change that an operator makes is noted with name, reason, filter and counts: commands under --as, OPERATOR or the user of the
terminal, requests under the name of their API key. No payload is in it.

Examples:
  holdfast audit
  holdfast audit --who ada --since 7d
  holdfast audit --what discard,redrive --json | jq -r '[.at, .who, .filter] | @tsv'`,
  load: async () => (await import('./audit.ts')).audit,
}
