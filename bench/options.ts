import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError } from 'commander'
import { parseCount, parseLimit, parsePercent } from '#src/cli/arguments.ts'
import { SETTINGS } from '#src/settings/settings.ts'
import { SHAPE_NAMES, SHAPES, type ShapeInput, type ShapeName } from './shapes.ts'

export interface BenchOptions extends ShapeInput {
  /** In the order in which they are measured. */
  readonly shapes: readonly ShapeName[]
  readonly rounds: number
  /** Number of processes of the service, in the shapes that do not vary it. */
  readonly processes: number
  /** The folder for figures, logs and profiles. */
  readonly results: string
  readonly json: boolean
  readonly keep: boolean
  readonly profile: boolean
  /** Also without metrics; then the others are scraped. */
  readonly withoutMetrics: boolean
  /** Settings of further contenders, as they were written. */
  readonly variants: readonly Variant[]
  /** Checkouts of further contenders. */
  readonly against: readonly string[]
  /** Programs of others that do the same work. */
  readonly beside: readonly Rival[]
}

export interface Variant {
  readonly name: string
  readonly settings: Readonly<Record<string, string>>
}

export interface Rival {
  readonly name: string
  /** For `sh -c`. */
  readonly command: string
}

interface Flags
  extends Pick<
    BenchOptions,
    'orders' | 'rounds' | 'partitions' | 'seed' | 'processes' | 'against' | 'beside' | 'results'
  > {
  readonly updates: number
  readonly shape: readonly ShapeName[]
  readonly variant: readonly Variant[]
  readonly json?: true
  readonly keep?: true
  readonly profile?: true
  readonly withoutMetrics?: true
}

const RESULTS = fileURLToPath(new URL('results', import.meta.url))

const HELP = `
Shapes:
${SHAPE_NAMES.map(name => `  ${name.padEnd(12)} ${SHAPES[name].about}`).join('\n')}

The result goes to stdout, progress to stderr; bench/results/latest.json has the figures by name. bench/README.md says what
is measured and how to read it.`

/** @param words without the program's own name. Ends the process with 2 when they cannot be used, with 0 for --help. */
export function readOptions(words: readonly string[]): BenchOptions {
  const program = new Command('drain')
    .description(
      'Measures how fast the service works off a topic, beside what PostgreSQL alone takes of the same rows.',
    )
    .option('--orders <n>', 'records of the topic', parseLimit, 200_000)
    .option('--rounds <n>', 'how often; the contenders take turns', parseLimit, 1)
    .option('--shape <name>', 'what is measured, or all; repeatable (default: plain)', anotherShape, [])
    .option('--partitions <n>', 'of the topic', parseLimit, 6)
    .option('--processes <n>', 'of the service, which share the partitions', parseLimit, 1)
    .option('--updates <percent>', 'records that are a new version of an earlier order', parsePercent, 0.02)
    .option('--seed <n>', 'the same seed gives the same orders', parseCount, 1)
    .option(
      '--variant <settings>',
      "another contender, as in 'PG_POOL_MAX=6 BATCH_LINGER_MS=20'; repeatable",
      anotherVariant,
      [],
    )
    .option('--against <dir>', 'another contender: the service of another checkout; repeatable', otherCheckout, [])
    .option(
      '--beside <name=command>',
      'another contender: any command that works off the topic (bench/rivals/README.md); repeatable',
      anotherRival,
      [],
    )
    .option('--without-metrics', 'another contender: no metrics are kept; meanwhile the others are scraped')
    .option('--profile', 'write a CPU profile of each service into bench/results (it is slower for that)')
    .option('--results <dir>', 'for figures, logs and profiles', text => resolve(text), RESULTS)
    .option('--keep', 'keep the servers’ data, for a look at the tables')
    .option('--json', 'the whole result as JSON on stdout, instead of the table')
    .addHelpText('after', HELP)
    .exitOverride(end => process.exit(end.exitCode === 0 ? 0 : 2))
  const { variant, updates, shape, ...flags } = program.parse(words, { from: 'user' }).opts<Flags>()
  return {
    ...flags,
    shapes: shape.length === 0 ? ['plain'] : SHAPE_NAMES.filter(name => shape.includes(name)),
    updatesRatio: updates,
    json: flags.json ?? false,
    keep: flags.keep ?? false,
    profile: flags.profile ?? false,
    withoutMetrics: flags.withoutMetrics ?? false,
    variants: variant,
  }
}

/** Variables of the runtime, not settings of the service, that are also worth comparing. */
const OF_THE_RUNTIME = [
  'NODE_OPTIONS',
  'UV_THREADPOOL_SIZE',
  'MALLOC_ARENA_MAX',
  'MALLOC_TRIM_THRESHOLD_',
  'MALLOC_MMAP_THRESHOLD_',
]

function anotherShape(text: string, earlier: readonly ShapeName[]): readonly ShapeName[] {
  if (text === 'all') return SHAPE_NAMES
  const name = SHAPE_NAMES.find(name => name === text)
  if (name === undefined) throw new InvalidArgumentError(`It must be one of ${SHAPE_NAMES.join(', ')}, or all.`)
  return [...earlier, name]
}

function anotherVariant(text: string, earlier: readonly Variant[]): readonly Variant[] {
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

function anotherRival(text: string, earlier: readonly Rival[]): readonly Rival[] {
  const [, name, command] = /^([^=]+)=(.*\S.*)$/s.exec(text) ?? []
  if (name === undefined || command === undefined) {
    throw new InvalidArgumentError("It must be NAME=COMMAND, as in 'naive=node bench/rivals/naive.ts'.")
  }
  if (earlier.some(rival => rival.name === name)) throw new InvalidArgumentError(`${name} stands there twice.`)
  return [...earlier, { name, command }]
}
