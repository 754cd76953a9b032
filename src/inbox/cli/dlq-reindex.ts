import { CommandFailed } from '../../cli/failure.ts'
import { onInterrupt } from '../../cli/interrupt.ts'
import { actingOperator } from '../../cli/operator-name.ts'
import { note, print } from '../../cli/output.ts'
import { startProgress } from '../../cli/progress.ts'
import { loadSetup, oneStream } from '../../cli/streams.ts'
import { plural } from '../../cli/words.ts'
import { grouped } from '../../engine/grouped.ts'
import { openPartitionReader } from '../../engine/kafka/partition-reader.ts'
import { createPool } from '../../engine/postgres/pool.ts'
import { requireSupportedPooling } from '../../engine/postgres/pooling.ts'
import { rebuildIndex } from '../postgres/reindex.ts'
import { readDlqTopic } from '../reindex.ts'
import type { DlqOptions } from './dlq-parts.ts'

interface ReindexOptions extends DlqOptions {
  readonly because?: string
}

/** Its statements read the whole index. */
const STATEMENT_TIMEOUT_MS = 10 * 60_000

export async function reindex(options: ReindexOptions): Promise<void> {
  const { json } = options
  const setup = await loadSetup()
  const stream = oneStream(setup, options.stream)
  const { kafka, postgres, redriveMax } = setup.config
  const { dlqTopic, groupId } = stream
  await requireSupportedPooling(postgres)
  await using parts = new AsyncDisposableStack()
  const topic = parts.use(await openPartitionReader({ connection: kafka, topic: dlqTopic, groupId }))
  if ((await topic.partitions()).length === 0) {
    throw new CommandFailed(`there is no topic ${dlqTopic}; the service creates it, unless its name is wrong`)
  }
  // Its tables are temporary: they are of one session.
  const direct = { ...postgres, ...postgres.direct }
  const pool = createPool({ ...direct, max: 1, statementTimeoutMs: STATEMENT_TIMEOUT_MS, name: 'reindex' })
  parts.defer(() => pool.end())
  using interrupt = onInterrupt()

  const reading = await readDlqTopic(topic, stream.judge)
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
    const by = actingOperator(setup.config, options)
    const report = await rebuildIndex(pool, { stream, ...reading, copies: copies(), redriveMax, by })
    progress.stop()
    if (json) return print(JSON.stringify(report))
    const { holdfast = 0, ...others } = report.written_by
    const foreign = Object.entries(others).map(([program, count]) => `, ${grouped(count)} of ${program}`)
    note(
      `${plural(report.read, 'record')} of ${dlqTopic}: ${plural(holdfast, 'dead letter')} of ours${foreign.join('')}`,
    )
    print(`${grouped(report.added)} added, ${plural(report.placed, 'place')} noted`)
    if (report.purged > 0) note(`${grouped(report.purged)} were purged and stay away`)
  } finally {
    progress.stop()
  }
}
