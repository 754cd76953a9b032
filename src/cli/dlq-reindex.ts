import type { Command } from 'commander'
import { plural } from './words.ts'

export function register(dlq: Command): void {
  dlq
    .command('reindex')
    .description('read the dead-letter topic from its start, and add what the index lacks')
    .option('--because <text>', 'for the audit log')
    .option('--json', 'what was done, as one JSON object')
    .addHelpText(
      'after',
      `
For letters that other programs put there, for places that nobody has noted, and for an index that was lost. Rows that are
there stay as they are. A letter that is added takes what became of it from what the database still knows; where that is
lost, too, it is open again. What was purged stays away. May run beside the service.

Example:
  holdfast dlq reindex`,
    )
    .action(reindex)
}

interface ReindexOptions {
  readonly because?: string
  readonly json?: boolean
}

/** Its statements go over the whole index. */
const STATEMENT_TIMEOUT_MS = 10 * 60_000

async function reindex({ because, json }: ReindexOptions): Promise<void> {
  const [
    { loadConfig },
    { operator },
    { readDlqTopic },
    { onInterrupt },
    { openPartitionReader },
    { createOrderJudge },
    { note, print },
    { createPool },
    { startProgress },
    { rebuildIndex },
    { CommandFailed },
  ] = await Promise.all([
    import('../config.ts'),
    import('./dlq-desk.ts'),
    import('../inbox/reindex.ts'),
    import('./interrupt.ts'),
    import('../kafka/partition-reader.ts'),
    import('../orders/order.ts'),
    import('./output.ts'),
    import('../postgres/pool.ts'),
    import('./progress.ts'),
    import('../postgres/reindex.ts'),
    import('./failure.ts'),
  ])
  const config = loadConfig(process.env)
  const { kafka, postgres } = config
  await using parts = new AsyncDisposableStack()
  const topic = parts.use(
    await openPartitionReader({ connection: kafka, topic: kafka.dlqTopic, groupId: kafka.groupId }),
  )
  if ((await topic.partitions()).length === 0) {
    throw new CommandFailed(
      `there is no topic ${kafka.dlqTopic}; the service creates it, unless KAFKA_DLQ_TOPIC is wrong`,
    )
  }
  const pool = createPool({ url: postgres.url, max: 1, statementTimeoutMs: STATEMENT_TIMEOUT_MS, name: 'reindex' })
  parts.defer(() => pool.end())
  using interrupt = onInterrupt()

  const judge = createOrderJudge({ maxBytes: config.recordMaxBytes })
  const reading = await readDlqTopic(topic, judge)
  const progress = startProgress({ label: 'read', silent: json === true })
  let done = 0
  async function* copies() {
    for await (const page of reading.copies()) {
      if (interrupt.signal.aborted) throw new CommandFailed('interrupted: the index is as it was')
      yield page
      done += page.length
      progress.update({ done, total: reading.offsets })
    }
  }
  try {
    const by = operator(because)
    const report = await rebuildIndex(pool, { ...reading, copies: copies(), replayMax: config.replayMax, by })
    progress.stop()
    if (json) return print(JSON.stringify(report))
    const { holdfast = 0, ...others } = report.written_by
    const foreign = Object.entries(others).map(([program, count]) => `, ${count} of ${program}`)
    note(
      `${plural(report.read, 'record')} of ${kafka.dlqTopic}: ${plural(holdfast, 'dead letter')} of ours${foreign.join('')}`,
    )
    print(`${report.added} added, ${report.placed} places noted`)
    if (report.purged > 0) note(`${report.purged} were purged and stay away`)
  } finally {
    progress.stop()
  }
}
