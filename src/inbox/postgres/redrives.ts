import { randomInt } from 'node:crypto'
import type pg from 'pg'
import { RecordRefusedError, UsageError } from '../../engine/errors.ts'
import type { Operator } from '../../engine/operator.ts'
import { audit } from '../../engine/postgres/audit.ts'
import { pipelined, query, transaction } from '../../engine/postgres/pool.ts'
import { printFilter } from '../filter.ts'
import {
  type LeftOutReason,
  nextState,
  type RedriveState,
  type RedriveStep,
  redrivesWhere,
  sqlList,
} from '../letter-states.ts'
import { allPass, type RedriveCheck, summarize } from '../redrive-check.ts'
import { countsAfterResume, type GuardCounts, guardRules, NOTHING_COUNTED } from '../redrive-guard.ts'
import {
  givenLimits,
  NothingToRedriveError,
  type Redrive,
  type RedrivePreview,
  type RedriveRequest,
  RedriveRunningError,
  type Redrives,
  type ResumeLimits,
} from '../redrive-ports.ts'
import { INTO_STORE, IS_ALIVE, letGo, type RedriveRow, SELECT_REDRIVES, toRedrive } from './redrive-rows.ts'
import {
  type CheckLetters,
  checkSample,
  findPassing,
  heldByOthers,
  matching,
  type PassingLetters,
  takeApart,
  takes,
} from './redrive-set.ts'

export interface RedrivesOptions {
  readonly pool: pg.Pool
  /** Whose dead letters are redriven. */
  readonly stream: string
  /** The topic that dead letters are redriven to: only those that came from it … */
  readonly topic: string
  /** … or that lie in this one, and whose source is not known. */
  readonly dlqTopic?: string
  /** Would they pass now? For redrives of those that do. */
  readonly check: CheckLetters
}

const UNIQUE_VIOLATION = '23505'
/** A set is frozen in one statement, and may be of millions. It locks nothing that the stream needs. */
const FREEZE_TIMEOUT_MS = 300_000

