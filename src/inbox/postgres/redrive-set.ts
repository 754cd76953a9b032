import type pg from 'pg'
import { query } from '../../engine/postgres/pool.ts'
import { type DeadLetterFilter, namesState } from '../filter.ts'
import { type DeadLetterState, LETTER_MOVES, type LeftOutReason } from '../letter-states.ts'
import type { CheckResult, DlqPlace, RedriveRequest } from '../ports.ts'
import { type Condition, filterSql } from './dead-letter-filter-sql.ts'

/** Would these pass now? One answer for each, in whatever order. */
export type CheckLetters = (places: readonly DlqPlace[]) => AsyncIterable<CheckResult>

/** Letters that passed, as many as were wanted; and how many were looked at for that in vain. */
export interface PassingLetters {
  readonly ids: readonly string[]
  readonly notPassing: number
  readonly gone: number
}

/** Bytes of so many letters are read at a time: in order of age they stand anywhere, and each chunk is read in one go. */
const CHUNK = 2_000

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
      FROM dead_letters AS d WHERE d.stream = ${streamAt} AND ${condition.text}`,
    values: [...own, ...condition.values],
  }
}

/** Looks at the bytes of those that would be members, oldest first, until there are as many as wanted. */
export async function findPassing(
  pool: pg.Pool,
  stream: string,
  request: RedriveRequest,
  topics: readonly string[],
  check: CheckLetters,
): Promise<PassingLetters> {
  const { text, values } = judged(stream, request.filter, topics, undefined, 3)
  const wanted = request.limit ?? Number.POSITIVE_INFINITY
  const ids: string[] = []
  let notPassing = 0
  let gone = 0
  let last: { readonly failed_at: string; readonly id: string } | undefined
  while (ids.length < wanted) {
    const rows = await query<CandidateRow>(pool, {
      text: `SELECT id, dlq_partition, dlq_offset, failed_at::text FROM (${text}) AS matching
        WHERE left_out IS NULL AND (failed_at, id) > ($1::timestamptz, $2::text)
        ORDER BY matching.failed_at, id LIMIT ${CHUNK}`,
      values: [last?.failed_at ?? '-infinity', last?.id ?? '', ...values],
    })
    if (rows.length === 0) break
    last = rows.at(-1)
    const places = rows.map(row => ({ id: row.id, partition: row.dlq_partition, offset: BigInt(row.dlq_offset) }))
    const passes = new Map<string, boolean | undefined>()
    for await (const result of check(places)) passes.set(result.id, result.passes)
    for (const { id } of rows) {
      if (ids.length >= wanted) break
      const verdict = passes.get(id)
      if (verdict === true) ids.push(id)
      else if (verdict === false) notPassing += 1
      else gone += 1
    }
  }
  return { ids, notPassing, gone }
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
  readonly dlq_partition: number
  readonly dlq_offset: string
  readonly failed_at: string
}
