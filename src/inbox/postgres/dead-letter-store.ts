import type pg from 'pg'
import { UsageError } from '../../engine/errors.ts'
import type { Operator } from '../../engine/operator.ts'
import { audit } from '../../engine/postgres/audit.ts'
import { pipelined, query, transaction } from '../../engine/postgres/pool.ts'
import { printFilter } from '../filter.ts'
import { LETTER_MOVES, SETTLED, sqlList } from '../letter-states.ts'
import type { DeadLetterGroup, DeadLetterStore } from '../ports.ts'
import { readAudit } from './audit-log.ts'
import { type CauseColumns, causeColumns, causeId, toCause } from './causes.ts'
import { readArrivals } from './dead-letter-arrivals.ts'
import { filterSql } from './dead-letter-filter-sql.ts'
import { readFieldValues, readNamed } from './dead-letter-names.ts'
import { readPage } from './dead-letter-page.ts'
import {
  type EventColumns,
  LETTER_COLUMNS,
  type LetterColumns,
  stateBefore,
  toHistory,
  toLetterRow,
  type ViolationsColumn,
} from './dead-letter-rows.ts'

/** The index of a stream's dead letters, for operators. What they do is audited in the transaction that does it. */
export function createDeadLetterStore(pool: pg.Pool, stream: string): DeadLetterStore {
  return {
    async groups(filter) {
      const { text, values } = filterSql(filter, { first: 2 })
      const rows = await query<GroupColumns>(pool, { text: groupsSql(text), values: [stream, ...values] })
      return rows.map(toGroup)
    },

    named: readNamed(pool, stream),

    fieldValues: readFieldValues(pool, stream),

    arrivals: filter => readArrivals(pool, stream, filter),

    page: readPage(pool, stream),

    async get(id) {
      const [row] = await query<LetterColumns & ViolationsColumn>(pool, {
        text: `SELECT ${LETTER_COLUMNS}, d.violations FROM holdfast.dead_letters AS d WHERE d.id = $1 AND d.stream = $2`,
        values: [id, stream],
      })
      return row === undefined ? undefined : { ...toLetterRow(row), violations: row.violations }
    },

    async history(id) {
      const [letter] = await query<LetterColumns>(pool, {
        text: `SELECT ${LETTER_COLUMNS} FROM holdfast.dead_letters AS d WHERE d.id = $1 AND d.stream = $2`,
        values: [id, stream],
      })
      if (letter === undefined) return []
      const events = await query<EventColumns>(pool, {
        text: 'SELECT at, what, who, detail FROM holdfast.dead_letter_events AS e WHERE dead_letter_id = $1 ORDER BY e.id',
        values: [id],
      })
      return toHistory(letter, events)
    },

    async discard(filter, by) {
      const { text, values } = filterSql(filter, { first: 7 })
      const { action, count } = await acting('discard', printFilter(filter), by, 'discarded', {
        text: `WITH target AS (
            SELECT d.id, d.state FROM holdfast.dead_letters AS d
            WHERE d.stream = $6 AND d.id > $4 AND ${text} AND d.state IN (${sqlList(LETTER_MOVES.discard.from)})
            ORDER BY d.id LIMIT $5 FOR UPDATE
          ), moved AS (
            UPDATE holdfast.dead_letters AS d SET state = 'discarded', state_changed_at = now(), discard_action = $1
            FROM target WHERE d.id = target.id RETURNING d.id, target.state AS was_state
          ), noted AS (
            INSERT INTO holdfast.dead_letter_events (dead_letter_id, what, who, detail)
            SELECT id, 'discarded', $2,
              jsonb_build_object('because', $3::text, 'action', $1::bigint::text, 'was_state', was_state) FROM moved
            RETURNING dead_letter_id
          ) ${COUNT_NOTED}`,
        values,
      })
      return { discarded: count, action }
    },

    async restore(action, by) {
      if (!NUMBER.test(action)) throw new UsageError(`${JSON.stringify(action)} is no number of a discard`)
      const [entry] = await query<{ filter: string }>(pool, {
        text: `SELECT filter FROM holdfast.audit_log WHERE id = $1 AND what = 'discard' AND stream = $2`,
        values: [action, stream],
      })
      if (entry === undefined) throw new UsageError(`the audit log has no discard with the number ${action}`)
      const { count } = await acting('restore', entry.filter, by, 'restored', {
        text: `WITH target AS (
            SELECT d.id FROM holdfast.dead_letters AS d
            WHERE d.stream = $6 AND d.id > $4 AND d.discard_action = $7 AND d.state = 'discarded' ORDER BY d.id LIMIT $5 FOR UPDATE
          ), moved AS (
            UPDATE holdfast.dead_letters AS d SET state = ${stateBefore('discarded')}, state_changed_at = now(), discard_action = NULL
            FROM target WHERE d.id = target.id RETURNING d.id, d.state
          ), noted AS (
            INSERT INTO holdfast.dead_letter_events (dead_letter_id, what, who, detail)
            SELECT id, 'restored', $2,
              jsonb_build_object('because', $3::text, 'action', $1::bigint::text, 'state', state) FROM moved
            RETURNING dead_letter_id
          ) ${COUNT_NOTED}`,
        values: [action],
      })
      return { restored: count }
    },

    async noteRevealed(filter, ids, by) {
      if (ids.length === 0) return
      await acting('reveal', filter, by, 'revealed', {
        text: `WITH noted AS (
            INSERT INTO holdfast.dead_letter_events (dead_letter_id, what, who, detail)
            SELECT id, 'revealed', $2, jsonb_build_object('because', $3::text, 'action', $1::bigint::text)
            FROM (SELECT id COLLATE "C" AS id FROM unnest($7::text[]) AS shown (id)) AS shown
            WHERE id > $4 AND EXISTS (SELECT FROM holdfast.dead_letters AS d WHERE d.id = shown.id AND d.stream = $6) ORDER BY id LIMIT $5
            RETURNING dead_letter_id
          ) ${COUNT_NOTED}`,
        values: [ids],
      })
    },

    async noteSearched(filter, by) {
      await query(pool, audit(stream, 'search', filter, by, {}))
    },

    audit: query => readAudit(pool, stream, query),
  }

  /**
   * An entry of the audit log, and what it is about, in slices of a transaction each: however many letters there are, none takes
   * long. What fails midway has its entry, with what was done by then, and can be undone by that.
   * @param statement does a slice and ends with {@link COUNT_NOTED}. `$1` is the entry's id, `$2` who, `$3` because, `$4` the
   *   id behind which the slice begins, `$5` how many letters it takes at most, `$6` the stream
   */
  async function acting(
    what: string,
    filter: string,
    by: Operator,
    counted: string,
    statement: { readonly text: string; readonly values: readonly unknown[] },
  ): Promise<{ readonly action: string; readonly count: number }> {
    let action: string | undefined
    let count = 0
    for (let after: string | undefined = ''; after !== undefined; ) {
      await transaction(pool, async client => {
        const begin = ['BEGIN', ...(action === undefined ? [audit(stream, what, filter, by, { [counted]: 0 })] : [])]
        const [, entry] = await pipelined(client, begin)
        const number = action ?? String(entry?.rows[0]?.id)
        const values = [number, by.who, by.because, after, SLICE, stream, ...statement.values]
        const [done] = await pipelined(client, [{ text: statement.text, values }])
        const { noted = 0, last }: { noted?: number; last?: string | null } = done?.rows[0] ?? {}
        const counts = JSON.stringify({ [counted]: count + noted })
        await pipelined(client, [
          { text: 'UPDATE holdfast.audit_log SET counts = $2 WHERE id = $1', values: [number, counts] },
          'COMMIT',
        ])
        action = number
        count += noted
        after = noted < SLICE ? undefined : (last ?? undefined)
      })
    }
    return { action: action ?? '', count }
  }
}