/** Redrives as rows, from which workers and viewers read them. */
export function createRedrives({ pool, stream, topic, dlqTopic, check }: RedrivesOptions): Redrives {
  const topics = dlqTopic === undefined ? [topic] : [topic, dlqTopic]
  async function preview(request: RedriveRequest): Promise<RedrivePreview> {
    const found = await look(request, await passingOf(request))
    return { ...found, check: await checkOf(request, found.count) }
  }

  async function checkOf(request: RedriveRequest, count: number): Promise<RedriveCheck | null> {
    if (count === 0 || request.edited !== undefined) return null
    if (request.onlyPassing) return allPass(count)
    // Letters that have arrived since they were counted are not of this set: oldest first, they come after its last one.
    const results = await checkSample({ pool, stream, request: { ...request, limit: count }, topics, check })
    return results.length === 0 ? null : summarize(results, count)
  }

  async function passingOf(request: RedriveRequest): Promise<PassingLetters | undefined> {
    return request.onlyPassing ? await findPassing({ pool, stream, request, topics, check }) : undefined
  }

  async function look(request: RedriveRequest, passing: PassingLetters | undefined): Promise<RedrivePreview> {
    const { text, values } = matching(stream, request, topics, passing?.ids)
    const rows = await query<GroupRow>(pool, {
      text: `${text} SELECT left_out, reason, count(*)::float8 AS count, min(failed_at) AS oldest, max(failed_at) AS newest
        FROM limited GROUP BY left_out, reason ORDER BY reason`,
      values: [...values],
    })
    const members = rows.filter(row => row.left_out === null)
    const leftOut: Partial<Record<LeftOutReason, number>> = {}
    for (const { left_out: why, count } of rows) if (why !== null) leftOut[why] = (leftOut[why] ?? 0) + count
    return {
      count: members.reduce((sum, { count }) => sum + count, 0),
      by_reason: Object.fromEntries(members.map(({ reason, count }) => [reason, count])),
      oldest: iso(members.map(row => row.oldest).sort(byTime)[0]),
      newest: iso(
        members
          .map(row => row.newest)
          .sort(byTime)
          .at(-1),
      ),
      left_out: passing === undefined ? leftOut : takeApart(leftOut, passing),
      held_by: await heldByOthers({ pool, stream }, request.filter),
      check: null,
    }
  }

  async function start(request: RedriveRequest, by: Operator): Promise<Redrive> {
    // Reading thousands of records only to hear that there is another one is no service.
    if (request.onlyPassing) await refuseSecond()
    const passing = await passingOf(request)
    const id = newId()
    const filter = printFilter(request.filter)
    try {
      await transaction(pool, async client => {
        const { text, values } = matching(stream, request, topics, passing?.ids, 3)
        const [, , , inserted] = await pipelined(client, [
          'BEGIN',
          `SET LOCAL statement_timeout = ${FREEZE_TIMEOUT_MS}`,
          {
            text: `INSERT INTO holdfast.replays (id, state, filter, requested_by, because, automatic, only_passing, edited, rate,
                total, takes, topic, stream)
              VALUES ($1, 'queued', $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, $11)`,
            values: [
              ...[id, filter, by.who, by.because, request.automatic, request.onlyPassing],
              ...[request.edited !== undefined, request.rate ?? null, takes(request.filter)],
              ...[request.to === 'store' ? INTO_STORE : topic, stream],
            ],
          },
          Object.assign(
            {
              text: `${text} INSERT INTO holdfast.replay_items (replay_id, position, dead_letter_id, edited_value)
                SELECT $1, row_number() OVER (ORDER BY source_partition, source_offset), id, $2 FROM limited
                WHERE left_out IS NULL`,
              values: [id, request.edited ?? null, ...values],
            },
            // pg reads it; its types do not know it.
            { query_timeout: FREEZE_TIMEOUT_MS },
          ),
        ])
        const total = inserted?.rowCount ?? 0
        if (total === 0) throw new Empty()
        if (request.edited !== undefined && total !== 1) {
          throw new UsageError(
            `an edited value replaces one dead letter, and the filter takes ${total}: name it, as in id:…`,
          )
        }
        const { canary, maxFailures, yieldAboveSeconds } = guardRules(request.guard, total)
        await pipelined(client, [
          {
            text: 'UPDATE holdfast.replays SET total = $2, canary = $3, max_failures = $4, yield_above = $5 WHERE id = $1',
            values: [id, total, canary, maxFailures, yieldAboveSeconds],
          },
          audit(stream, 'replay', filter, by, { replay: id, letters: total }),
          'COMMIT',
        ])
      })
    } catch (error) {
      if (error instanceof Empty) throw new NothingToRedriveError(await look(request, passing))
      await refuseSecond(error)
      throw error
    }
    return await mustGet(id)
  }

  /** @throws RedriveRunningError when there is one; with an error, only when that is what it says */
  async function refuseSecond(error?: unknown): Promise<void> {
    if (error !== undefined && !(error instanceof RecordRefusedError && error.sqlState === UNIQUE_VIOLATION)) return
    const [running] = await query<RedriveRow>(pool, {
      text: `${SELECT_REDRIVES} WHERE r.stream = $1 AND r.state IN (${sqlList(redrivesWhere(state => state.underWay))})`,
      values: [stream],
    })
    if (running !== undefined) throw new RedriveRunningError(toRedrive(running))
  }

  async function get(id: string): Promise<Redrive | undefined> {
    const [row] = await query<RedriveRow>(pool, {
      text: `${SELECT_REDRIVES} WHERE r.id = $1 AND r.stream = $2`,
      values: [id, stream],
    })
    return row === undefined ? undefined : toRedrive(row)
  }

  async function mustGet(id: string): Promise<Redrive> {
    const found = await get(id)
    if (found === undefined) throw unknown(id)
    return found
  }

  /** Takes the step on the locked row, as the table of states says. @throws UsageError when its state has no such step */
  async function steer(id: string, by: Operator, what: RedriveStep, limits: ResumeLimits = {}): Promise<Redrive> {
    const given = givenLimits(limits)
    const isLimited = Object.keys(given).length > 0
    try {
      await transaction(pool, async client => {
        const [, locked] = await pipelined(client, [
          'BEGIN',
          {
            text: `SELECT state, filter, topic, guard, paused_because, ${IS_ALIVE} AS alive FROM holdfast.replays WHERE id = $1 AND stream = $2 FOR UPDATE`,
            values: [id, stream],
          },
        ])
        const row: SteeredRow | undefined = locked?.rows[0]
        if (row === undefined) throw unknown(id)
        // A caller that resumes it here would wait for ever.
        if (what === 'resume' && ![INTO_STORE, topic].includes(row.topic ?? topic)) {
          throw new UsageError(
            `the redrive ${id} goes to ${row.topic}: it can go on where that is the topic of the stream ${stream}`,
          )
        }
        const next = nextState(row.state, what, row.alive)
        if (next === undefined) throw new UsageError(`the redrive ${id} is ${row.state}: ${REFUSED[what]}`)
        if (isLimited && row.alive) {
          throw new UsageError(
            `a worker has the redrive ${id} in hand: pause it before you resume it with other limits`,
          )
        }
        if (next === row.state && !isLimited) return
        // At once means without its worker, who must find himself fenced off should he wake.
        const atOnce = next === 'paused' || next === 'cancelled'
        await pipelined(client, [
          {
            text: `UPDATE holdfast.replays SET state = $2, epoch = epoch + CASE WHEN $3 THEN 1 ELSE 0 END,
                heartbeat_at = CASE WHEN $3 THEN NULL ELSE heartbeat_at END,
                finished_at = CASE WHEN $2 = 'cancelled' THEN clock_timestamp() END,
                guard = coalesce($4::jsonb, guard),
                paused_because = CASE WHEN $4::jsonb IS NULL THEN paused_because END
              WHERE id = $1`,
            values: [id, next, atOnce, what === 'resume' ? countsOf(row) : null],
          },
          ...(isLimited ? [limitTo(id, given)] : []),
          ...(next === 'cancelled' ? [{ text: `WITH ${letGo('true')} SELECT`, values: [id] }] : []),
          audit(stream, `replay_${what}`, row.filter, by, { replay: id, ...given }),
          'COMMIT',
        ])
      })
    } catch (error) {
      await refuseSecond(error)
      throw error
    }
    return await mustGet(id)
  }

  return {
    preview,
    start,
    get,
    async list(limit) {
      const rows = await query<RedriveRow>(pool, {
        text: `${SELECT_REDRIVES} WHERE r.stream = $2 ORDER BY r.created_at DESC, r.id LIMIT $1`,
        values: [limit, stream],
      })
      return rows.map(toRedrive)
    },
    pause: (id, by) => steer(id, by, 'pause'),
    resume: (id, by, limits) => steer(id, by, 'resume', limits),
    cancel: (id, by) => steer(id, by, 'cancel'),
  }
}

