import type { Command } from 'commander'
import * as auto from './dlq-auto.ts'
import * as check from './dlq-check.ts'
import * as discard from './dlq-discard.ts'
import * as exportAll from './dlq-export.ts'
import * as ls from './dlq-ls.ts'
import * as reindex from './dlq-reindex.ts'
import * as replay from './dlq-replay.ts'
import * as replays from './dlq-replays.ts'
import * as restore from './dlq-restore.ts'
import * as show from './dlq-show.ts'
import * as stats from './dlq-stats.ts'
import * as steer from './dlq-steer.ts'

/** In the order in which an operator comes to need them. */
const SUBCOMMANDS: readonly { register(dlq: Command): void }[] = [
  stats,
  ls,
  show,
  check,
  replay,
  replays,
  steer,
  discard,
  restore,
  exportAll,
  reindex,
  auto,
]

export function register(program: Command): void {
  const dlq = program
    .command('dlq')
    .description('dead letters: find, understand, redrive')
    .addHelpText(
      'after',
      `
FILTER says which, in terms that must all hold: reason: error: pointer: uid: id: topic: partition: age: state: replays:
replay: text:. Commas between values mean "or", a "-" before a term "not", "*" anything; without a FILTER it is all of
them. A replay takes open ones, a discard open and parked ones. Needs Kafka and Postgres, not the service.

Examples:
  holdfast dlq stats state:open
  holdfast dlq ls reason:schema_violation 'pointer:/payment/*' 'age:<1h'
  holdfast dlq show orders-3-81723`,
    )
  for (const { register } of SUBCOMMANDS) register(dlq)
}

/** A term that begins with "-" is no option: commander does not take what begins with a blank for one. */
export function shieldTerms(args: readonly string[]): string[] {
  if (args[0] !== 'dlq') return [...args]
  return args.map(arg => (/^-[a-z]+:/.test(arg) ? ` ${arg}` : arg))
}
