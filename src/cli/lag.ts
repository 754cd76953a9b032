import type { Command } from 'commander'
import type { Config } from '../config.ts'
import type { UnreadableBatchError } from '../core/errors.ts'
import type { PartitionReader } from '../kafka/partition-reader.ts'

export function register(program: Command): void {
  program
    .command('lag')
    .description('how far each partition is behind, in records and in seconds')
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      `
Measured from progress in Postgres to the end of the topic; the seconds are the age of the oldest record that waits. Where there
is no progress, from where the service would start (KAFKA_START_AT); while Postgres is away, from the group's offset in Kafka,
which follows it. A partition that Kafka cannot serve, because it has no leader, is shown with the reason. The end is that
of committed records: what stands behind the start of an open transaction is no lag, and is told on stderr. Joins no group and
moves nothing, so it works beside the service and without it. "paused for" is storm_guard, or unreadable_batch: then stderr says
what to do.

Examples:
  holdfast lag
  holdfast lag --json | jq 'select(.lag_records > 0)'`,
    )
    .action(lag)
}

async function lag({ json }: { readonly json?: boolean }): Promise<void> {
  const [{ loadConfig }, { print, note, table }] = await Promise.all([import('../config.ts'), import('./output.ts')])
  const config = loadConfig(process.env)
  const { topic, groupId } = config.kafka
  const { rows, consumed } = await measure(config)
  if (rows.length === 0) {
    const { CommandFailed } = await import('./failure.ts')
    throw new CommandFailed(`there is no topic ${topic}; the service creates it at start, unless KAFKA_TOPIC is wrong`)
  }
  if (json) {
    for (const row of rows) print(JSON.stringify(row))
    return
  }
  print(
    table(
      ['partition', 'next', 'end', 'lag', 'seconds', 'paused for'],
      rows.map(row => [
        String(row.partition),
        row.next_offset ?? '?',
        row.end_offset ?? '?',
        String(row.lag_records ?? '?'),
        row.lag_seconds === null ? '?' : row.lag_seconds.toFixed(1),
        [
          row.paused_because === null ? row.paused_for : `${row.paused_for}: ${row.paused_because}`,
          row.end_offset === null ? 'position_unknown' : null,
        ]
          .filter(reason => reason !== null)
          .join(', '),
      ]),
    ),
  )
  for (const { unreadable } of rows) if (unreadable !== null) note(unreadable)
  for (const { partition, open_transaction_records: held } of rows)
    if (held > 0) note(openTransaction(topic, partition, held))
  if (!consumed) note(`group ${groupId} has consumed nothing of ${topic} yet`)
}

function openTransaction(topic: string, partition: number, held: number): string {
  return (
    `${topic}-${partition}: ${held} offsets stand behind the start of a producer's open transaction, and nobody who reads committed records ` +
    'gets them before it ends; they are not counted as lag. If it lasts, kafka-transactions.sh find-hanging names it, and abort ends it'
  )
}

export interface PartitionLag {
  readonly partition: number
  /** Progress, else where the service would start. Decimal text, as the next one; `null` where that is not known. */
  readonly next_offset: string | null
  /** `null` where Kafka does not tell it; then the lag is not known either. */
  readonly end_offset: string | null
  readonly lag_records: number | null
  /** 0 as well where the offsets that are left hold no record, as transaction markers do; `null` when Kafka does not say. */
  readonly lag_seconds: number | null
  /** Offsets from the start of the first open transaction to the end of the log: no one who reads committed records gets them yet. */
  readonly open_transaction_records: number
  readonly paused_for: string | null
  /** Why Kafka cannot serve the partition, or what stands there cannot be read. */
  readonly unreadable: string | null
  /** The cause, for an operator. */
  readonly paused_because: string | null
  /** RFC 3339; `null` when nothing was ever settled. */
  readonly last_progress_at: string | null
}

type Known = 'partition' | 'paused_for' | 'paused_because' | 'last_progress_at'

