import type pg from 'pg'
import { BrokerUnavailableError } from '../../engine/errors.ts'
import { query } from '../../engine/postgres/pool.ts'
import { type DeadLetterFilter, namesState } from '../filter.ts'
import { type DeadLetterState, LETTER_MOVES, type LeftOutReason, type RedriveState, sqlList } from '../letter-states.ts'
import type { CheckResult, LetterToCheck } from '../ports.ts'
import { CHECK_MEMBERS, CHECK_TIME_MS } from '../redrive-check.ts'
import { HELD_MEMBERS, type HeldBy, HOLDING, heldBy } from '../redrive-held.ts'
import type { RedriveRequest } from '../redrive-ports.ts'
import { type Condition, filterSql } from './dead-letter-filter-sql.ts'

/** Would these pass now? One answer for each, in whatever order. */
export type CheckLetters = (letters: readonly LetterToCheck[]) => AsyncIterable<CheckResult>

/** Letters that passed, as many as were wanted; and how many were looked at for that in vain. */
export interface PassingLetters {
  readonly ids: readonly string[]
  readonly notPassing: number
  readonly gone: number
}

/** Bytes of so many letters are read at a time: in order of age they stand anywhere, and each chunk is read in one go. */
const CHUNK = 2_000
/** Smaller: what was read in time counts. */
const SAMPLE_CHUNK = 250

/** States from which a letter is redriven: open ones; parked ones and those in flight only when they are asked for by name. */
export function takes(filter: DeadLetterFilter): DeadLetterState[] {
  return LETTER_MOVES.redrive.from.filter(state => state === 'open' || namesState(filter, state))
}

/**
 * The WITH that preview and start have in common: `limited`, every letter that the filter takes, with `left_out` saying why
 * it is not a member of the set, null when it is one.
 * @param stream whose letters they are
 * @param topics that letters may have come from
 * @param passing ids; the others are left out as `over_limit`, which the caller takes apart
 * @param first number of the first parameter that is free
 */
export function matching(
  stream: string,
  request: Pick<RedriveRequest, 'filter' | 'limit'>,
  topics: readonly string[],
  passing: readonly string[] | undefined,
  first = 1,
): Condition {
  const { text, values } = judged(stream, request.filter, topics, passing, first + 1)
  return {
    text: `WITH matching AS (${text}), limited AS (
        SELECT id, reason, failed_at, source_partition, source_offset,
          CASE
            WHEN left_out IS NULL AND row_number() OVER (PARTITION BY left_out ORDER BY failed_at, id) > $${first}::bigint
            THEN 'over_limit' ELSE left_out
          END AS left_out
        FROM matching
      )`,
    values: [request.limit ?? null, ...values],
  }
}

/** The same without a limit, which needs no look at all of them. */
function judged(
  stream: string,
  filter: DeadLetterFilter,
  topics: readonly string[],
  passing: readonly string[] | undefined,
  first: number,
): Condition {
  const own = [topics, takes(filter), passing ?? null, stream]
  const [topicAt, takesAt, passingAt, streamAt] = own.map((_, index) => `$${first + index}`)
  const condition = filterSql(filter, { first: first + own.length })
  return {
    text: `SELECT d.id, d.reason, d.failed_at, d.source_partition, d.source_offset, d.dlq_partition, d.dlq_offset,
        CASE
          WHEN d.state <> ALL (${takesAt}::text[]) THEN 'not_open'
          WHEN d.source_topic <> ALL (${topicAt}::text[]) THEN 'other_topic'
          WHEN d.dlq_partition IS NULL OR d.dlq_offset IS NULL THEN 'place_unknown'
          WHEN d.id <> ALL (${passingAt}::text[]) THEN 'over_limit'
        END AS left_out
      FROM holdfast.dead_letters AS d WHERE d.stream = ${streamAt} AND ${condition.text}`,
    values: [...own, ...condition.values],
  }
}

/** What is looked for: letters of a stream that a filter takes, from these topics. */
interface Members {
  readonly pool: pg.Pool
  readonly stream: string
  readonly request: Pick<RedriveRequest, 'filter' | 'limit'>
  readonly topics: readonly string[]
  readonly check: CheckLetters
}

