import type pg from 'pg'
import { type FormerTopic, leaveRows } from '../../engine/postgres/former-topic.ts'
import { query } from '../../engine/postgres/pool.ts'
import type { Stream } from '../../engine/stream.ts'
import { redrivesWhere, sqlList, WAITING } from '../letter-states.ts'

/** The topic of a letter's origin, by its alias: `formerTopic` where it was deleted. */
export function originTopic(alias: string): string {
  return `${alias}.source_topic || coalesce('@' || ${alias}.former_topic_id, '')`
}

/**
 * What a partition's move into a topic that was created again adds to its transaction: values and dead letters that came from the former
 * topic say so from here on. A worker of a redrive may hold letters at their old positions: it is fenced off first, and the next one reads them
 * anew. A page that it has in its transaction is waited for, and what that wrote is among the rows.
 */
export function leaveFormerTopic({ name, plan }: Pick<Stream, 'name' | 'plan'>) {
  return (former: FormerTopic): readonly pg.QueryConfig[] => {
    const { topic, partition, topicId } = former
    return [
      {
        text: `UPDATE holdfast.replays SET epoch = epoch + 1, heartbeat_at = NULL
          WHERE stream = $1 AND state IN (${sqlList(redrivesWhere(state => state.held))})`,
        values: [name],
      },
      leaveRows(plan, former),
      {
        text: `UPDATE holdfast.dead_letters SET former_topic_id = $4
          WHERE stream = $1 AND source_topic = $2 AND source_partition = $3 AND former_topic_id IS NULL`,
        values: [name, topic, partition, topicId],
      },
    ]
  }
}

/** How many dead letters of the former topic wait for an operator. */
export async function waitingOfFormer(pool: pg.Pool, stream: string, former: FormerTopic): Promise<number> {
  const { topic, partition, topicId } = former
  const [row] = await query<{ count: number }>(pool, {
    text: `SELECT count(*)::float8 AS count FROM holdfast.dead_letters
      WHERE stream = $1 AND source_topic = $2 AND source_partition = $3 AND former_topic_id = $4 AND state IN (${sqlList(WAITING)})`,
    values: [stream, topic, partition, topicId],
  })
  return row?.count ?? 0
}
