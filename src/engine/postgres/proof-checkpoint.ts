import type pg from 'pg'
import { OUTCOMES } from '../outcome.ts'
import type { Stream } from '../stream.ts'
import { lockMerges } from './ledger-merge.ts'
import { finish, pipelined, query, transaction } from './pool.ts'
import type { Check } from './proof-checks.ts'

/** The part of a partition's ledger that does not change any more, but for merges, which keep its sums. */
export interface ClosedLedger {
  readonly partition: number
  /** Id of the partition's last row, as text. */
  readonly ledger_id: string
  readonly to_offset: string
  readonly sums: Readonly<Record<string, number>>
}

/** Up to where the dead-letter topic was read, and every dead letter of the index was found in it. */
export interface DlqMark {
  /** Kafka's id of the topic in which the ends count. */
  readonly topicId: string
  /** By partition, as text: the first offset that was not read. */
  readonly ends: Readonly<Record<string, string>>
}

/** What an earlier proof that succeeded has left. */
export interface Checkpoint {
  readonly provenAt: Date
  /** When everything was last read. */
  readonly fullAt: Date
  readonly partitions: readonly ClosedLedger[]
  readonly dlq: DlqMark | undefined
  /**
   * Whatever a transaction stores that the proof did not see is stored from here on, as text: an hour before the proof, because the time
   * is that of the transaction's beginning.
   */
  readonly since: string
  /** Records that the ledger counts behind it, or from {@link since} on: the proof keeps the keys of the latter in mind. */
  readonly recordsSince: number
}

type Place = Pick<Stream, 'name' | 'topic' | 'groupId'>

/**
 * @returns `undefined` also where the clock of the database says that the proof is still to come
 * @throws StoreUnavailableError, StoreMisconfiguredError
 */
export async function readCheckpoint(pool: pg.Pool, { name, topic, groupId }: Place): Promise<Checkpoint | undefined> {
  const [row] = await query<CheckpointRow>(pool, {
    text: `SELECT proven_at, full_at, partitions, dlq, (proven_at - interval '1 hour')::text AS since,
        (SELECT greatest(coalesce(sum(records) FILTER (WHERE settled_at >= proven_at - interval '1 hour'), 0), coalesce(sum(records), 0)
            - (SELECT coalesce(sum((closed->'sums'->>'records')::bigint), 0) FROM jsonb_array_elements(partitions) AS closed))
          FROM holdfast.stream_ledger WHERE topic = $2 AND group_id = $3) AS records_since
      FROM holdfast.proof_checkpoints WHERE stream = $1 AND topic = $2 AND group_id = $3 AND proven_at <= now()`,
    values: [name, topic, groupId],
  })
  if (row === undefined) return undefined
  const { proven_at: provenAt, full_at: fullAt, partitions, since } = row
  return { provenAt, fullAt, partitions, since, dlq: row.dlq ?? undefined, recordsSince: Number(row.records_since) }
}

interface CheckpointRow extends pg.QueryResultRow {
  readonly proven_at: Date
  readonly full_at: Date
  readonly partitions: ClosedLedger[]
  readonly dlq: DlqMark | null
  readonly since: string
  readonly records_since: string
}

const SUMMED = ['records', ...OUTCOMES, 'gaps', 'expired', 'skipped', 'inserted'] as const
const SUMS = `jsonb_build_object('offsets', coalesce(sum(to_offset - from_offset), 0),
  ${SUMMED.map(name => `'${name}', coalesce(sum(${name}), 0)`).join(', ')})`

/** Takes the topic as `$1` and the group as `$2`. A partition's latest row may still be extended, so it is left out. */
export const CLOSED_LEDGER = `
  SELECT l.partition, max(l.id)::text AS ledger_id, max(l.to_offset)::text AS to_offset, ${SUMS} AS sums
  FROM holdfast.stream_ledger AS l JOIN (
    SELECT partition, max(id) AS id FROM holdfast.stream_ledger WHERE topic = $1 AND group_id = $2 GROUP BY partition
  ) AS latest ON latest.partition = l.partition AND l.id < latest.id
  WHERE l.topic = $1 AND l.group_id = $2 GROUP BY l.partition ORDER BY l.partition`

/** `$3`: {@link ClosedLedger}s. What was closed then has other sums now. */
const CHANGED = `
  SELECT (closed->>'partition')::integer AS partition, closed->>'to_offset' AS position,
    string_agg(format('%s %s instead of %s', name, now.sums->>name, sum), ', ' ORDER BY name) AS detail, NULL AS other
  FROM jsonb_array_elements($3::jsonb) AS closed CROSS JOIN LATERAL (
    SELECT ${SUMS} AS sums FROM holdfast.stream_ledger WHERE topic = $1 AND group_id = $2
      AND partition = (closed->>'partition')::integer AND id <= (closed->>'ledger_id')::bigint
  ) AS now CROSS JOIN LATERAL jsonb_each_text(closed->'sums') AS proven (name, sum)
  WHERE sum IS DISTINCT FROM now.sums->>name GROUP BY 1, 2`

/** `$3` is {@link closedJson}. */
export function changedSince({ provenAt }: Checkpoint): Check {
  return {
    text: CHANGED,
    parameters: 3,
    what: ({ position, detail }) =>
      `the ledger below ${position} is not what the proof of ${provenAt.toISOString()} found: ${detail}. If that was done on purpose, "holdfast verify --full" begins anew`,
  }
}

export function closedJson(closed: readonly ClosedLedger[]): string {
  return JSON.stringify(closed)
}

/** What a proof that succeeded leaves to the next one. */
export interface Proven {
  /** The clock of the database at its snapshot, as text. */
  readonly at: string
  readonly closed: readonly ClosedLedger[]
  /** The one from which it went on; absent: it read everything. */
  readonly from?: Checkpoint | undefined
}

/**
 * Replaces the checkpoint of the stream, unless the ledger was merged across it since the proof read it, or a later proof was faster.
 * @returns whether it did
 * @throws StoreUnavailableError, StoreContendedError, StoreMisconfiguredError
 */
export async function leaveCheckpoint(
  pool: pg.Pool,
  { name, topic, groupId }: Place,
  { at, closed, from }: Proven,
  dlq: DlqMark | undefined,
): Promise<boolean> {
  return await transaction(pool, async client => {
    await pipelined(client, ['BEGIN', lockMerges(name)])
    const [left] = await finish(client, [
      {
        text: `INSERT INTO holdfast.proof_checkpoints AS known (topic, group_id, partitions, stream, proven_at, full_at, dlq)
          SELECT $1, $2, $3::jsonb, $4, $5::timestamptz, coalesce($6::timestamptz, $5::timestamptz), $7::jsonb
          WHERE NOT EXISTS (${CHANGED})
          ON CONFLICT (stream, topic, group_id) DO UPDATE SET partitions = excluded.partitions,
            proven_at = excluded.proven_at, full_at = excluded.full_at, dlq = excluded.dlq
          WHERE known.proven_at < excluded.proven_at`,
        values: [
          ...[topic, groupId, closedJson(closed), name, at, from?.fullAt.toISOString() ?? null],
          dlq === undefined ? null : JSON.stringify(dlq),
        ],
      },
    ])
    return left?.rowCount === 1
  })
}
