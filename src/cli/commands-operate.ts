import { parseCount, parseLimit, parseOffset } from './arguments.ts'
import { type CommandSpec, option, required } from './command.ts'
import { asOption } from './operator-name.ts'

/** Commands by which an operator intervenes in a stream, and the log of what operators did. */

const stream = () => option('--stream <name>', 'which stream (default: the only one)')

export const RESUME: CommandSpec = {
  name: 'resume',
  summary: 'lift a pause that waits for an operator (storm guard)',
  options: [
    stream(),
    option('--partition <p>', 'only this partition (default: all that are paused)', parseCount),
    option('--because <text>', 'for the audit log'),
    asOption(),
    option('--json', 'what was lifted, one JSON object a line'),
  ],
  help: `The service continues within a second or two, and counts from 0. It stops again while the cause persists: \`holdfast lag\` names it.

Examples:
  holdfast resume
  holdfast resume --partition 3 --because "producer 1.4 rolled back"`,
  load: async () => (await import('./resume.ts')).resume,
}

export const SEEK: CommandSpec = {
  name: 'seek',
  summary: 'move a partition on purpose, to read again or to skip',
  options: [
    stream(),
    required('--partition <p>', 'which partition of its topic', parseCount),
    required('--to <offset>', 'an offset, earliest or latest', parseOffset),
    required('--because <text>', 'why: it goes into the audit log'),
    asOption(),
    option('--json', 'what was done as a JSON object'),
  ],
  help: `Noted in the ledger and in the audit log; refused while the service runs on the group. Reading again is harmless: what is
stored already counts as duplicate or stale.

Examples:
  holdfast seek --partition 2 --to earliest --because "read again after a fix"
  holdfast seek --partition 2 --to 81723 --because "topic was recreated"`,
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
