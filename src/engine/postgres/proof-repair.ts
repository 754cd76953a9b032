import type pg from 'pg'
import type { Operator } from '../operator.ts'
import type { Stream } from '../stream.ts'
import { audit } from './audit.ts'
import { toQuery } from './binary.ts'
import { identifier } from './identifiers.ts'
import { noticeOf } from './notifications.ts'
import { pipelined, query, transaction } from './pool.ts'
import { beyondProgress } from './proof-checks.ts'

/** A value whose row points at an offset that is not settled. */
export interface BeyondProgress {
  readonly key: string
  readonly partition: number
  readonly offset: bigint
  /** Where the partition stands; `undefined`: no group has progress there. */
  readonly progress: bigint | undefined
}

/** Positions that an entry of the audit log lists. */
const LISTED_AT_MOST = 1_000

/** What {@link setBack} would change. @throws StoreUnavailableError, StoreMisconfiguredError */
export async function valuesBeyondProgress(
  pool: pg.Pool,
  { topic, plan }: Pick<Stream, 'topic' | 'plan'>,
): Promise<BeyondProgress[]> {
  const own = `o.${identifier(plan.key.column)}`
  const rows = await query<{ key: string; partition: number; position: string; progress: string | null }>(pool, {
    text: `SELECT ${own} AS key, o.source_partition AS partition, o.source_offset AS position,
        p.next_offset AS progress
      ${beyondProgress(plan)} ORDER BY ${own}`,
    values: [topic],
  })
  return rows.map(({ key, partition, position, progress }) => ({
    key,
    partition,
    offset: BigInt(position),
    progress: progress === null ? undefined : BigInt(progress),
  }))
}

/**
 * Gives these values the position before every record (offset and timestamp -1), so that any genuine record of theirs is
 * newer to the stale guard, also one that is read again. Nothing else of the rows changes: the value stays until then. A row
 * whose position is not the listed one any more is left alone. One transaction, with its entry in the audit log; replicas
 * are notified, because their caches still hold the far position.
 * @returns how many were changed
 * @throws StoreUnavailableError, StoreContendedError, StoreMisconfiguredError
 */
export async function setBack(
  pool: pg.Pool,
  { name: stream, topic, plan }: Pick<Stream, 'name' | 'topic' | 'plan'>,
  values: readonly BeyondProgress[],
  by: Operator,
): Promise<number> {
  const root = plan.root.sqlName
  const own = identifier(plan.key.column)
  return await transaction(pool, async client => {
    const [, changed] = await pipelined(client, [
      'BEGIN',
      {
        text: `WITH wanted AS (
            SELECT o.${own} AS key FROM ${root} AS o
              JOIN unnest($2::text[], $3::int4[], $4::int8[]) AS listed (key, partition, position)
                ON o.${own} = listed.key AND o.source_topic = $1 AND o.source_partition = listed.partition
                  AND o.source_offset = listed.position
            ORDER BY o.${own} FOR UPDATE OF o
          )
          UPDATE ${root} AS o SET source_offset = -1, source_timestamp = -1 FROM wanted
          WHERE o.${own} = wanted.key RETURNING o.${own} AS key`,
        values: [
          topic,
          values.map(({ key }) => key),
          values.map(({ partition }) => partition),
          values.map(({ offset }) => offset),
        ],
      },
    ])
    const keys = new Set((changed?.rows ?? []).map((row: { key: string }) => row.key))
    const done = values.filter(({ key }) => keys.has(key))
    const from = done
      .slice(0, LISTED_AT_MOST)
      .map(({ key, partition, offset }) => ({ key, at: `${partition}-${offset}` }))
    await pipelined(client, [
      audit(stream, 'verify_repair', `topic:${topic}`, by, { values: done.length, from }),
      ...(done.length === 0 ? [] : [toQuery(noticeOf('verify', stream, done))]),
      'COMMIT',
    ])
    return done.length
  })
}
