import type { RedriveClosings } from '../../engine/settlement.ts'
import { timestampToInt64 } from '../../engine/timestamp.ts'
import type { Column, Statement } from '../../engine/value-sql.ts'
import { LETTER_MOVES, membersWhere, sqlList } from '../letter-states.ts'
import type { ReadAgainEnd, RedriveEnd } from '../redrive-ends.ts'
import { clean } from './dead-letters.ts'

/**
 * What a batch with redriven records adds to its transaction: their letters are resolved, or have failed again, and the
 * members of the redrives are settled.
 */

/**
 * Notes of letters that failed again what they failed for, and what for before, and where that copy stands: what an edit
 * replaced is still there. To be run before the index has the new reasons. `undefined` when none did.
 */
export function failedAgainStatement(ends: readonly RedriveEnd[]): Statement | undefined {
  const failed = ends.filter(end => end.failure !== undefined)
  if (failed.length === 0) return undefined
  return {
    name: 'redrives_failed_again',
    text: FAILED_AGAIN,
    columns: [
      texts(failed, end => end.id),
      texts(failed, end => end.redriveId),
      counts(failed),
      texts(failed, end => end.failure?.reason ?? ''),
      texts(failed, end => clean(end.failure?.error ?? '')),
      texts(failed, end => clean(end.failure?.pointer ?? '')),
      flags(failed),
    ],
  }
}

/**
 * Closes the loops: to be run when the index has the letters that failed again. Answers how many of each {@link RedriveClosings}.
 */
export function closeLoopsStatement(ends: readonly RedriveEnd[]): Statement {
  return {
    name: 'redrives_close',
    text: CLOSE,
    columns: [
      texts(ends, end => end.id),
      texts(ends, end => end.redriveId),
      counts(ends),
      texts(ends, end => (end.failure === undefined ? end.outcome : '')),
      texts(ends, end => end.failure?.reason ?? ''),
      flags(ends),
    ],
  }
}

/**
 * Resolves letters of records that were read again and had their effect without a redrive. One that a redrive has in hand is
 * left to that one's record.
 */
export function readAgainStatement(ends: readonly ReadAgainEnd[]): Statement {
  return {
    name: 'letters_read_again',
    text: READ_AGAIN,
    columns: [
      { type: 'text', values: ends.map(end => end.id) },
      { type: 'int8', values: ends.map(end => timestampToInt64(end.timestampMs)) },
      { type: 'text', values: ends.map(end => end.outcome) },
    ],
  }
}

/** The answer to {@link closeLoopsStatement}. */
export function toClosings(rows: readonly Readonly<Record<string, unknown>>[]): RedriveClosings {
  const of = (result: string) => Number(rows.find(row => row.result === result)?.count ?? 0)
  return { resolved: of('resolved'), failed_again: of('failed_again'), parked: of('parked') }
}

/** The letter that has the id of an `input` is the one that was redriven, not one of the topic that has the name of a deleted one now. */
function isItsOwn(letter: string): string {
  return `NOT (input.former AND ${letter}.former_topic_id IS NULL)`
}

const FAILED_AGAIN = `
  INSERT INTO holdfast.dead_letter_events (dead_letter_id, what, detail)
  SELECT known.id, 'failed_again', jsonb_build_object('replay_id', input.replay_id, 'replay_count', input.replay_count,
    'reason', input.reason, 'error', input.error, 'pointer', input.pointer,
    'was_reason', known.reason, 'was_error', known.error, 'was_pointer', known.pointer,
    'was_dlq_partition', known.dlq_partition, 'was_dlq_offset', known.dlq_offset)
  FROM unnest($1::text[], $2::text[], $3::int4[], $4::text[], $5::text[], $6::text[], $7::bool[])
      AS input (id, replay_id, replay_count, reason, error, pointer, former)
    JOIN holdfast.dead_letters AS known ON known.id = input.id AND ${isItsOwn('known')}`

