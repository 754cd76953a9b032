import { SOURCE_COLUMNS, type StreamPlan } from '../../engine/definition/plan.ts'
import { identifier } from '../../engine/postgres/identifiers.ts'
import { membersWhere, sqlList } from '../letter-states.ts'
import { LETTER_INPUT } from './dead-letters.ts'
import { originTopic } from './former-topic.ts'

/** Statements of `reindex.ts`, in the order in which they run on one session. */

export const DROP_TABLES =
  'DROP TABLE IF EXISTS pg_temp.reindex_copies, pg_temp.reindex_letters, pg_temp.reindex_in_hand'

/** Record by record, as they come. */
export const CREATE_COPIES = 'CREATE TEMP TABLE reindex_copies (LIKE holdfast.dead_letters INCLUDING DEFAULTS)'
export const STAGE = `INSERT INTO reindex_copies (${LETTER_INPUT.names}) SELECT ${LETTER_INPUT.select} FROM ${LETTER_INPUT.input}`

const OURS = `written_by = 'holdfast'`
const REDRIVEN = `${OURS} AND (replay_count > 0 OR replay_id IS NOT NULL)`

/**
 * Letter by letter: the latest copy, ours before another program's. `sure_failures`: a first reading that failed, and one of
 * each redrive; a copy more of the same (`further_copies`) is a crash between topic and transaction, or the record was read
 * once more after `holdfast seek`: only the ledger knows.
 */
export const CREATE_LETTERS = `
  CREATE TEMP TABLE reindex_letters AS
  SELECT DISTINCT ON (copy.id) copy.*, copies.first_failure, copies.sure_failures, copies.further_copies
  FROM reindex_copies AS copy JOIN (
    SELECT id,
      coalesce(min(failed_at) FILTER (WHERE ${OURS}), min(failed_at)) AS first_failure,
      CASE WHEN bool_or(${OURS}) THEN 1 + greatest(max(replay_count) FILTER (WHERE ${OURS}),
        count(DISTINCT (replay_count, replay_id)) FILTER (WHERE ${REDRIVEN})) ELSE 0 END AS sure_failures,
      greatest(count(*) FILTER (WHERE ${OURS} AND NOT (${REDRIVEN})) - 1, 0) AS further_copies
    FROM reindex_copies GROUP BY id
  ) AS copies ON copies.id = copy.id
  ORDER BY copy.id, copy.written_by = 'holdfast' DESC, copy.replay_count DESC, copy.failed_at DESC,
    copy.dlq_partition, copy.dlq_offset DESC`

/** The copies do not say in which topic their positions count; the audit log knows which partitions have left one, and when. */
const OF_FORMER_TOPICS = `
  WITH left_topics AS MATERIALIZED (
    SELECT stream, substring(filter FROM '^topic:([^ ]+) ') AS topic, substring(filter FROM ' partition:([0-9]+)$')::integer AS partition,
      at, counts->>'former_topic_id' AS topic_id
    FROM holdfast.audit_log WHERE what = 'seek' AND counts->>'former_topic_id' IS NOT NULL
  )
  UPDATE reindex_letters AS letter SET former_topic_id = (
    SELECT topic_id FROM left_topics AS gone
    WHERE (gone.stream, gone.topic, gone.partition) = (letter.stream, letter.source_topic, letter.source_partition)
      AND gone.at > letter.first_failure ORDER BY gone.at LIMIT 1
  ) WHERE EXISTS (SELECT FROM left_topics)`

export const PREPARE = [
  OF_FORMER_TOPICS,
  'ALTER TABLE reindex_letters ADD PRIMARY KEY (id)',
  'CREATE INDEX ON reindex_copies (id)',
  // By letter, for which replay_items has no index.
  `CREATE TEMP TABLE reindex_in_hand AS SELECT dead_letter_id AS id, max(replay_id) AS replay_id
    FROM holdfast.replay_items WHERE state IN (${sqlList(membersWhere('inHand'))}) GROUP BY dead_letter_id`,
  'ALTER TABLE reindex_in_hand ADD PRIMARY KEY (id)',
  'ANALYZE reindex_letters, reindex_copies, reindex_in_hand',
]

