import type pg from 'pg'
import { OUTCOMES } from '../outcome.ts'
import { query } from './pool.ts'

/** How the records of a stream ended so far, dead letters by reason. */
export interface StreamCounts {
  readonly written: number
  readonly superseded: number
  readonly stale: number
  readonly duplicate: number
  readonly dead_lettered: Readonly<Record<string, number>>
}

type Sums = Readonly<Record<(typeof OUTCOMES)[number], string>>

/** Adds up the ledger. @throws StoreUnavailableError, StoreMisconfiguredError */
export async function readStreamCounts(pool: pg.Pool, topic: string, groupId: string): Promise<StreamCounts> {
  const [[sums], reasons] = await Promise.all([
    query<Sums>(pool, {
      text: `SELECT ${OUTCOMES.map(name => `coalesce(sum(${name}), 0) AS ${name}`).join(', ')}
        FROM holdfast.stream_ledger WHERE topic = $1 AND group_id = $2`,
      values: [topic, groupId],
    }),
    query<{ reason: string; count: string }>(pool, {
      text: `SELECT reason, sum(failures) AS count FROM (
          SELECT reason, failures, source_topic, group_id FROM holdfast.dead_letters
          UNION ALL SELECT reason, failures, source_topic, group_id FROM holdfast.dead_letters_purged_counts
        ) AS letters
        WHERE source_topic = $1 AND group_id = $2 AND failures > 0 GROUP BY reason ORDER BY reason`,
      values: [topic, groupId],
    }),
  ])
  const of = (name: keyof Sums) => Number(sums?.[name] ?? 0)
  return {
    written: of('written'),
    superseded: of('superseded'),
    stale: of('stale'),
    duplicate: of('duplicate'),
    dead_lettered: Object.fromEntries(reasons.map(({ reason, count }) => [reason, Number(count)])),
  }
}
