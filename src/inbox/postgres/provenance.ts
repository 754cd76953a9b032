import type pg from 'pg'
import { query } from '../../engine/postgres/pool.ts'
import { claimKey, type ProvenanceClaim, type RedriveFacts } from '../../engine/provenance.ts'
import { originId } from '../../engine/record.ts'
import { membersWhere, sqlList } from '../letter-states.ts'
import { originTopic } from './former-topic.ts'

/**
 * What is known of the redrives that records claim to come from.
 * @param topic of these records: a redrive publishes to one topic
 * @throws StoreUnavailableError StoreContendedError StoreMisconfiguredError
 */
export async function readRedrives(
  pool: pg.Pool,
  { groupId, topic }: { readonly groupId: string; readonly topic: string },
  claims: readonly ProvenanceClaim[],
): Promise<Map<string, RedriveFacts>> {
  const keys = claims.map(claimKey)
  const rows = await query<FactsRow>(pool, {
    name: 'redrives_of_records',
    text: REDRIVES,
    values: [
      groupId,
      topic,
      claims.map(({ redriveId }) => redriveId),
      claims.map(({ origin }) => originId(origin)),
      claims.map(({ origin }) => origin.topic),
      claims.map(({ origin }) => origin.partition),
    ],
  })
  return new Map(
    rows.map(({ at, count, topic, timestamp, next_offset }) => [
      keys[Number(at) - 1] ?? '',
      {
        redriveCount: count,
        topic: topic ?? undefined,
        timestampMs: timestamp === null ? undefined : Number(timestamp),
        nextOffset: next_offset === null ? undefined : BigInt(next_offset),
      },
    ]),
  )
}

interface FactsRow extends pg.QueryResultRow {
  readonly at: string
  readonly count: number
  readonly topic: string | null
  readonly timestamp: string | null
  readonly next_offset: string | null
}

/**
 * A member that is still pending has not been published: the worker claims it first. One that its own record has settled
 * has raised the letter's count already. A member goes with its letter when that is purged; then the redrive and the letter's
 * id are what is left of it, and the record was redriven at least once.
 */
const REDRIVES = `
  SELECT claimed.at, ${originTopic('letter')} AS topic, letter.source_timestamp AS timestamp, progress.next_offset,
    greatest(1, coalesce(letter.replay_count, 0)
      + CASE WHEN item.state IN (${sqlList(membersWhere('settled'))}) THEN 0 ELSE 1 END) AS count
  FROM unnest($3::text[], $4::text[], $5::text[], $6::int4[]) WITH ORDINALITY
      AS claimed (replay, letter, topic, partition, at)
    JOIN holdfast.replays AS redrive ON redrive.id = claimed.replay AND coalesce(redrive.topic, $2) = $2
    LEFT JOIN holdfast.replay_items AS item ON item.replay_id = claimed.replay AND item.dead_letter_id = claimed.letter
    LEFT JOIN holdfast.dead_letters AS letter ON letter.id = claimed.letter
    LEFT JOIN holdfast.stream_progress AS progress ON progress.topic = claimed.topic AND progress.partition = claimed.partition
      AND progress.group_id = $1
  WHERE item.state <> 'pending' OR item.state IS NULL
    AND EXISTS (SELECT FROM holdfast.dead_letters_purged AS gone WHERE gone.id = claimed.letter)
    AND EXISTS (SELECT FROM holdfast.replay_items_purged AS gone WHERE gone.replay_id = claimed.replay)`
