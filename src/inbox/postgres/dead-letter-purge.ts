import type pg from 'pg'
import { query } from '../../engine/postgres/pool.ts'
import { membersWhere, redrivesWhere, SETTLED, sqlList } from '../letter-states.ts'

/** Letters of one transaction: settling waits for no longer than such a one takes. */
const SLICE = 1_000

/**
 * Removes letters of a stream from the index that have been resolved or discarded for longer than `olderThanMs`, with their events and
 * their places in redrives. Their ids stay, so that the topic does not bring them back, and so do their counts, which the
 * proof and redrives need; their bytes stay in the DLQ topic.
 * @param limit how many at most, in slices of a transaction each
 * @returns how many were removed
 * @throws StoreUnavailableError StoreContendedError: what was removed by then stays removed
 */
export async function purgeSettled(pool: pg.Pool, stream: string, olderThanMs: number, limit: number): Promise<number> {
  let purged = 0
  while (purged < limit) {
    const slice = Math.min(SLICE, limit - purged)
    const [row] = await query<{ purged: string }>(pool, { text: PURGE, values: [olderThanMs, slice, stream] })
    purged += Number(row?.purged ?? 0)
    if (Number(row?.purged ?? 0) < slice) break
  }
  return purged
}

/**
 * A letter that another transaction has locked waits for the next time. What a redrive under way holds in its set is not settled, or is
 * skipped when its turn comes: such members stay.
 */
const PURGE = `
  WITH target AS (
    SELECT id FROM holdfast.dead_letters
    WHERE stream = $3 AND state IN (${sqlList(SETTLED)}) AND state_changed_at < now() - $1::float8 * interval '1 millisecond'
    ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
  ), gone AS (
    DELETE FROM holdfast.dead_letters AS d USING target WHERE d.id = target.id
    RETURNING d.id, d.source_topic, d.source_partition, d.group_id, d.reason, d.error, d.pointer, d.state, d.failures
  ), ids AS (
    INSERT INTO holdfast.dead_letters_purged (id) SELECT id FROM gone ON CONFLICT DO NOTHING
  ), counts AS (
    INSERT INTO holdfast.dead_letters_purged_counts AS known
      (stream, source_topic, source_partition, group_id, reason, error, pointer, state, letters, failures)
    SELECT $3, source_topic, source_partition, group_id, reason, error, pointer, state, count(*), sum(failures)
    FROM gone GROUP BY source_topic, source_partition, group_id, reason, error, pointer, state
    ON CONFLICT (stream, source_topic, source_partition, group_id, reason, error, pointer, state)
      DO UPDATE SET letters = known.letters + excluded.letters, failures = known.failures + excluded.failures
  ), events AS (
    DELETE FROM holdfast.dead_letter_events AS event USING gone WHERE event.dead_letter_id = gone.id
  ), members AS (
    DELETE FROM holdfast.replay_items AS item USING gone
    WHERE item.dead_letter_id = gone.id AND (item.state NOT IN (${sqlList(membersWhere('left'))}) OR EXISTS (
      SELECT FROM holdfast.replays AS r WHERE r.id = item.replay_id AND r.state IN (${sqlList(redrivesWhere(state => state.final))})))
    RETURNING item.replay_id, item.state
  ), replays AS (
    INSERT INTO holdfast.replay_items_purged AS known (replay_id, state, count)
    SELECT replay_id, state, count(*) FROM members GROUP BY replay_id, state
    ON CONFLICT (replay_id, state) DO UPDATE SET count = known.count + excluded.count
  )
  SELECT count(*) AS purged FROM gone`
