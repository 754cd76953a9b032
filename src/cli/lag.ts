import { grouped } from '../engine/grouped.ts'
import type { Stream } from '../engine/stream.ts'
import { CommandFailed } from './failure.ts'
import { measureLag, type PartitionLag, type StreamLag } from './lag-measure.ts'
import { note, print, table } from './output.ts'
import { loadSetup, namedOrAll, type Setup } from './streams.ts'
import { inRounds, type WatchOptions } from './watch.ts'

interface LagOptions extends WatchOptions {
  readonly stream?: string
}

/** @throws CommandFailed when a topic does not exist; the streams that have theirs are shown first */
export async function lag(options: LagOptions): Promise<void> {
  const setup = await loadSetup()
  const streams = namedOrAll(setup, options.stream)
  await inRounds(options, begin => oneRound(setup, streams, options, begin))
}

async function oneRound(
  setup: Setup,
  streams: readonly Stream[],
  { json, watch }: LagOptions,
  begin: () => void,
): Promise<void> {
  const missing: Stream[] = []
  const measured: (StreamLag & { readonly stream: Stream })[] = []
  for (const stream of streams) {
    const found = await measureLag(setup.config, stream)
    if (found.rows.length === 0) missing.push(stream)
    else measured.push({ stream, ...found })
  }
  begin()
  if (json) {
    const rows = measured.flatMap(({ stream, rows }) => rows.map(row => ({ stream: stream.name, ...row })))
    if (watch) print(JSON.stringify({ at: new Date().toISOString(), partitions: rows }))
    else for (const row of rows) print(JSON.stringify(row))
  } else if (measured.length > 0) {
    show(measured, streams.length > 1)
  }
  const [first] = missing
  if (first === undefined) return
  const topics = missing.map(({ topic }) => topic).join(', ')
  throw new CommandFailed(`there is no topic ${topics}; the service creates it at start, unless its name is wrong`)
}

/** The table on stdout, what needs a sentence on stderr. @param several with a column that names the stream */
function show(measured: readonly (StreamLag & { readonly stream: Stream })[], several: boolean): void {
  print(
    table(
      [...(several ? ['stream'] : []), 'partition', 'next', 'end', 'lag', 'seconds', 'paused for'],
      measured.flatMap(({ stream, rows }) => rows.map(row => [...(several ? [stream.name] : []), ...cellsOf(row)])),
    ),
  )
  for (const { stream, rows, consumed } of measured) {
    const { topic, groupId } = stream
    for (const { unreadable } of rows) if (unreadable !== null) note(unreadable)
    for (const { partition, open_transaction_records: held } of rows)
      if (held > 0) note(openTransaction(topic, partition, held))
    if (!consumed) note(`group ${groupId} has consumed nothing of ${topic} yet`)
  }
}

function cellsOf(row: PartitionLag): string[] {
  const { operator_pause: pause } = row
  const stopped =
    row.paused_for === 'operator'
      ? null
      : row.paused_because === null
        ? row.paused_for
        : `${row.paused_for}: ${row.paused_because}`
  const held =
    pause === null
      ? null
      : `operator: ${pause.because} (${pause.whole_stream ? 'the stream, ' : ''}by ${pause.by}, since ${pause.since})`
  const unknown = row.end_offset === null ? 'position_unknown' : null
  return [
    String(row.partition),
    row.next_offset ?? '?',
    row.end_offset ?? '?',
    row.lag_records === null ? '?' : grouped(row.lag_records),
    row.lag_seconds === null ? '?' : row.lag_seconds.toFixed(1),
    [stopped, held, unknown].filter(reason => reason !== null).join(', '),
  ]
}

function openTransaction(topic: string, partition: number, held: number): string {
  return (
    `${topic}-${partition}: ${grouped(held)} offsets stand behind the start of a producer's open transaction; readers of committed records ` +
    'do not get them before it ends, and they are not counted as lag. If it lasts, kafka-transactions.sh find-hanging names it, and abort ends it'
  )
}
