import type pg from 'pg'
import { query } from '../../engine/postgres/pool.ts'
import { redrivesWhere, sqlList } from '../letter-states.ts'

/** Rows of one statement, which is a transaction. */
const SLICE = 1_000

/**
 * Removes entries of a stream's audit log that are older than `olderThanMs`. A discard stays while one of its letters is discarded: by
 * its entry it is undone.
 * @param limit how many at most
 * @returns how many were removed
 * @throws StoreUnavailableError StoreContendedError: what was removed by then stays removed
 */
export async function purgeAudit(pool: pg.Pool, stream: string, olderThanMs: number, limit: number): Promise<number> {
  return await purge(pool, PURGE_AUDIT, { stream, olderThanMs, limit })
}

/**
 * Removes redrives into the store that ended longer ago than `olderThanMs`, with what is counted of them. Those stay that have members left,
 * because their letters are still in the index, and those that published to a topic: as long as it holds their records, and this is not
 * known here, a record is believed to be redriven only if its redrive is listed.
 * @returns how many were removed
 * @throws as {@link purgeAudit}
 */
export async function purgeRedrives(
  pool: pg.Pool,
  stream: string,
  olderThanMs: number,
  limit: number,
): Promise<number> {
  return await purge(pool, PURGE_REDRIVES, { stream, olderThanMs, limit })
}

async function purge(
  pool: pg.Pool,
  text: string,
  { stream, olderThanMs, limit }: { readonly stream: string; readonly olderThanMs: number; readonly limit: number },
): Promise<number> {
  let purged = 0
  while (purged < limit) {
    const slice = Math.min(SLICE, limit - purged)
    const rows = await query(pool, { text, values: [stream, olderThanMs, slice] })
    purged += rows.length
    if (rows.length < slice) break
  }
  return purged
}

const OLD = `now() - $2::float8 * interval '1 millisecond'`

const PURGE_AUDIT = `
  DELETE FROM holdfast.audit_log WHERE id IN (
    SELECT id FROM holdfast.audit_log AS entry WHERE stream = $1 AND at < ${OLD}
      AND NOT EXISTS (SELECT FROM holdfast.dead_letters AS d WHERE d.discard_action = entry.id AND d.state = 'discarded')
    ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
  ) RETURNING 1`

const PURGE_REDRIVES = `
  WITH target AS (
    SELECT id FROM holdfast.replays AS r WHERE stream = $1 AND topic = '' AND coalesce(finished_at, created_at) < ${OLD}
      AND state IN (${sqlList(redrivesWhere(state => state.final))})
      AND NOT EXISTS (SELECT FROM holdfast.replay_items AS item WHERE item.replay_id = r.id)
    ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
  ), counts AS (
    DELETE FROM holdfast.replay_items_purged AS gone USING target WHERE gone.replay_id = target.id
  )
  DELETE FROM holdfast.replays AS r USING target WHERE r.id = target.id RETURNING 1`
