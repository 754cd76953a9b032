import type pg from 'pg'
import type { StreamPlan } from '../definition/plan.ts'
import { formerTopic, type TopicPartition } from '../record.ts'
import { identifier } from './identifiers.ts'
import { finish, pipelined, query, transaction } from './pool.ts'

/** A partition of a topic that was deleted: another topic has its name now. */
export interface FormerTopic extends TopicPartition {
  /** Kafka's id of the one that was deleted. */
  readonly topicId: string
}

/** What a move into another topic of the same name adds to its transaction. */
export type LeaveFormerTopic = (former: FormerTopic) => readonly pg.QueryConfig[]

/** Longer than the table of any stream should take. It holds up no partition but the one that is moved. */
const LEAVE_TIMEOUT_MS = 600_000

/** Where progress stands, or is to stand, and Kafka's id of the topic in which that counts; `undefined`: not known. */
interface Counted {
  readonly offset: bigint
  readonly topicId: string | undefined
}

/**
 * The topic that a move leaves, if it does. A move to the same offset of a topic with another id leaves none: that one was moved or restored
 * with its offsets, which go on. That both are 0 says nothing of the kind: progress was moved back before.
 */
export function formerOf({ topic, partition }: TopicPartition, from: Counted, to: Counted): FormerTopic | undefined {
  if (from.topicId === undefined || to.topicId === undefined || from.topicId === to.topicId) return undefined
  return from.offset === to.offset && to.offset > 0n ? undefined : { topic, partition, topicId: from.topicId }
}

/** As {@link formerOf}, of a partition that is about to be moved. */
export async function formerTopicOf(
  pool: pg.Pool,
  { topic, partition, groupId }: TopicPartition & { readonly groupId: string },
  to: Counted,
): Promise<FormerTopic | undefined> {
  const [row] = await query<{ next_offset: string; topic_id: string | null }>(pool, {
    text: 'SELECT next_offset, topic_id FROM holdfast.stream_progress WHERE topic = $1 AND partition = $2 AND group_id = $3',
    values: [topic, partition, groupId],
  })
  if (row === undefined) return undefined
  return formerOf({ topic, partition }, { offset: BigInt(row.next_offset), topicId: row.topic_id ?? undefined }, to)
}

/** All values of the former topic at once: to be run where nothing can write further ones. */
export function leaveRows({ root }: Pick<StreamPlan, 'root'>, former: FormerTopic): pg.QueryConfig {
  return Object.assign(
    {
      text: `UPDATE ${root.sqlName} SET source_topic = $3 WHERE source_topic = $1 AND source_partition = $2`,
      values: [former.topic, former.partition, formerTopic(former.topic, former.topicId)],
    },
    // pg reads it; its types do not know it.
    { query_timeout: LEAVE_TIMEOUT_MS },
  )
}

/** To begin the transaction with that runs {@link leaveRows}. */
export const LEAVE_PATIENTLY = `SET LOCAL statement_timeout = ${LEAVE_TIMEOUT_MS}`

/** Keys that are looked at in a transaction: locks are held for a moment only. */
const PAGE_KEYS = 5_000

/**
 * The same page by page, each in a transaction of its own, which a large table needs: what {@link leaveRows} finds afterwards is what came since.
 * Rows are locked in the order of their keys, as everywhere. It may be ended and begun again at any time.
 * @returns how many values there are of the former topic, those of before included
 */
export async function leaveRowsInPages(
  pool: pg.Pool,
  { root, key }: Pick<StreamPlan, 'root' | 'key'>,
  former: FormerTopic,
): Promise<number> {
  const own = identifier(key.column)
  const table = root.sqlName
  const name = formerTopic(former.topic, former.topicId)
  const text = `
    WITH page AS MATERIALIZED (
      SELECT ${own} AS key, source_topic, source_partition FROM ${table} WHERE ${own} > $1 ORDER BY ${own} LIMIT ${PAGE_KEYS}
    ), locked AS MATERIALIZED (
      SELECT o.${own} AS key FROM ${table} AS o JOIN page ON page.key = o.${own}
      WHERE o.source_topic = $2 AND o.source_partition = $3 ORDER BY o.${own} FOR UPDATE OF o
    ), marked AS (
      UPDATE ${table} AS o SET source_topic = $4 FROM locked WHERE o.${own} = locked.key RETURNING 1
    )
    SELECT (SELECT max(key) FROM page) AS last, (SELECT count(*) FROM marked)
      + (SELECT count(*) FROM page WHERE source_topic = $4 AND source_partition = $3) AS count`
  let count = 0
  for (let last: string | null = ''; last !== null; ) {
    const row = await transaction(pool, async client => {
      await pipelined(client, ['BEGIN'])
      const [page] = await finish(client, [{ text, values: [last, former.topic, former.partition, name] }])
      return page?.rows[0] as { readonly last: string | null; readonly count: string } | undefined
    })
    count += Number(row?.count ?? 0)
    last = row?.last ?? null
  }
  return count
}