/**
 * A letter whose record had its effect is resolved in whatever state it was, unless an operator has discarded it. The members
 * of redrives are settled from any state that is not settled yet: also one that was merely claimed when its worker died.
 * Letters are locked in the order of their ids, as everywhere, and so are members: a worker notes what it published meanwhile. Each member is looked up
 * by its letter: of a set that was frozen a moment ago the planner knows nothing, and would compare each of a page with each.
 */
const CLOSE = `
  WITH input AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::int4[], $4::text[], $5::text[], $6::bool[])
      AS input (id, replay_id, replay_count, outcome, reason, former)
  ), locked AS (
    SELECT d.id, d.state, d.former_topic_id FROM holdfast.dead_letters AS d WHERE d.id = ANY ($1::text[]) ORDER BY d.id FOR UPDATE
  ), effective AS (
    SELECT id, max(replay_count) AS replay_count, max(replay_id) AS replay_id FROM input JOIN locked USING (id)
    WHERE outcome <> '' AND ${isItsOwn('locked')} GROUP BY id
  ), resolved AS (
    UPDATE holdfast.dead_letters AS d SET state = 'resolved', state_changed_at = now(),
      replay_count = greatest(d.replay_count, effective.replay_count), replay_id = coalesce(d.replay_id, effective.replay_id)
    FROM effective JOIN locked USING (id)
    WHERE d.id = effective.id AND locked.state IN (${sqlList(LETTER_MOVES.resolve.from)})
  ), closed AS (
    SELECT input.*, CASE WHEN input.outcome <> '' THEN 'resolved' WHEN locked.state = 'parked' THEN 'parked'
      ELSE 'failed_again' END AS result, locked.id IS NOT NULL AS known
    FROM input LEFT JOIN locked ON locked.id = input.id AND ${isItsOwn('locked')}
  ), members AS (
    SELECT item.position, ends.* FROM (SELECT * FROM closed ORDER BY replay_id, id) AS ends CROSS JOIN LATERAL (
      SELECT position FROM holdfast.replay_items WHERE replay_id = ends.replay_id AND dead_letter_id = ends.id
        AND state NOT IN (${sqlList(membersWhere('settled'))}) FOR UPDATE
    ) AS item
  ), settled AS (
    UPDATE holdfast.replay_items AS item SET state = members.result, outcome = coalesce(nullif(members.outcome, ''), members.reason)
    FROM members WHERE item.replay_id = members.replay_id AND item.position = members.position
  ), noted AS (
    INSERT INTO holdfast.dead_letter_events (dead_letter_id, what, detail)
    SELECT id, result, jsonb_build_object('replay_id', replay_id, 'replay_count', replay_count) ||
      CASE WHEN outcome <> '' THEN jsonb_build_object('outcome', outcome) ELSE '{}' END
    FROM closed WHERE known AND result <> 'failed_again'
  )
  SELECT result, count(*) AS count FROM closed GROUP BY result`

const READ_AGAIN = `
  WITH input AS (
    SELECT * FROM unnest($1::text[], $2::int8[], $3::text[]) AS input (id, source_timestamp, outcome)
  ), locked AS (
    SELECT d.id, input.outcome FROM holdfast.dead_letters AS d JOIN input USING (id, source_timestamp)
    WHERE d.state IN (${sqlList(LETTER_MOVES.read_again.from)}) ORDER BY d.id FOR UPDATE OF d
  ), resolved AS (
    UPDATE holdfast.dead_letters AS d SET state = 'resolved', state_changed_at = now() FROM locked WHERE d.id = locked.id
  )
  INSERT INTO holdfast.dead_letter_events (dead_letter_id, what, detail)
  SELECT id, 'resolved', jsonb_build_object('outcome', outcome, 'read_again', true) FROM locked`

function texts(ends: readonly RedriveEnd[], of: (end: RedriveEnd) => string): Column {
  return { type: 'text', values: ends.map(of) }
}

function flags(ends: readonly RedriveEnd[]): Column {
  return { type: 'bool', values: ends.map(end => end.former) }
}

function counts(ends: readonly RedriveEnd[]): Column {
  return { type: 'int4', values: ends.map(end => end.redriveCount) }
}