/** Letters that one transaction discards or restores. */
const SLICE = 5_000
const COUNT_NOTED = 'SELECT count(*)::int AS noted, max(dead_letter_id) AS last FROM noted'

/** An entry of the audit log. */
const NUMBER = /^\d{1,18}$/

interface GroupColumns extends Omit<CauseColumns, 'id' | 'since' | 'state'> {
  readonly reason: string
  readonly error: string
  readonly pointer: string
  readonly count: string
  readonly states: Readonly<Record<string, number>>
  readonly first_seen: Date
  readonly last_seen: Date
  readonly sample_id: string
  readonly sample_key: string | null
  readonly sample_message: string
  /** The fields of its row, all `null` while it has none. */
  readonly cause_id: string
  readonly since: Date | null
  readonly state: CauseColumns['state'] | null
}

/** One reading of the stream's letters (`$1`); the sample of each group is the one that failed last, looked up by that. */
function groupsSql(condition: string): string {
  return `
    WITH counted AS (
      SELECT d.reason, d.error, d.pointer, d.state, count(*) AS count,
        min(d.first_failed_at) AS first_seen, max(d.failed_at) AS last_seen
      FROM holdfast.dead_letters AS d WHERE d.stream = $1 AND ${condition} GROUP BY d.reason, d.error, d.pointer, d.state
    ), grouped AS (
      SELECT reason, error, pointer, sum(count) AS count, jsonb_object_agg(state, count) AS states,
        min(first_seen) AS first_seen, max(last_seen) AS last_seen
      FROM counted GROUP BY reason, error, pointer
    )
    SELECT g.*, sample.id AS sample_id, sample.key AS sample_key, sample.message AS sample_message,
      coalesce(c.id, ${causeId('g', '$1')}) AS cause_id, ${causeColumns('c')}
    FROM grouped AS g
    LEFT JOIN holdfast.causes AS c ON c.stream = $1 AND (c.reason, c.error, c.pointer) = (g.reason, g.error, g.pointer)
    CROSS JOIN LATERAL (
      SELECT d.id, d.key, d.message FROM holdfast.dead_letters AS d
      WHERE d.stream = $1 AND d.failed_at = g.last_seen AND d.reason = g.reason AND d.error = g.error AND d.pointer = g.pointer
        AND ${condition}
      ORDER BY d.id DESC LIMIT 1
    ) AS sample
    ORDER BY g.count DESC, g.reason, g.error, g.pointer`
}

function toGroup(row: GroupColumns): DeadLetterGroup {
  return {
    reason: row.reason,
    error: row.error,
    pointer: row.pointer,
    count: Number(row.count),
    states: row.states,
    first_seen: row.first_seen.toISOString(),
    last_seen: row.last_seen.toISOString(),
    sample: { id: row.sample_id, key: row.sample_key, message: row.sample_message },
    cause: toCause({
      ...row,
      id: row.cause_id,
      since: row.since ?? row.first_seen,
      state: row.state ?? unseen(row.states),
    }),
  }
}

/** The state of a cause that has no row yet. */
function unseen(states: GroupColumns['states']): CauseColumns['state'] {
  return Object.keys(states).every(state => SETTLED.some(settled => settled === state)) ? 'resolved' : 'new'
}
