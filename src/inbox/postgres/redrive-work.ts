import type pg from 'pg'
import { AUTOMATIC } from '../../engine/operator.ts'
import { query } from '../../engine/postgres/pool.ts'
import {
  MEMBER_STATES,
  type MemberState,
  membersWhere,
  type RedriveState,
  redrivesWhere,
  sqlList,
} from '../letter-states.ts'
import { type FailureCause, type GuardCounts, NOTHING_COUNTED } from '../redrive-guard.ts'
import type { RedriveTarget } from '../redrive-ports.ts'
import {
  type PageMarks,
  type RedriveInHand,
  type RedriveItem,
  type RedrivePage,
  type RedriveStore,
  RedriveTakenOverError,
} from '../redrive-work.ts'
import { stateBefore } from './dead-letter-rows.ts'
import { originTopic } from './former-topic.ts'
import { INTO_STORE, IS_ALIVE, letGo } from './redrive-rows.ts'

/**
 * The tables of redrives, as their worker writes them. Each statement is a transaction of its own, and each that changes
 * something holds on to the row of the redrive by its epoch: a worker that was taken for dead changes nothing any more.
 * @param where.stream whose redrives it works on
 * @param where.topic that redriven records are published to: redrives to another one are left to workers for that
 */
export function createRedriveStore(
  pool: pg.Pool,
  { stream, topic }: { readonly stream: string; readonly topic: string },
): RedriveStore {
  /** Runs a statement that begins with {@link MINE}; its rows must contain `mine`. `$1` id, `$2` epoch. */
  async function asOwner<R extends { readonly mine: boolean }>(
    { id, epoch }: RedriveInHand,
    text: string,
    values: readonly unknown[] = [],
  ): Promise<R> {
    const [row] = await query<R>(pool, { text: `WITH ${MINE} ${text}`, values: [id, epoch, ...values] })
    if (row?.mine !== true) throw takenOver({ id, epoch })
    return row
  }

  return {
    async waiting() {
      const [row] = await query<{ id: string }>(pool, {
        text: `SELECT id FROM holdfast.replays WHERE stream = $2 AND ${IS_FREE} AND ${goesTo('$1')}`,
        values: [topic, stream],
      })
      return row?.id
    },

    async take(id) {
      const [row] = await query<TakenRow>(pool, {
        text: `UPDATE holdfast.replays SET epoch = epoch + 1, heartbeat_at = clock_timestamp(),
            state = CASE state WHEN 'queued' THEN 'running' ELSE state END,
            started_at = coalesce(started_at, clock_timestamp()), waiting_for = NULL
          WHERE id = $1 AND stream = $3 AND ${IS_FREE} AND ${goesTo('$2')} 
          RETURNING epoch, "to", rate, canary::float8 AS canary, max_failures::float8 AS max_failures, yield_above, guard`,
        values: [id, topic, stream],
      })
      return row === undefined ? undefined : toRedriveInHand(id, row)
    },

    async beat(redrive) {
      const { state } = await asOwner<{ mine: boolean; state: RedriveState }>(
        redrive,
        `, beat AS (UPDATE holdfast.replays SET heartbeat_at = clock_timestamp() WHERE id = $1 AND ${BY_ME})
          SELECT true AS mine, state FROM mine`,
      )
      return state
    },

    async page(redrive, limit) {
      const begun = await readItems('claimed', undefined)
      if (begun.items.length > 0) return begun
      return await readItems('pending', limit)

      async function readItems(state: 'claimed' | 'pending', limit: number | undefined): Promise<RedrivePage> {
        const row = await asOwner<PageRow>(
          redrive,
          `SELECT true AS mine, state, page_marks AS marks, ARRAY(
            SELECT jsonb_build_object('id', item.dead_letter_id, 'topic', ${originTopic('d')}, 'partition', d.source_partition,
              'offset', d.source_offset::text, 'timestamp', d.source_timestamp, 'replay_count', d.replay_count, 'bytes', d.bytes,
              'dlq_partition', d.dlq_partition, 'dlq_offset', d.dlq_offset::text, 'edited', encode(item.edited_value, 'base64'),
              'ahead', ${IS_AHEAD})
            FROM holdfast.replay_items AS item LEFT JOIN holdfast.dead_letters AS d ON d.id = item.dead_letter_id
            WHERE item.replay_id = $1 AND item.state = '${state}' ORDER BY item.position LIMIT $3
          ) AS items FROM mine`,
          [limit ?? null],
        )
        return {
          items: row.items.map(toItem),
          marks: state === 'claimed' ? toMarks(row.marks) : undefined,
          state: row.state,
        }
      }
    },

    async claim(redrive, ids, marks) {
      const { claimed } = await asOwner<{ mine: boolean; claimed: string[] }>(
        redrive,
        `, marked AS (UPDATE holdfast.replays SET page_marks = $4 WHERE id = $1 AND ${BY_ME}), locked AS (
            SELECT d.id, d.state FROM holdfast.dead_letters AS d, mine WHERE d.id = ANY ($3::text[]) AND d.state = ANY (mine.takes)
            ORDER BY d.id FOR UPDATE OF d
          ), letters AS (
            UPDATE holdfast.dead_letters AS d SET state = 'replaying', replay_id = $1, state_changed_at = clock_timestamp()
            FROM locked WHERE d.id = locked.id RETURNING d.id, d.replay_count, locked.state AS was_state
          ), items AS (
            UPDATE holdfast.replay_items AS item SET
              state = CASE WHEN letters.id IS NULL THEN 'skipped' ELSE 'claimed' END,
              outcome = CASE WHEN letters.id IS NULL THEN 'not_open' END
            FROM unnest($3::text[]) AS wanted (id) LEFT JOIN letters ON letters.id = wanted.id
            WHERE item.replay_id = $1 AND item.dead_letter_id = wanted.id AND item.state = 'pending' AND ${BY_ME}
            RETURNING item.dead_letter_id AS id, item.state, item.edited_value IS NOT NULL AS edited, letters.replay_count,
              letters.was_state
          ), events AS (
            INSERT INTO holdfast.dead_letter_events (dead_letter_id, what, who, detail)
            SELECT items.id, happened.what, mine.requested_by,
              jsonb_build_object('replay_id', $1, 'replay_count', items.replay_count + 1, 'was_state', items.was_state)
            FROM items, mine, (VALUES (1, 'edited'), (2, 'replayed')) AS happened (nth, what)
            WHERE items.state = 'claimed' AND (items.edited OR happened.what = 'replayed') ORDER BY items.id, happened.nth
          )
          SELECT true AS mine, ARRAY(SELECT id FROM items WHERE state = 'claimed') AS claimed FROM mine`,
        [ids, JSON.stringify(Object.fromEntries([...marks].map(([partition, end]) => [partition, String(end)])))],
      )
      return new Set(claimed)
    },

    async inherit(redrive) {
      const { deaths } = await asOwner<{ mine: boolean; deaths: number }>(
        redrive,
        `, noted AS (UPDATE holdfast.replays SET page_deaths = page_deaths + 1 WHERE id = $1 AND ${BY_ME} RETURNING page_deaths)
          SELECT true AS mine, page_deaths AS deaths FROM noted`,
      )
      return deaths
    },

    async spare(redrive) {
      await asOwner(
        redrive,
        `, spared AS (UPDATE holdfast.replays SET page_deaths = 0 WHERE id = $1 AND ${BY_ME}) SELECT true AS mine FROM mine`,
      )
    },

    async notePublished(redrive, ids) {
      // What its settlement has already said of a record stands. Settling goes on meanwhile: it locks in this order, too.
      await asOwner(
        redrive,
        `, members AS (
            SELECT position FROM holdfast.replay_items
            WHERE replay_id = $1 AND dead_letter_id = ANY ($3::text[]) AND state = 'claimed' AND ${BY_ME}
            ORDER BY dead_letter_id FOR UPDATE
          ), items AS (
            UPDATE holdfast.replay_items AS item SET state = 'published' FROM members
            WHERE item.replay_id = $1 AND item.position = members.position
          )
          SELECT true AS mine FROM mine`,
        [ids],
      )
    },

    async noteSkipped(redrive, ids, why) {
      await asOwner(
        redrive,
        `, items AS (
            UPDATE holdfast.replay_items SET state = 'skipped', outcome = CASE
              -- Settled and purged since.
              WHEN EXISTS (SELECT FROM holdfast.dead_letters AS d WHERE d.id = dead_letter_id) THEN $4 ELSE 'not_open' END
            WHERE replay_id = $1 AND dead_letter_id = ANY ($3::text[]) AND state IN (${sqlList(membersWhere('left'))}) AND ${BY_ME}
            RETURNING dead_letter_id
          ), reopened AS (
            UPDATE holdfast.dead_letters AS d SET state = ${stateBefore('replayed')}, state_changed_at = clock_timestamp()
            WHERE state = 'replaying' AND replay_id = $1 AND id IN (SELECT dead_letter_id FROM items)
          )
          SELECT true AS mine FROM mine`,
        [ids, why],
      )
    },

    async outcomes(redrive, after) {
      const { members } = await asOwner<{ mine: boolean; members: readonly MemberRow[] }>(
        redrive,
        `SELECT true AS mine, ARRAY(
            SELECT jsonb_build_object('position', item.position, 'state', item.state, 'reason', item.outcome, 'error', d.error,
              'pointer', d.pointer)
            FROM holdfast.replay_items AS item LEFT JOIN holdfast.dead_letters AS d ON d.id = item.dead_letter_id
            WHERE item.replay_id = $1 AND item.position > $3 ORDER BY item.position LIMIT ${MOST_OUTCOMES}
          ) AS members FROM mine`,
        [after],
      )
      const open = members.findIndex(({ state }) => !isOver(state))
      const over = open === -1 ? members : members.slice(0, open)
      return {
        outcomes: over
          .filter(({ state }) => MEMBER_STATES[state].settled)
          .map(member => ({ failure: failureOf(member) })),
        at: over.at(-1)?.position ?? after,
        awaits: members[open]?.state === 'published',
        more: open === -1 && members.length === MOST_OUTCOMES,
      }
    },

    async noteGuard(redrive, counts, waitingFor) {
      await asOwner(
        redrive,
        `, noted AS (UPDATE holdfast.replays SET guard = $3, waiting_for = $4 WHERE id = $1 AND ${BY_ME}) SELECT true AS mine FROM mine`,
        [counts, waitingFor ?? null],
      )
    },

    async part(redrive, parting) {
      const byItself = parting.to === 'paused' && 'because' in parting ? parting : undefined
      const ended = parting.to === 'cancelled' || parting.to === 'failed'
      await asOwner(
        redrive,
        `, parted AS (
            UPDATE holdfast.replays SET heartbeat_at = NULL, page_deaths = 0, error = $4, waiting_for = NULL,
              paused_because = coalesce($5::jsonb, paused_because), guard = coalesce($6::jsonb, guard),
              -- What an operator has asked for meanwhile is not forgotten: the next worker, or none, does it.
              state = CASE
                WHEN $3 IN ('queued', 'paused') AND state = 'cancelling' THEN 'cancelling'
                WHEN $3 = 'queued' AND state = 'pausing' THEN 'paused'
                WHEN $3 = 'paused' AND state = 'running' AND $5::jsonb IS NULL THEN 'queued'
                ELSE $3 END,
              finished_at = CASE WHEN $3 IN (${sqlList(redrivesWhere(state => state.final))}) THEN clock_timestamp() END
            WHERE id = $1 AND ${BY_ME} RETURNING stream, state, filter
          ), noted AS (
            INSERT INTO holdfast.audit_log (stream, who, what, filter, because, counts)
            SELECT stream, '${AUTOMATIC}', 'replay_pause', filter, $5::jsonb->>'message', jsonb_build_object('replay', $1::text)
            FROM parted WHERE state = 'paused' AND $5::jsonb IS NOT NULL
          )${ended ? `, ${letGo(BY_ME)}` : ''}
          SELECT true AS mine FROM mine`,
        [
          parting.to,
          parting.to === 'failed' ? parting.error : null,
          ...[byItself?.because ?? null, byItself?.counts ?? null],
        ],
      )
    },
  }
}

