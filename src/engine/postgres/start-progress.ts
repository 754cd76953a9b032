import type pg from 'pg'
import { countOutcomes } from '../outcome.ts'
import type { TopicPartition } from '../record.ts'
import { enter } from './ledger.ts'
import { pipelined } from './pool.ts'

/**
 * Makes the progress row of a partition in a transaction that has begun. What is passed over stands in the ledger as `skipped`.
 * Where a row was removed and its ledger was not, the ledger goes on from its end (`skipped` is negative when that is further
 * on): its ranges must follow on one another.
 * @param skippedFrom where the ledger begins, unless it has begun already
 * @returns whether there was none
 */
export async function startRow(
  client: pg.PoolClient,
  { stream, topic, partition, groupId }: TopicPartition & { readonly stream: string; readonly groupId: string },
  { at, skippedFrom = at }: { readonly at: bigint; readonly skippedFrom?: bigint | undefined },
): Promise<boolean> {
  const place = [topic, partition, groupId]
  const ledger = 'FROM holdfast.stream_ledger WHERE topic = $1 AND partition = $2 AND group_id = $3 ORDER BY id'
  const [ends] = await pipelined(client, [
    {
      text: `SELECT (SELECT from_offset ${ledger} LIMIT 1) AS first, (SELECT to_offset ${ledger} DESC LIMIT 1) AS last`,
      values: place,
    },
  ])
  const found: { first: string | null; last: string | null } | undefined = ends?.rows[0]
  const first = found?.first == null ? skippedFrom : BigInt(found.first)
  const from = found?.last == null ? skippedFrom : BigInt(found.last)
  const [made] = await pipelined(client, [
    {
      text: `INSERT INTO holdfast.stream_progress (topic, partition, group_id, first_offset, next_offset, stream)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
      values: [...place, first, at, stream],
    },
  ])
  if (made?.rowCount !== 1) return false
  if (from !== at) {
    const counts = { ...countOutcomes([]), records: 0, gaps: 0n, expired: 0n, skipped: at - from }
    await pipelined(client, [enter(stream, { topic, partition, groupId, from, to: at }, counts)])
  }
  return true
}