/** The latest event of these kinds. */
function latest(what: readonly string[]): string {
  return `LATERAL (
      SELECT what, at, detail FROM holdfast.dead_letter_events AS e
      WHERE e.dead_letter_id = letter.id AND what IN (${what.map(kind => `'${kind}'`).join(', ')})
      ORDER BY e.id DESC LIMIT 1
    )`
}

/** The topic has no copy of a failure in the store: only the history says that it happened, and why. */
function ofLatest(cause: 'reason' | 'error' | 'pointer'): string {
  return `CASE WHEN later.only THEN again.detail->>'${cause}' ELSE letter.${cause} END`
}
const WORDS_LOST = 'failed again in a redrive into the store; its message went with the index'

/** The columns of a root table, and of `dead_letters`, that say where in its topic the record of a row stood. */
const SOURCE_PLACE = SOURCE_COLUMNS.slice(1, 3)

/**
 * Adds the next slice of letters, at most `$2` whose id is greater than `$1`; `$3` redrives park a letter. A letter whose record is the
 * source of a stored value is resolved, because the record has had its effect, by whatever way. Returns how many letters were added, and
 * the last id of the slice, null when no letter is left.
 */
export function addStatement({ root, key }: StreamPlan): string {
  const storedKey = `stored.${identifier(key.column)}`
  return `
  WITH slice AS (
    SELECT * FROM reindex_letters WHERE id > $1 ORDER BY id LIMIT $2
  ), added AS (
    INSERT INTO holdfast.dead_letters (id, stream, reason, error, pointer, message, violations, key, group_id, source_topic,
      former_topic_id, source_partition, source_offset, source_timestamp, first_failed_at, failed_at, failures, attempts, bytes,
      dlq_partition, dlq_offset, written_by, replay_count, replay_id, state, state_changed_at, discard_action)
    SELECT letter.id, letter.stream, ${(['reason', 'error', 'pointer'] as const).map(ofLatest).join(', ')},
      CASE WHEN later.only THEN '${WORDS_LOST}' ELSE message END, CASE WHEN later.only THEN '[]' ELSE violations END,
      letter.key, group_id, letter.source_topic, letter.former_topic_id, letter.source_partition, letter.source_offset, letter.source_timestamp,
      first_failure, CASE WHEN later.only THEN again.at ELSE failed_at END, 0, attempts, bytes,
      dlq_partition, dlq_offset, written_by,
      greatest(replay_count, (resolved.detail->>'replay_count')::integer, (happened.detail->>'replay_count')::integer),
      coalesce(in_hand.replay_id, redriven.detail->>'replay_id', letter.replay_id),
      CASE
        WHEN decided.what = 'discarded' THEN 'discarded'
        WHEN resolved.what IS NOT NULL OR ${storedKey} IS NOT NULL THEN 'resolved'
        WHEN in_hand.replay_id IS NOT NULL THEN 'replaying'
        WHEN happened.what = 'parked' OR happened.detail->>'state' = 'parked' THEN 'parked'
        WHEN happened.what IS NOT NULL THEN 'open'
        WHEN replay_count >= $3 THEN 'parked'
        ELSE 'open'
      END,
      CASE
        WHEN decided.what = 'discarded' THEN decided.at
        WHEN resolved.what IS NOT NULL THEN resolved.at
        WHEN happened.what = 'restored' THEN happened.at
        ELSE failed_at
      END,
      CASE WHEN decided.what = 'discarded' THEN (decided.detail->>'action')::bigint END
    FROM slice AS letter
    LEFT JOIN reindex_in_hand AS in_hand ON in_hand.id = letter.id
    LEFT JOIN ${root.sqlName} AS stored ON letter.written_by = 'holdfast' AND ${storedKey} = letter.key
      AND stored.source_topic = ${originTopic('letter')} AND ${SOURCE_PLACE.map(column => `stored.${column} = letter.${column}`).join(' AND ')}
    LEFT JOIN ${latest(['discarded', 'restored'])} AS decided ON true
    LEFT JOIN ${latest(['resolved'])} AS resolved ON true
    LEFT JOIN ${latest(['failed_again', 'parked', 'restored'])} AS happened ON true
    LEFT JOIN ${latest(['failed_again'])} AS again ON true
    CROSS JOIN LATERAL (
      SELECT coalesce((again.detail->>'replay_count')::integer > letter.replay_count, false) AS only
    ) AS later
    LEFT JOIN ${latest(['replayed', 'resolved', 'failed_again'])} AS redriven ON true
    WHERE NOT EXISTS (SELECT FROM holdfast.dead_letters AS known WHERE known.id = letter.id)
      AND NOT EXISTS (SELECT FROM holdfast.dead_letters_purged AS gone WHERE gone.id = letter.id)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
  )
  SELECT (SELECT count(*) FROM added) AS added, (SELECT max(id) FROM slice) AS last`
}