/** Members whose outcomes are read at a time: more than a page has. */
const MOST_OUTCOMES = 1_000

/** Nothing more comes of it. */
function isOver(state: MemberState): boolean {
  return !MEMBER_STATES[state].left && state !== 'published'
}

interface MemberRow {
  readonly position: number
  readonly state: MemberState
  /** How it ended, when it did not fail. */
  readonly reason: string | null
  /** Error and place of its letter as the index has it now; `null`: it was purged. */
  readonly error: string | null
  readonly pointer: string | null
}

function failureOf({ state, reason, error, pointer }: MemberRow): FailureCause | undefined {
  if (state === 'resolved') return undefined
  return { reason: reason ?? '', error: error ?? '', pointer: pointer ?? '' }
}

interface TakenRow extends pg.QueryResultRow {
  readonly epoch: number
  readonly to: RedriveTarget
  readonly rate: number | null
  readonly canary: number
  readonly max_failures: number | null
  readonly yield_above: number
  readonly guard: GuardCounts | null
}

function toRedriveInHand(id: string, row: TakenRow): RedriveInHand {
  const { epoch, to, rate, canary, max_failures: maxFailures, yield_above: yieldAboveSeconds, guard } = row
  const rules = { canary, maxFailures, yieldAboveSeconds }
  return { id, epoch, to, rate: rate ?? undefined, rules, counts: guard ?? NOTHING_COUNTED }
}