async function measure({ kafka, postgres }: Config): Promise<{ rows: PartitionLag[]; consumed: boolean }> {
  const [
    { dispositionOf, PartitionUnavailableError },
    { startOf },
    { startInspector },
    { openPartitionReader },
    { createPool },
    { createStreamBooks },
    { note },
  ] = await Promise.all([
    import('../core/errors.ts'),
    import('../core/progress.ts'),
    import('../kafka/inspector.ts'),
    import('../kafka/partition-reader.ts'),
    import('../postgres/pool.ts'),
    import('../postgres/stream-books.ts'),
    import('./output.ts'),
  ])
  await using parts = new AsyncDisposableStack()
  const pool = createPool({ ...postgres, max: 1, name: 'lag' })
  parts.defer(() => pool.end())
  const { topic, groupId } = kafka
  let away = false
  const progress = await createStreamBooks(pool, { topic, groupId })
    .partitions()
    .catch((error: unknown) => {
      if (dispositionOf(error) !== 'retry') throw error
      note('Postgres is away: measured from what the group has committed to Kafka')
      away = true
      return []
    })
  const books = new Map(progress.map(row => [row.partition, row]))
  const inspector = parts.use(await startInspector({ connection: kafka, groupId }))
  const unknown = (await inspector.partitions(topic)).filter(({ partition }) => !books.has(partition))
  const committed = new Map((await inspector.committed(unknown)).map(at => [at.partition, at.nextOffset]))
  const reader = parts.use(await openPartitionReader({ connection: kafka, topic, groupId, onlyHeads: true }))
  const toTheEnd = parts.use(
    await openPartitionReader({ connection: kafka, topic, groupId, onlyHeads: true, uncommitted: true }),
  )
  // While Postgres is away the group's offset is the best that is known of progress.
  const startAt = away ? 'committed' : kafka.startAt
  const rows: PartitionLag[] = []
  for (const partition of await reader.partitions()) rows.push(await rowOf(partition))
  return { rows, consumed: books.size + committed.size > 0 }

  /** The topic was made anew, the log was cut, or this is another cluster: what waits is not known. */
  function beyondEnd(row: Pick<PartitionLag, Known>, next: bigint, end: bigint): PartitionLag {
    const unreadable =
      `${topic}-${row.partition}: progress is at offset ${next}, beyond the partition's end ${end}, so the service holds it; the topic was ` +
      'probably deleted and made anew, or KAFKA_BROKERS names another cluster. Decide where to go on with: ' +
      `holdfast seek --partition ${row.partition} --to OFFSET|earliest|latest --because "…"`
    const unknown = { lag_records: null, lag_seconds: null, open_transaction_records: 0 }
    return { ...row, next_offset: String(next), end_offset: String(end), ...unknown, unreadable }
  }

  async function rowOf(partition: number): Promise<PartitionLag> {
    const known = books.get(partition)
    const row = {
      partition,
      paused_for: known?.pausedFor ?? null,
      paused_because: known?.pausedBecause ?? null,
      last_progress_at: known === undefined ? null : new Date(known.lastProgressMs).toISOString(),
    }
    try {
      // Asked first: what is produced in between must not look like a transaction's.
      const { high: end } = await toTheEnd.watermarks(partition)
      const watermarks = await reader.watermarks(partition)
      const { low, high } = watermarks
      const next = known?.next ?? startOf({ committed: committed.get(partition), watermarks, startAt })
      if (next > end) return beyondEnd(row, next, end)
      const waiting = next < high ? Number(high - next) : 0
      const removed = next < low // by retention: the age of what is left is all that can be known
      const age = waiting === 0 ? 'none' : await secondsSince(reader, partition, removed ? low : next, high)
      const damaged = typeof age === 'object' && age !== null ? age : undefined
      const seconds = typeof age === 'object' ? null : age
      return {
        ...row,
        next_offset: String(next),
        end_offset: String(high),
        // The last offsets may hold no record, as transaction markers do.
        lag_records: seconds === 'none' ? 0 : waiting,
        lag_seconds: seconds === 'none' ? 0 : seconds,
        open_transaction_records: end > high ? Number(end - high) : 0,
        ...(damaged === undefined ? {} : { paused_for: row.paused_for ?? damaged.code }),
        unreadable: damaged?.message ?? null,
      }
    } catch (error) {
      if (!(error instanceof PartitionUnavailableError)) throw error
      const next = known?.next ?? null
      const unreadable = `${topic}-${partition}: its position cannot be read: ${error.message}`
      return {
        ...row,
        next_offset: next === null ? null : String(next),
        ...{ end_offset: null, lag_records: null, lag_seconds: null, open_transaction_records: 0, unreadable },
      }
    }
  }
}

/** The age of the first record in `[from, to)`; `none` when there is no record, `null` when it is not known. */
async function secondsSince(
  reader: PartitionReader,
  partition: number,
  from: bigint,
  to: bigint,
): Promise<number | null | 'none' | UnreadableBatchError> {
  const [{ headOf }, { UnreadableBatchError }] = await Promise.all([
    import('../kafka/head-reader.ts'),
    import('../core/errors.ts'),
  ])
  try {
    const head = await headOf(reader, partition, from, to)
    if ('emptyTo' in head) return 'none'
    // A producer's clock may be ahead of ours, and a record of an old client may have no timestamp at all.
    return head.timestampMs < 0 ? null : Math.max(0, Date.now() - head.timestampMs) / 1000
  } catch (error) {
    if (error instanceof UnreadableBatchError) return error
    throw error
  }
}
