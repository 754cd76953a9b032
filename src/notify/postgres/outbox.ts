import type pg from 'pg'
import { query } from '../../engine/postgres/pool.ts'
import type { DueNotice, Notice } from '../notice.ts'

/** Messages to be sent, in the table `notices`: all processes share it. @throws StoreUnavailableError, as every method does */
export interface Outbox {
  /** Notes events; what was noted before is the same event. @returns how many were refused, because too many wait already */
  note(notices: readonly Notice[]): Promise<number>
  /** One that is due, for this process alone until it says what became of it, or its claim is over. */
  claim(): Promise<DueNotice | undefined>
  noteSent(notice: DueNotice): Promise<void>
  /** @param retryMs `undefined`: it is given up */
  noteFailed(notice: DueNotice, retryMs: number | undefined): Promise<void>
}

/** One message of a subject in this time. */
const QUIET = `interval '1 hour'`
/** A process that is killed while it sends leaves the message to another one after this time. Longer than a send may take. */
const CLAIM = `interval '30 seconds'`
/** Messages that wait at most. A receiver that is away for long gets the first ones. */
const MOST_WAITING = 1_000
/** What was sent and has not happened since is forgotten. */
const KEPT = `interval '7 days'`
/** What only a process knows of has its time by that process's clock and the way here: so much later is the same event. */
const TOLERANCE = `interval '1 minute'`

const NOTE = `
  WITH events AS (
    SELECT *, coalesce(at, now() - ago_ms * interval '1 millisecond') AS since,
      CASE WHEN at IS NULL THEN ${TOLERANCE} ELSE interval '0' END AS tolerance
    FROM jsonb_to_recordset($1::jsonb) AS e (subject text, kind text, stream text, title text, facts jsonb, path text,
      at timestamptz, ago_ms float8)
  ), news AS (
    SELECT e.* FROM events AS e LEFT JOIN holdfast.notices AS n USING (subject)
    WHERE n.subject IS NULL OR n.noted_at < e.since - e.tolerance
  ), waiting AS (
    SELECT count(*) AS count FROM holdfast.notices WHERE due_at IS NOT NULL
  ), taken AS (
    SELECT * FROM news ORDER BY since, subject LIMIT (SELECT greatest(0, $2 - count) FROM waiting)
  ), gone AS (
    DELETE FROM holdfast.notices AS n WHERE due_at IS NULL AND noted_at < now() - ${KEPT}
      AND NOT EXISTS (SELECT FROM events AS e WHERE e.subject = n.subject)
  ), noted AS (
    INSERT INTO holdfast.notices AS n (subject, kind, stream, since, noted_at, title, facts, path, due_at)
    SELECT subject, kind, stream, since, clock_timestamp(), title, facts, path, now() FROM taken ORDER BY subject
    ON CONFLICT (subject) DO UPDATE SET id = excluded.id, kind = excluded.kind, stream = excluded.stream, since = excluded.since,
      noted_at = excluded.noted_at, title = excluded.title, facts = excluded.facts, path = excluded.path,
      due_at = CASE WHEN n.due_at IS NULL THEN greatest(excluded.due_at, n.sent_at + ${QUIET}) ELSE n.due_at END,
      attempts = CASE WHEN n.due_at IS NULL THEN 0 ELSE n.attempts END
    WHERE n.noted_at < excluded.since
  )
  SELECT (SELECT count(*) FROM news) - (SELECT count(*) FROM taken) AS refused`

const CLAIM_ONE = `
  UPDATE holdfast.notices AS n SET attempts = attempts + 1, claimed_until = clock_timestamp() + ${CLAIM}
  WHERE subject = (
    SELECT subject FROM holdfast.notices
    WHERE due_at <= clock_timestamp() AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
    ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
  )
  RETURNING id::text, kind, stream, subject, title, facts, path, since, attempts AS attempt`

/** What happens to the subject while its message is being sent is reported an hour later. */
const SENT = `UPDATE holdfast.notices SET sent_at = clock_timestamp(), claimed_until = NULL, attempts = 0,
    due_at = CASE WHEN id = $2 THEN NULL ELSE clock_timestamp() + ${QUIET} END
  WHERE subject = $1`

const FAILED = `UPDATE holdfast.notices SET claimed_until = NULL,
    due_at = CASE WHEN $3::float8 IS NULL AND id = $2 THEN NULL
      ELSE clock_timestamp() + coalesce($3::float8, 0) * interval '1 millisecond' END
  WHERE subject = $1`

export function createOutbox(pool: pg.Pool): Outbox {
  return {
    async note(notices) {
      if (notices.length === 0) return 0
      // The first of those that notice the same counts.
      const events = [...new Map(notices.toReversed().map(notice => [notice.subject, notice])).values()]
      const rows = events.map(({ since, ...notice }) => {
        return typeof since === 'number' ? { ...notice, ago_ms: since } : { ...notice, at: since.toISOString() }
      })
      const values = [JSON.stringify(rows), MOST_WAITING]
      const [row] = await query<{ refused: string }>(pool, { name: 'notices_note', text: NOTE, values })
      return Number(row?.refused ?? 0)
    },

    async claim() {
      type Row = Omit<DueNotice, 'since'> & { readonly since: Date }
      const [row] = await query<Row>(pool, { name: 'notices_claim', text: CLAIM_ONE })
      return row === undefined ? undefined : { ...row, since: row.since.toISOString() }
    },

    async noteSent({ subject, id }) {
      await query(pool, { name: 'notices_sent', text: SENT, values: [subject, id] })
    },

    async noteFailed({ subject, id }, retryMs) {
      await query(pool, { name: 'notices_failed', text: FAILED, values: [subject, id, retryMs ?? null] })
    },
  }
}
