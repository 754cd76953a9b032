import { type Command, InvalidArgumentError } from 'commander'
import { parseCount } from './arguments.ts'

interface SeekOptions {
  readonly partition: number
  readonly to: bigint | 'earliest' | 'latest'
  readonly because: string
  readonly json?: boolean
}

export function register(program: Command): void {
  program
    .command('seek')
    .description('move a partition on purpose, to read again or to skip')
    .requiredOption('--partition <p>', 'which partition of KAFKA_TOPIC', parseCount)
    .requiredOption('--to <offset>', 'an offset, earliest or latest', parseTarget)
    .requiredOption('--because <text>', 'why: it goes into the audit log')
    .option('--json', 'what was done as a JSON object')
    .addHelpText(
      'after',
      `
Noted in the ledger and in the audit log; refused while the service runs on the group. Reading again is harmless: what is
stored already counts as duplicate or stale.

Examples:
  holdfast seek --partition 2 --to earliest --because "read again after a fix"
  holdfast seek --partition 2 --to 81723 --because "topic was made anew"`,
    )
    .action(seek)
}

async function seek({ partition, to, because, json }: SeekOptions): Promise<void> {
  const [
    { loadConfig },
    { UsageError },
    { startInspector },
    { createPool },
    { movePartition },
    output,
    { operatorName },
  ] = await Promise.all([
    import('../config.ts'),
    import('../core/errors.ts'),
    import('../kafka/inspector.ts'),
    import('../postgres/pool.ts'),
    import('../postgres/operator.ts'),
    import('./output.ts'),
    import('./operator-name.ts'),
  ])
  if (because.trim() === '') throw new UsageError('--because is empty: say why, for those who come after you')
  const { kafka, postgres } = loadConfig(process.env)
  const { topic, groupId } = kafka
  await using inspector = await startInspector({ connection: kafka, groupId })
  const known = await inspector.partitions(topic)
  if (known.length === 0) throw new UsageError(`there is no topic ${topic}: check KAFKA_TOPIC`)
  if (!known.some(at => at.partition === partition)) {
    throw new UsageError(`${topic} has no partition ${partition}: it has ${known.length}, counted from 0`)
  }
  const { members } = await inspector.group(topic)
  if (members > 0) {
    throw new UsageError(
      `the service runs: the group ${groupId} has ${members} ${members === 1 ? 'member' : 'members'}; stop it first (and wait until the group has seen it leave)`,
    )
  }
  const { low, high } = await inspector.watermarks({ topic, partition })
  const offset = to === 'earliest' ? low : to === 'latest' ? high : to
  if (offset < low || offset > high) {
    throw new UsageError(`partition ${partition} holds the offsets ${low} to ${high}; ${offset} is not among them`)
  }

  await using parts = new AsyncDisposableStack()
  const pool = createPool({ ...postgres, max: 1, name: 'seek' })
  parts.defer(() => pool.end())
  const topicId = await inspector.topicId(topic)
  const from = await movePartition(
    pool,
    { topic, partition, groupId, to: offset, low, topicId },
    { who: operatorName(), because },
  )
  // Progress is the truth; Kafka's offset follows it, so that lag and proof say the same.
  await inspector.commit([{ topic, partition, nextOffset: offset }])
  if (json) output.print(JSON.stringify({ partition, from: from?.toString() ?? null, to: String(offset) }))
  else output.print(`partition ${partition}: from ${from ?? 'nowhere'} to ${offset}`)
}

function parseTarget(text: string): bigint | 'earliest' | 'latest' {
  if (text === 'earliest' || text === 'latest') return text
  if (!/^\d{1,18}$/.test(text)) throw new InvalidArgumentError('It must be an offset, earliest or latest.')
  return BigInt(text)
}
