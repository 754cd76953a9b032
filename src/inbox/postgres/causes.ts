import type pg from 'pg'
import { audit } from '../../engine/postgres/audit.ts'
import { finish, pipelined, query, transaction } from '../../engine/postgres/pool.ts'
import { type Cause, type CauseChange, type CauseKey, type Causes, type ListedCause, requireChange } from '../causes.ts'
import { printFilter } from '../filter.ts'
import { SETTLED, sqlList, WAITING } from '../letter-states.ts'

/** Rows of causes that nothing is left of go after so long: should one come again, it is new. */
const KEPT = `interval '1 year'`

/** Columns of `causes`, but for those that name it, of the table with this alias. */
export const causeColumns = (
  c: string,
) => `${c}.state, ${c}.since, ${c}.version, ${c}.owner, ${c}.note, ${c}.snoozed_until,
  ${c}.snoozed_above::float8 AS snoozed_above, ${c}.changed_by, ${c}.changed_at`

export interface CauseColumns extends Omit<Cause, 'since' | 'snoozed_until' | 'changed_at'> {
  readonly since: Date
  readonly snoozed_until: Date | null
  readonly changed_at: Date | null
}

export function toCause(row: CauseColumns): Cause {
  const { id, state, since, version, owner, note, snoozed_until, snoozed_above, changed_by, changed_at } = row
  return {
    ...{ id, state, since: since.toISOString(), version, owner, note },
    ...{ snoozed_until: snoozed_until?.toISOString() ?? null, snoozed_above },
    ...{ changed_by, changed_at: changed_at?.toISOString() ?? null },
  }
}

/** The id of a cause; `g` is the alias of a table with its reason, error and pointer, `stream` a parameter. */
export const causeId = (g: string, stream: string) =>
  `'c' || left(encode(sha256(convert_to(jsonb_build_array(${stream}::text, ${g}.reason, ${g}.error, ${g}.pointer)::text, 'UTF8')), 'hex'), 12)`

/** Operators and the refresh change the rows of a stream one after another. */
const LOCK_KEY = `hashtextextended('holdfast causes ' || $1, 0)`

const versionAt = (instant: string) =>
  `(SELECT s.version FROM holdfast.consumer_starts AS s WHERE s.started_at <= ${instant} ORDER BY s.started_at DESC LIMIT 1)`

/** All letters of the stream by cause, in one reading of the index. */
const LETTERS = `
  SELECT d.reason, d.error, d.pointer, count(*) AS count,
    count(*) FILTER (WHERE d.state IN (${sqlList(WAITING)})) AS waiting,
    count(*) FILTER (WHERE d.state NOT IN (${sqlList(SETTLED)})) AS unsettled,
    min(d.first_failed_at) AS first_seen,
    min(d.first_failed_at) FILTER (WHERE d.state NOT IN (${sqlList(SETTLED)})) AS first_unsettled,
    max(d.failed_at) AS last_failed_at,
    max(d.failed_at) FILTER (WHERE d.state IN (${sqlList(WAITING)})) AS last_waiting,
    max(d.state_changed_at) FILTER (WHERE d.state IN (${sqlList(SETTLED)})) AS last_settled_at
  FROM holdfast.dead_letters AS d WHERE d.stream = $1 GROUP BY d.reason, d.error, d.pointer`

/**
 * What follows from the letters. Times of failures are compared with one another only, so that it does not matter how the clocks of
 * the database and of a consumer differ. A cause that was resolved and came back between two readings is found by its letters: all that
 * are left failed after everything before them was settled, and after the cause came into its state.
 */
