import { dispositionOf, PartitionUnavailableError, UnreadableBatchError } from '../engine/errors.ts'
import { headOf } from '../engine/kafka/head-reader.ts'
import { startInspector } from '../engine/kafka/inspector.ts'
import { openPartitionReader, type PartitionReader } from '../engine/kafka/partition-reader.ts'
import { createPool } from '../engine/postgres/pool.ts'
import { startOf } from '../engine/progress.ts'
import type { Stream } from '../engine/stream.ts'
import { createStoredStream } from '../inbox/postgres/stored-stream.ts'
import { type ManualPauseJson, manualPauseJson } from '../inbox/stream-ports.ts'
import type { Config } from '../settings/config.ts'
import { note } from './output.ts'

export interface PartitionLag {
  readonly partition: number
  /** Progress, else where the service would start. Decimal text, as the next one; `null` where that is not known. */
  readonly next_offset: string | null
  /** `null` where Kafka does not report it; then the lag is unknown too. */
  readonly end_offset: string | null
  readonly lag_records: number | null
  /** 0 as well where the offsets that are left hold no record, as transaction markers do; `null` when Kafka does not report it. */
  readonly lag_seconds: number | null
  /** Offsets from the start of the first open transaction to the end of the log: a reader of committed records does not get them yet. */
  readonly open_transaction_records: number
  /** `storm_guard`, else `operator`; `unreadable_batch` where neither paused it. */
  readonly paused_for: string | null
  /** Why Kafka cannot serve the partition, or what stands there cannot be read. */
  readonly unreadable: string | null
  /** The cause, for an operator. */
  readonly paused_because: string | null
  /** The pause by which an operator holds it. */
  readonly operator_pause: ManualPauseJson | null
  /** RFC 3339; `null` when nothing was ever settled. */
  readonly last_progress_at: string | null
}

type Known = 'partition' | 'paused_for' | 'paused_because' | 'operator_pause' | 'last_progress_at'

export interface StreamLag {
  /** By partition; none when the topic does not exist. */
  readonly rows: readonly PartitionLag[]
  /** Whether the group has consumed anything of it. */
  readonly consumed: boolean
}

/**
 * How far each partition of a stream is behind. Joins no group and moves nothing.
 * @throws BrokerUnavailableError, StoreMisconfiguredError
 */
export async function measureLag(config: Pick<Config, 'kafka' | 'postgres'>, stream: Stream): Promise<StreamLag> {
  await using parts = new AsyncDisposableStack()
  const { kafka } = config
  const pool = createPool({ ...config.postgres, max: 1, name: 'lag' })
  parts.defer(() => pool.end())
  const { topic, groupId } = stream
  let away = false
  const progress = await createStoredStream(pool, { stream: stream.name, topic, groupId })
    .partitions()
    .catch((error: unknown) => {
      if (dispositionOf(error) !== 'retry') throw error
      note('Postgres is away: measured from what the group has committed to Kafka')
      away = true
      return []
    })
  const stored = new Map(progress.map(row => [row.partition, row]))
  const inspector = parts.use(await startInspector({ connection: kafka, groupId }))
  const unknown = (await inspector.partitions(topic)).filter(({ partition }) => !stored.has(partition))
  const committed = new Map((await inspector.committed(unknown)).map(at => [at.partition, at.nextOffset]))
  const reader = parts.use(await openPartitionReader({ connection: kafka, topic, groupId, onlyHeads: true }))
  const toTheEnd = parts.use(
    await openPartitionReader({ connection: kafka, topic, groupId, onlyHeads: true, uncommitted: true }),
  )
  // While Postgres is away the group's offset is the best that is known of progress.
  const startAt = away ? 'committed' : kafka.startAt
  const rows: PartitionLag[] = []
  for (const partition of await reader.partitions()) rows.push(await rowOf(partition))
  return { rows, consumed: stored.size + committed.size > 0 }

  /** The topic was recreated, the log was cut, or this is another cluster: what waits is not known. */
  function beyondEnd(row: Pick<PartitionLag, Known>, next: bigint, end: bigint): PartitionLag {
    const unreadable =
      `${topic}-${row.partition}: progress is at offset ${next}, beyond the partition's end ${end}, so the service holds it; the topic was ` +
      'probably deleted and recreated, or lost records in an unclean election, or KAFKA_BROKERS names another cluster. Decide where to continue with: ' +
      `holdfast seek --partition ${row.partition} --to OFFSET|earliest|latest --because "…"`
    const unknown = { lag_records: null, lag_seconds: null, open_transaction_records: 0 }
    return { ...row, next_offset: String(next), end_offset: String(end), ...unknown, unreadable }
  }

  async function rowOf(partition: number): Promise<PartitionLag> {
    const known = stored.get(partition)
    const pause = known?.manualPause
    const row = {
      partition,
      paused_for: known?.pausedFor ?? (pause === undefined ? null : 'operator'),
      paused_because: known?.pausedBecause ?? (known?.pausedFor === undefined ? pause?.because : undefined) ?? null,
      operator_pause: pause === undefined ? null : manualPauseJson(pause),
      last_progress_at: known === undefined ? null : new Date(known.lastProgressMs).toISOString(),
    }
    try {
      // Read first: what is produced in between must not look like an open transaction.
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