const HELD = sqlList(redrivesWhere(state => state.held))

/** Wants a worker and has none. */
const IS_FREE = `(state = 'queued' OR (state IN (${HELD}) AND NOT ${IS_ALIVE}))`

/** The topic of its records, or none: into the store. Older rows do not note it. */
function goesTo(parameter: string): string {
  return `coalesce(nullif(topic, '${INTO_STORE}'), ${parameter}) = ${parameter}`
}

/**
 * The origin of `dead_letters AS d` is a place of a topic that we consume, and no group has settled it. A partition that an operator has
 * moved back was settled as far as the ledger says.
 */
const IS_AHEAD = `(d.former_topic_id IS NULL AND EXISTS (SELECT FROM holdfast.stream_progress AS p WHERE p.topic = d.source_topic)
  AND NOT EXISTS (SELECT FROM holdfast.stream_progress AS p WHERE p.topic = d.source_topic AND p.partition = d.source_partition
    AND p.next_offset > d.source_offset)
  AND NOT EXISTS (SELECT FROM holdfast.stream_ledger AS l WHERE l.topic = d.source_topic AND l.partition = d.source_partition
    AND l.from_offset <= d.source_offset AND l.to_offset > d.source_offset))`

const IS_MINE = `id = $1 AND epoch = $2 AND state IN (${HELD})`