const JUDGED = `
  SELECT c.id AS known, c.state AS was, c.last_failed_at AS mark, coalesce(l.unsettled, 0) AS unsettled,
    l.first_seen, l.first_unsettled, coalesce(l.last_failed_at, c.last_failed_at) AS last_failed_at,
    reason, error, pointer,
    CASE
      WHEN c.state = 'resolved' AND l.last_waiting > c.last_failed_at THEN 'regressed'
      WHEN c.state = 'resolved' AND c.resolved_by IS NULL AND l.unsettled > 0 THEN 'known'
      WHEN c.state = 'resolved' THEN c.state
      WHEN coalesce(l.unsettled, 0) = 0 THEN 'resolved'
      WHEN l.last_settled_at < l.first_unsettled AND (c.id IS NULL OR l.first_unsettled > c.last_failed_at) THEN 'regressed'
      WHEN c.id IS NULL THEN 'new'
      WHEN c.state = 'snoozed' AND (c.snoozed_until <= now() OR l.waiting >= c.snoozed_above) THEN 'due'
      ELSE c.state
    END AS state
  FROM letters AS l FULL JOIN (SELECT * FROM holdfast.causes WHERE stream = $1) AS c USING (reason, error, pointer)`

const REFRESH = `
  WITH letters AS (${LETTERS}), judged AS (${JUDGED}), changed AS (
    SELECT j.*, coalesce(CASE j.state
      WHEN 'new' THEN j.first_seen
      WHEN 'regressed' THEN CASE WHEN j.was = 'resolved' THEN (
          SELECT min(d.failed_at) FROM holdfast.dead_letters AS d
          WHERE d.stream = $1 AND d.failed_at > j.mark AND d.state IN (${sqlList(WAITING)})
            AND d.reason = j.reason AND d.error = j.error AND d.pointer = j.pointer)
        ELSE j.first_unsettled END
      END, now()) AS since
    FROM judged AS j WHERE j.state IS DISTINCT FROM j.was
  ), gone AS (
    DELETE FROM holdfast.causes AS c WHERE c.stream = $1 AND c.state = 'resolved' AND c.since < now() - ${KEPT}
      AND NOT EXISTS (SELECT FROM letters AS l WHERE (l.reason, l.error, l.pointer) = (c.reason, c.error, c.pointer))
  )
  INSERT INTO holdfast.causes AS c (id, stream, reason, error, pointer, state, since, version, last_failed_at)
  SELECT coalesce(known, ${causeId('changed', '$1')}), $1, reason, error, pointer, state, since, ${versionAt('since')}, last_failed_at
  FROM changed
  ON CONFLICT (id) DO UPDATE SET state = excluded.state, since = excluded.since, noted_at = now(), last_failed_at = excluded.last_failed_at,
    version = CASE WHEN excluded.state = 'regressed' THEN excluded.version ELSE c.version END,
    snoozed_until = NULL, snoozed_above = NULL, resolved_by = NULL`

const LIST = `
  WITH letters AS (${LETTERS})
  SELECT c.id, c.reason, c.error, c.pointer, ${causeColumns('c')},
    coalesce(l.waiting, 0)::float8 AS waiting, coalesce(l.count, 0)::float8 AS count
  FROM holdfast.causes AS c LEFT JOIN letters AS l USING (reason, error, pointer)
  WHERE c.stream = $1 AND ($2::text IS NULL OR c.id = $2)
  ORDER BY waiting DESC, c.since DESC, c.id`

