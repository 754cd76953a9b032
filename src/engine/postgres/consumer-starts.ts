import type pg from 'pg'
import { query } from './pool.ts'

/** Longer than any chart of arrivals. */
const KEPT_DAYS = 30

/** A process that consumes has been started; saying so again changes nothing. By the clock of the database. */
export async function noteConsumerStart(
  pool: pg.Pool,
  { id, version, agoMs }: { readonly id: string; readonly version: string; readonly agoMs: number },
): Promise<void> {
  await query(pool, {
    text: `WITH old AS (DELETE FROM holdfast.consumer_starts WHERE started_at < now() - $4 * interval '1 day')
      INSERT INTO holdfast.consumer_starts (id, started_at, version)
      VALUES ($1, now() - $2::float8 * interval '1 millisecond', $3) ON CONFLICT DO NOTHING`,
    values: [id, agoMs, version, KEPT_DAYS],
  })
}

/** Each start with the version of the one before it: a deploy where they differ. */
export const STARTS_WITH_BEFORE =
  'SELECT started_at, version, lag(version) OVER (ORDER BY started_at, id) AS before FROM holdfast.consumer_starts'
