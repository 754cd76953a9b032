import type { StreamPlan } from '../definition/plan.ts'
import { identifier, literal } from './identifiers.ts'
import { type Check, counted, deadLetterCounts, FURTHEST, isAlwaysThere, LEDGER_CHECKS } from './proof-checks.ts'

/**
 * What must hold of a stream where all that was stored before `since` was proven once. It reads all of the ledger, each root row once, and of other
 * tables the rows of values that were stored since, with the number of rows in those that hold one for each value. What it finds is
 * certain, but not in each case where it is: `checksOf` names that.
 * @param since a timestamp as text
 */
export function checksSince(plan: StreamPlan, since: string): readonly Check[] {
  return [...LEDGER_CHECKS, deadLetterCounts(plan), rowCounts(plan), recentRows(plan, since)]
}

/** Setting under which counting reads an index, which has a sixth of the table's pages: else PostgreSQL takes them for dear. */
export const COUNT_BY_INDEX = 'SET LOCAL random_page_cost = 1'

/** By partition of `$1`, from 0 on: how far any group has ever been. In each row of a pass an array costs less than a join. */
const ENDS = `(SELECT array_agg(p.next_offset ORDER BY nth)
  FROM generate_series(0, (SELECT max(partition) FROM stream_progress WHERE topic = $1)) AS nth
    LEFT JOIN (${FURTHEST}) AS p ON p.partition = nth)`

/**
 * One pass over the root table: as many values as the ledger explains, and none from an offset that is not settled. And as many rows in each
 * table that holds one for each value.
 */
function rowCounts({ stream, root, children }: StreamPlan): Check {
  const one = children.filter(child => child.kind === 'one' && isAlwaysThere(child)).map(({ name }) => name)
  const tables = one.map((name, nth) => `CROSS JOIN (SELECT count(*) AS rows FROM ${identifier(name)}) AS child_${nth}`)
  const differ = one.map((_, nth) => ` OR child_${nth}.rows <> root.rows`).join('')
  const said = [
    `${literal(`${root.name} `)} || root.rows`,
    ...one.map((name, nth) => `${literal(`${name} `)} || child_${nth}.rows`),
  ]
  return {
    text: `SELECT NULL::integer AS partition, NULL AS position, concat_ws(', ', ${said.join(', ')}) AS detail, root.beyond AS other
      FROM (
        SELECT count(*) AS rows, count(*) FILTER (
          WHERE source_topic = $1 AND source_offset >= coalesce((${ENDS})[source_partition + 1], 0)) AS beyond
        FROM ${identifier(root.name)}
      ) AS root CROSS JOIN (${counted(literal(stream))}) AS counted ${tables.join(' ')}
      WHERE root.beyond > 0 OR root.rows NOT BETWEEN counted.least AND counted.least + counted.unsure${differ}`,
    parameters: 1,
    what: row =>
      `rows that are not what the ledger counts, or that come from offsets which are not settled (${row.other}): ${row.detail}`,
  }
}

/** Values that were stored since: each has its rows in the other tables, numbered from 0 on. */
function recentRows({ stream, root, children, key }: StreamPlan, since: string): Check {
  const own = identifier(key.column)
  const lacking = children.map(child => {
    const name = literal(child.name)
    if (child.kind !== 'many') {
      return isAlwaysThere(child)
        ? `SELECT recent.key, ${name} AS name FROM recent
            WHERE NOT EXISTS (SELECT FROM ${identifier(child.name)} AS c WHERE c.${own} = recent.key)`
        : ''
    }
    const nth = `c.${identifier(child.position)}`
    const least = isAlwaysThere(child) ? `coalesce(min(${nth}), -1)` : `coalesce(min(${nth}), 0)`
    return `SELECT recent.key, ${name} AS name FROM recent LEFT JOIN ${identifier(child.name)} AS c ON c.${own} = recent.key
      GROUP BY recent.key HAVING ${least} <> 0 OR coalesce(max(${nth}), -1) <> count(${nth}) - 1`
  })
  const parts = ['SELECT key, NULL AS name FROM recent WHERE false', ...lacking.filter(text => text !== '')]
  return {
    text: `WITH recent AS MATERIALIZED (
        SELECT ${own} AS key FROM ${identifier(root.name)} WHERE stored_at >= ${literal(since)}::timestamptz
      )
      SELECT NULL::integer AS partition, NULL AS position, key AS detail, name AS other
      FROM (${parts.join(' UNION ALL ')}) AS found`,
    parameters: 0,
    what: row => `value ${row.detail} of ${stream} lacks rows in ${row.other}, or they are not numbered from 0 on`,
  }
}