/** What is given takes the place of what the redrive began with. Its next worker goes by it. */
function limitTo(id: string, given: Readonly<Record<string, number | null>>): pg.QueryConfig {
  const columns = Object.keys(given)
  return {
    text: `UPDATE holdfast.replays SET ${columns.map((column, index) => `${column} = $${index + 2}`).join(', ')} WHERE id = $1`,
    values: [id, ...Object.values(given)],
  }
}

/** Inside the transaction: the set is empty. */
class Empty extends Error {}

interface SteeredRow extends Pick<RedriveRow, 'paused_because'> {
  readonly guard: GuardCounts | null
  readonly state: RedriveState
  readonly filter: string
  /** {@link INTO_STORE}; `null`: not noted yet when it was asked for. */
  readonly topic: string | null
  readonly alive: boolean
}

/** What counts from here on; `null`: as before, because it did not pause itself. */
function countsOf({ guard, paused_because: because }: SteeredRow): GuardCounts | null {
  return because === null ? null : countsAfterResume(guard ?? NOTHING_COUNTED)
}

interface GroupRow {
  readonly left_out: LeftOutReason | null
  readonly reason: string
  readonly count: number
  readonly oldest: Date
  readonly newest: Date
}

const REFUSED: Readonly<Record<RedriveStep, string>> = {
  pause: 'only one that is under way can be paused',
  resume: 'only one that is paused can go on',
  cancel: 'there is nothing left to cancel',
}

function unknown(id: string): UsageError {
  return new UsageError(`there is no redrive ${JSON.stringify(id)}; "holdfast dlq redrives" lists them`)
}

function newId(): string {
  return `r${Array.from({ length: 10 }, () => randomInt(36).toString(36)).join('')}`
}

function byTime(a: Date, b: Date): number {
  return a.getTime() - b.getTime()
}

function iso(at: Date | undefined): string | null {
  return at?.toISOString() ?? null
}