/** Locks the row while it is ours. */
const MINE = `mine AS (
  SELECT state, takes, requested_by, page_marks FROM holdfast.replays WHERE ${IS_MINE} FOR UPDATE
)`
/**
 * The fence of a transaction that settles a page: updates the row while it is ours, and keeps others from taking it until the end. It
 * renews the lease, because a heartbeat waits for that lock; and a worker that settles a page was not ended by it.
 */
export function holdRedrive({ id, epoch }: RedriveInHand): pg.QueryConfig {
  return {
    name: 'redrive_hold',
    text: `UPDATE holdfast.replays SET heartbeat_at = clock_timestamp(), page_deaths = 0 WHERE ${IS_MINE}`,
    values: [id, epoch],
  }
}

export function takenOver({ id, epoch }: Pick<RedriveInHand, 'id' | 'epoch'>): RedriveTakenOverError {
  return new RedriveTakenOverError(
    `the redrive ${id} is not in the hands of this worker any more (its turn was ${epoch})`,
  )
}

/** For the parts of a statement that change something. */
const BY_ME = 'EXISTS (SELECT FROM mine)'

interface PageRow extends pg.QueryResultRow {
  readonly mine: boolean
  readonly state: RedriveState
  readonly marks: Readonly<Record<string, string>> | null
  readonly items: readonly ItemRow[]
}

interface ItemRow {
  readonly id: string
  readonly topic: string | null
  readonly partition: number | null
  readonly offset: string | null
  readonly timestamp: number | null
  readonly replay_count: number | null
  readonly bytes: number | null
  readonly dlq_partition: number | null
  readonly dlq_offset: string | null
  readonly edited: string | null
  readonly ahead: boolean
}

function toItem(row: ItemRow): RedriveItem {
  const { dlq_partition: partition, dlq_offset: offset } = row
  return {
    id: row.id,
    origin: {
      topic: row.topic ?? '',
      partition: row.partition ?? 0,
      offset: BigInt(row.offset ?? 0),
      timestampMs: row.timestamp ?? 0,
    },
    redriveCount: row.replay_count ?? 0,
    bytes: row.bytes ?? 0,
    // A letter that was purged meanwhile has no place either: it was settled, and is not redriven.
    place: partition === null || offset === null ? undefined : { partition, offset: BigInt(offset) },
    edited: row.edited === null ? undefined : Buffer.from(row.edited, 'base64'),
    ahead: row.ahead,
  }
}

function toMarks(marks: PageRow['marks']): PageMarks | undefined {
  if (marks === null) return undefined
  return new Map(Object.entries(marks).map(([partition, end]) => [Number(partition), BigInt(end)]))
}