/** The redrives of the stream that are not over and hold letters that the filter takes, the earliest first. */
export async function heldByOthers(
  { pool, stream }: Pick<Members, 'pool' | 'stream'>,
  filter: DeadLetterFilter,
): Promise<HeldBy[]> {
  const condition = filterSql(filter, { first: 2 })
  const rows = await query<{ id: string; state: RedriveState; letters: number }>(pool, {
    text: `SELECT r.id, r.state, count(*)::float8 AS letters
      FROM holdfast.replays AS r JOIN holdfast.replay_items AS item ON item.replay_id = r.id
        JOIN holdfast.dead_letters AS d ON d.id = item.dead_letter_id
      WHERE r.stream = $1 AND r.state IN (${sqlList(HOLDING)}) AND item.state IN (${sqlList(HELD_MEMBERS)}) AND ${condition.text}
      GROUP BY r.id, r.state, r.created_at ORDER BY r.created_at, r.id`,
    values: [stream, ...condition.values],
  })
  return rows.map(({ id, state, letters }) => heldBy(id, state, letters))
}

/** Looks at the bytes of those that would be members, oldest first, until there are as many as wanted. */
export async function findPassing(members: Members): Promise<PassingLetters> {
  const wanted = members.request.limit ?? Number.POSITIVE_INFINITY
  const ids: string[] = []
  let notPassing = 0
  let gone = 0
  for await (const results of checkMembers(members, CHUNK)) {
    for (const { id, passes } of results) {
      if (ids.length >= wanted) break
      if (passes === true) ids.push(id)
      else if (passes === false) notPassing += 1
      else gone += 1
    }
    if (ids.length >= wanted) break
  }
  return { ids, notPassing, gone }
}

/**
 * Looks at the oldest of those that would be members: at most {@link CHECK_MEMBERS}, and for {@link CHECK_TIME_MS}.
 * @returns what was found out until then; nothing while Kafka is away
 */
export async function checkSample(members: Members): Promise<readonly CheckResult[]> {
  const most = Math.min(members.request.limit ?? CHECK_MEMBERS, CHECK_MEMBERS)
  const results: CheckResult[] = []
  const timeUp = AbortSignal.timeout(CHECK_TIME_MS)
  const late = new Promise<undefined>(resolve => timeUp.addEventListener('abort', () => resolve(undefined)))
  const chunks = checkMembers(members, SAMPLE_CHUNK)
  try {
    while (results.length < most) {
      const next = await Promise.race([chunks.next(), late])
      if (next === undefined || next.done === true) break
      results.push(...next.value.slice(0, most - results.length))
    }
  } catch (error) {
    if (!(error instanceof BrokerUnavailableError)) throw error
  } finally {
    // Not awaited: a broker that says nothing must not keep the operator waiting.
    chunks.return(undefined).catch(() => {})
  }
  return results
}

/** Would those pass now that would be members? Chunk by chunk, oldest first. */
async function* checkMembers(
  { pool, stream, request, topics, check }: Members,
  chunk: number,
): AsyncGenerator<readonly CheckResult[], undefined, undefined> {
  const { text, values } = judged(stream, request.filter, topics, undefined, 4)
  let last: { readonly failed_at: string; readonly id: string } | undefined
  for (;;) {
    const rows = await query<CandidateRow>(pool, {
      text: `SELECT id, reason, dlq_partition, dlq_offset, failed_at::text FROM (${text}) AS matching
        WHERE left_out IS NULL AND (failed_at, id) > ($1::timestamptz, $2::text)
        ORDER BY matching.failed_at, id LIMIT $3`,
      values: [last?.failed_at ?? '-infinity', last?.id ?? '', chunk, ...values],
    })
    if (rows.length === 0) return
    last = rows.at(-1)
    const places = rows.map(({ id, reason, ...row }) => {
      return { id, reason, partition: row.dlq_partition, offset: BigInt(row.dlq_offset) }
    })
    const found = new Map<string, CheckResult>()
    for await (const result of check(places)) found.set(result.id, result)
    yield rows.map(({ id }) => found.get(id) ?? { id, passes: undefined, violations: [] })
  }
}

/** Those that did not pass, or cannot be read, apart from those that were not looked at any more. */
export function takeApart(
  leftOut: Readonly<Partial<Record<LeftOutReason, number>>>,
  { notPassing, gone }: PassingLetters,
): Partial<Record<LeftOutReason, number>> {
  const overLimit = (leftOut.over_limit ?? 0) - notPassing - gone
  const counts = { ...leftOut, not_passing: notPassing, bytes_gone: gone, over_limit: overLimit }
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0))
}

interface CandidateRow extends pg.QueryResultRow {
  readonly id: string
  readonly reason: string
  readonly dlq_partition: number
  readonly dlq_offset: string
  readonly failed_at: string
}
