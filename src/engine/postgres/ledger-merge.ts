import type pg from 'pg'
import { OUTCOMES } from '../outcome.ts'
import { finish, pipelined, query, transaction } from './pool.ts'

/** Rows that one transaction reads. It takes some ten milliseconds, and holds up no batch. */
const SLICE = 1_000

/** A partition as a group consumed it. */
interface Chain {
  readonly topic: string
  readonly partition: number
  readonly group_id: string
}

/** What one transaction did. */
interface Merged {
  /** Rows that are gone. */
  readonly gone: string
  /** Where the next one goes on; null: nothing older is left. */
  readonly next: string | null
}

export interface MergeOptions {
  /** Age from which on rows are merged. */
  readonly olderThanMs: number
  /** Rows that go at most; the next turn goes on. */
  readonly limit: number
  readonly signal?: AbortSignal
}

/**
 * Merges rows of a stream's ledger that follow on one another into one for each partition, group and day (UTC), with the sums of all their
 * counts. It changes nothing that the proof says: what does not add up, or leaves a hole, is not merged, and neither is what holds `expired` or
 * `skipped` offsets, nor rows on both sides of a checkpoint.
 *
 * It waits for no batch and no batch for it: the latest row of a partition, the only one that a batch changes or looks up, stays as it is.
 * Each slice is one transaction, so that a crash leaves some rows unmerged, and a reader sees a row merged or not at all.
 * @returns how many rows are gone
 * @throws StoreUnavailableError StoreContendedError: what was merged by then stays merged
 */
export async function mergeLedger(pool: pg.Pool, stream: string, options: MergeOptions): Promise<number> {
  const { olderThanMs, limit, signal } = options
  const chains = await query<Chain>(pool, {
    text: 'SELECT topic, partition, group_id FROM holdfast.stream_progress WHERE stream = $1 ORDER BY 1, 2, 3',
    values: [stream],
  })
  let gone = 0
  for (const chain of chains) {
    for (let next: string | null = '0'; next !== null && gone < limit && !signal?.aborted; ) {
      const done = await mergeSlice(pool, stream, chain, next, olderThanMs)
      gone += Number(done.gone)
      next = done.next
    }
  }
  return gone
}

/** Until the transaction ends: merges, and checkpoints that they must not change, take turns. */
export function lockMerges(stream: string): pg.QueryConfig {
  return { text: 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', values: [`stream_ledger ${stream}`] }
}

async function mergeSlice(
  pool: pg.Pool,
  stream: string,
  { topic, partition, group_id }: Chain,
  from: string,
  olderThanMs: number,
): Promise<Merged> {
  return await transaction(pool, async client => {
    // A statement of its own: the next one must see what the holder of the lock has done.
    await pipelined(client, ['BEGIN', lockMerges(stream)])
    const values = [topic, partition, group_id, from, SLICE, olderThanMs]
    const [answer] = await finish(client, [{ name: 'ledger_merge', text: MERGE, values }])
    const merged: Merged | undefined = answer?.rows[0]
    return merged ?? { gone: '0', next: null }
  })
}

const SUMMED = ['records', ...OUTCOMES, 'gaps', 'inserted'] as const
const CHAIN = 'topic = $1 AND partition = $2 AND group_id = $3'

/** `run` numbers what follows on one another. The first row of a run takes the sums, so that ids keep their order. */
const MERGE = `
  WITH checkpoint AS (
    SELECT coalesce(max((proven->>'ledger_id')::bigint), 0) AS checkpoint_id
    FROM holdfast.proof_checkpoints, jsonb_array_elements(partitions) AS proven
    WHERE topic = $1 AND group_id = $3 AND (proven->>'partition')::integer = $2
  ), slice AS (
    SELECT l.*, (settled_at AT TIME ZONE 'UTC')::date AS day,
      settled_at < now() - $6::float8 * interval '1 millisecond' AS old,
      expired = 0 AND skipped = 0 AND records + gaps = to_offset - from_offset AND ${OUTCOMES.join(' + ')} = records AS whole
    FROM holdfast.stream_ledger AS l
    WHERE ${CHAIN} AND id >= $4 AND id < (SELECT max(id) FROM holdfast.stream_ledger WHERE ${CHAIN}) ORDER BY id LIMIT $5
  ), marked AS (
    SELECT slice.*, coalesce(old AND whole AND lag(old) OVER chain AND lag(whole) OVER chain AND from_offset = lag(to_offset) OVER chain
        AND day = lag(day) OVER chain AND stream = lag(stream) OVER chain
        AND (inserted IS NULL) = lag(inserted IS NULL) OVER chain
        AND (id <= checkpoint_id) = lag(id <= checkpoint_id) OVER chain, false) AS follows
    FROM slice CROSS JOIN checkpoint WINDOW chain AS (ORDER BY id)
  ), numbered AS (
    SELECT *, count(*) FILTER (WHERE NOT follows) OVER (ORDER BY id) AS run FROM marked
  ), runs AS (
    SELECT run, min(id) AS id, count(*) AS rows, max(to_offset) AS to_offset, max(settled_at) AS settled_at,
      min(coalesce(since, settled_at)) AS since, ${SUMMED.map(name => `sum(${name}) AS ${name}`).join(', ')}
    FROM numbered GROUP BY run
  ), merged AS (
    UPDATE holdfast.stream_ledger AS l SET to_offset = runs.to_offset, settled_at = runs.settled_at, since = runs.since, last_batch = NULL,
      ${SUMMED.map(name => `${name} = runs.${name}`).join(', ')}
    FROM runs WHERE l.topic = $1 AND l.partition = $2 AND l.group_id = $3 AND l.id = runs.id AND runs.rows > 1
  ), gone AS (
    DELETE FROM holdfast.stream_ledger AS l USING numbered JOIN runs USING (run)
    WHERE l.topic = $1 AND l.partition = $2 AND l.group_id = $3 AND l.id = numbered.id AND l.id <> runs.id
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM gone) AS gone,
    CASE WHEN (SELECT count(*) = $5 AND bool_and(old) FROM slice) THEN (SELECT max(id) FROM runs) END AS next`