const CHANGE = `
  UPDATE holdfast.causes AS c SET owner = coalesce(nullif($3::text, ''), CASE WHEN $3 IS NULL THEN c.owner END),
    note = coalesce(nullif($4::text, ''), CASE WHEN $4 IS NULL THEN c.note END),
    state = coalesce($5::text, c.state), since = CASE WHEN $5 IS NULL THEN c.since ELSE now() END,
    last_failed_at = CASE WHEN $5 IS NULL THEN c.last_failed_at ELSE coalesce(l.last_failed_at, c.last_failed_at) END,
    snoozed_until = CASE WHEN $5 IS NULL THEN c.snoozed_until ELSE now() + $6::float8 * interval '1 second' END,
    snoozed_above = CASE WHEN $5 IS NULL THEN c.snoozed_above ELSE coalesce(l.waiting, 0) + $7::bigint END,
    resolved_by = CASE WHEN $5 IS NULL THEN c.resolved_by WHEN $5 = 'resolved' THEN $8 END,
    changed_by = $8, changed_at = now()
  FROM holdfast.causes AS before LEFT JOIN (${LETTERS}) AS l USING (reason, error, pointer)
  WHERE before.id = $2 AND before.stream = $1 AND c.id = before.id
  RETURNING c.id, c.reason, c.error, c.pointer, ${causeColumns('c')}, before.state AS was,
    coalesce(l.waiting, 0)::float8 AS waiting, coalesce(l.count, 0)::float8 AS count`

type ListedColumns = CauseColumns & Pick<ListedCause, 'waiting' | 'count'> & CauseKey

/** The causes of a stream's dead letters. What operators do is audited in the transaction that does it. */
export function createCauses(pool: pg.Pool, stream: string): Causes {
  return {
    async refresh() {
      await transaction(pool, async client => {
        const lock = { text: `SELECT pg_try_advisory_xact_lock(${LOCK_KEY}) AS mine`, values: [stream] }
        const [, locked] = await pipelined(client, ['BEGIN', lock])
        // Another process does the same just now.
        if (locked?.rows[0]?.mine !== true) return
        await finish(client, [{ text: REFRESH, values: [stream] }])
      })
    },

    async list() {
      const rows = await query<ListedColumns>(pool, { text: LIST, values: [stream, null] })
      return rows.map(toListed)
    },

    async get(id) {
      const [row] = await query<ListedColumns>(pool, { text: LIST, values: [stream, id] })
      return row === undefined ? undefined : toListed(row)
    },

    async change(id, change, by) {
      requireChange(change)
      return await transaction(pool, async client => {
        const lock = { text: `SELECT pg_advisory_xact_lock(${LOCK_KEY})`, values: [stream] }
        const { owner = null, note = null, state = null, snoozeSeconds = null, snoozeMore = null } = change
        const values = [stream, id, owner, note, state, snoozeSeconds, snoozeMore, by.who]
        const [, , , changed] = await pipelined(client, [
          ...['BEGIN', lock],
          // A cause that came up a moment ago has no row yet.
          { text: REFRESH, values: [stream] },
          { text: CHANGE, values },
        ])
        const row = changed?.rows[0] as (ListedColumns & { readonly was: string }) | undefined
        if (row === undefined) return undefined
        await finish(client, [audit(stream, 'cause', filterOfCause(row), by, countsOf(change, row))])
        return toListed(row)
      })
    },
  }
}

function toListed(row: ListedColumns): ListedCause {
  const { reason, error, pointer, waiting, count } = row
  return { ...toCause(row), reason, error, pointer, waiting, count }
}

/** The audit log says that there is a note, and not what it says: an operator may write anything into it. */
function countsOf(change: CauseChange, row: ListedColumns & { readonly was: string }): object {
  const { state, owner, note } = change
  return {
    cause: row.id,
    ...(state === undefined ? {} : { state: row.state, was: row.was }),
    ...(row.snoozed_until === null || state === undefined ? {} : { until: row.snoozed_until.toISOString() }),
    ...(row.snoozed_above === null || state === undefined ? {} : { above: row.snoozed_above }),
    ...(owner === undefined ? {} : { owner }),
    ...(note === undefined ? {} : { note: note === '' ? 'removed' : 'changed' }),
  }
}

/** As the filter of its letters. */
export function filterOfCause({ reason, error, pointer }: CauseKey): string {
  const only = (field: 'error' | 'pointer', value: string) => ({ field, not: false, values: [value] }) as const
  const others = printFilter({ terms: [only('error', error), only('pointer', pointer)] })
  return `reason:${reason} ${others}`
}