/**
 * Positions that are not known, or at which the letter does not stand (the topic was recreated). `$1` partitions, `$2` where
 * they ended when they were read, `$3` where they end now: a position in between was noted since.
 */
export const PLACE = `
  WITH ends AS (
    SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS ends (partition, read, now)
  ), wrong AS (
    SELECT d.id FROM holdfast.dead_letters AS d JOIN reindex_letters AS letter ON letter.id = d.id
      LEFT JOIN ends ON ends.partition = d.dlq_partition
    WHERE d.dlq_offset IS NULL OR ends.now IS NULL OR d.dlq_offset >= ends.now OR d.dlq_offset < ends.read AND NOT EXISTS (
      SELECT FROM reindex_copies AS copy
      WHERE copy.id = d.id AND copy.dlq_partition = d.dlq_partition AND copy.dlq_offset = d.dlq_offset)
    ORDER BY d.id FOR UPDATE OF d
  )
  UPDATE holdfast.dead_letters AS d SET dlq_partition = letter.dlq_partition, dlq_offset = letter.dlq_offset
  FROM wrong JOIN reindex_letters AS letter ON letter.id = wrong.id WHERE d.id = wrong.id`

/** Dead letters that the ledger counts and the index does not, by topic. */
const LACKING = `
  SELECT source_topic, lacking FROM (
    SELECT topics.source_topic,
      (SELECT coalesce(sum(dead_lettered), 0) FROM holdfast.stream_ledger AS l
        WHERE l.topic = topics.source_topic AND l.stream = topics.stream)
      - (SELECT coalesce(sum(failures), 0) FROM holdfast.dead_letters AS d
          WHERE d.source_topic = topics.source_topic AND d.stream = topics.stream)
      - (SELECT coalesce(sum(failures), 0) FROM holdfast.dead_letters_purged_counts AS gone
          WHERE gone.source_topic = topics.source_topic AND gone.stream = topics.stream) AS lacking
    FROM (SELECT DISTINCT stream, source_topic FROM reindex_letters WHERE ${OURS}) AS topics
  ) AS counted WHERE lacking > 0`

/**
 * Gives the letters the failures that the ledger counts, as far as their copies account for them: first what is sure, then
 * further copies. A letter that is about to be settled for the first time is not in the ledger yet, and gets none: its own
 * batch will count it.
 */
export const COUNT_FAILURES = {
  lacking: LACKING,
  lock: 'LOCK TABLE holdfast.dead_letters IN SHARE ROW EXCLUSIVE MODE',
  count: `
    WITH lacking AS (${LACKING}), owed AS (
      SELECT d.id, d.source_topic, row_number() OVER (PARTITION BY d.source_topic
        ORDER BY CASE WHEN nth = 1 THEN 0 WHEN nth <= letter.sure_failures THEN 1 ELSE 2 END, d.failed_at, d.id, nth) AS turn
      FROM reindex_letters AS letter JOIN holdfast.dead_letters AS d ON d.id = letter.id
        CROSS JOIN LATERAL generate_series(d.failures + 1, letter.sure_failures + letter.further_copies) AS nth
    ), given AS (
      SELECT owed.id, count(*) AS failures FROM owed JOIN lacking USING (source_topic)
      WHERE owed.turn <= lacking.lacking GROUP BY owed.id
    )
    UPDATE holdfast.dead_letters AS d SET failures = d.failures + given.failures FROM given WHERE d.id = given.id`,
}

export const PURGED = `
  SELECT count(*) AS count FROM reindex_letters AS letter JOIN holdfast.dead_letters_purged AS gone ON gone.id = letter.id
  WHERE NOT EXISTS (SELECT FROM holdfast.dead_letters AS d WHERE d.id = letter.id)`

export const WRITERS = 'SELECT written_by, count(*) AS count FROM reindex_letters GROUP BY written_by'
