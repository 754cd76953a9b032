import { resolve } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { parseCount, parsePercent } from '#src/cli/arguments.ts'
import { SETTINGS } from '#src/settings/settings.ts'
import type { BacklogOptions } from './backlog.ts'

export interface BenchOptions extends BacklogOptions {
  readonly rounds: number
  readonly json: boolean
  readonly keep: boolean
  readonly profile: boolean
  /** Also without metrics; then the others are scraped. */
  readonly withoutMetrics: boolean
  /** Settings of further contenders, as they were written. */
  readonly variants: readonly Variant[]
  /** Checkouts of further contenders. */
  readonly against: readonly string[]
}

export interface Variant {
  readonly name: string
  readonly settings: Readonly<Record<string, string>>
}

interface Flags {
  readonly orders: number
  readonly rounds: number
  readonly partitions: number
  readonly updates: number
  readonly seed: number
  readonly json?: true
  readonly keep?: true
  readonly profile?: true
  readonly withoutMetrics?: true
  readonly variant: readonly Variant[]
  readonly against: readonly string[]
}

/** @param words without the program's own name. Ends the process with 2 when they cannot be used, with 0 for --help. */
export function readOptions(words: readonly string[]): BenchOptions {
  const program = new Command('drain')
    .description(
      'Measures how fast the service works off a topic, beside what PostgreSQL alone takes of the same rows.',
    )
    .option('--orders <n>', 'records of the topic', positive, 200_000)
    .option('--rounds <n>', 'how often; the contenders take turns', positive, 1)
    .option('--partitions <n>', 'of the topic', positive, 6)
    .option('--updates <percent>', 'records that are a new version of an earlier order', parsePercent, 0.02)
    .option('--seed <n>', 'the same seed gives the same orders', parseCount, 1)
    .option(
      '--variant <settings>',
      "another contender, as in 'PG_POOL_MAX=6 BATCH_LINGER_MS=20'; repeatable",
      another,
      [],
    )
    .option('--against <dir>', 'another contender: the service of another checkout; repeatable', otherCheckout, [])
    .option('--without-metrics', 'another contender: no metrics are kept; meanwhile the others are scraped')
    .option('--profile', 'write a CPU profile of each service into bench/results (it is slower for that)')
    .option('--keep', 'keep the servers’ data, for a look at the tables')
    .option('--json', 'the whole result as JSON on stdout, instead of the table')
    .exitOverride(end => process.exit(end.exitCode === 0 ? 0 : 2))
  const { variant, against, updates, ...flags } = program.parse(words, { from: 'user' }).opts<Flags>()
  return {
    ...flags,
    updatesRatio: updates,
    json: flags.json ?? false,
    keep: flags.keep ?? false,
    profile: flags.profile ?? false,
    withoutMetrics: flags.withoutMetrics ?? false,
    variants: variant,
    against,
  }
}

/** Variables of the runtime, not settings of the service, that are also worth comparing. */
const OF_THE_RUNTIME = ['NODE_OPTIONS', 'UV_THREADPOOL_SIZE', 'MALLOC_ARENA_MAX', 'MALLOC_TRIM_THRESHOLD_']

function positive(text: string): number {
  const count = parseCount(text)
  if (count === 0) throw new InvalidArgumentError('It must be at least 1.')
  return count
}

function another(text: string, earlier: readonly Variant[]): readonly Variant[] {
  const settings: Record<string, string> = {}
  for (const word of text.split(/\s+/).filter(word => word !== '')) {
    const [, name, value] = /^([A-Z_]+)=(.*)$/.exec(word) ?? []
    if (name === undefined || value === undefined || !(name in SETTINGS || OF_THE_RUNTIME.includes(name))) {
      throw new InvalidArgumentError(`${word} is no setting: write NAME=value, as in PG_POOL_MAX=6.`)
    }
    settings[name] = value
  }
  if (Object.keys(settings).length === 0) throw new InvalidArgumentError('It must name a setting, as in PG_POOL_MAX=6.')
  return [...earlier, { name: text.trim(), settings }]
}

function otherCheckout(text: string, earlier: readonly string[]): readonly string[] {
  return [...earlier, resolve(text)]
}
