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
  return [...LEDGER_CHECKS, deadLetterCounts(plan), rootRows(plan, since)]
}

/** Setting under which counting reads an index, which has a sixth of the table's pages: else PostgreSQL takes them for dear. */
export const COUNT_BY_INDEX = 'SET LOCAL random_page_cost = 1'

/** By partition of `$1`, from 0 on: how far any group has ever been. In each row of a pass an array costs less than a join. */
const ENDS = `(SELECT array_agg(p.next_offset ORDER BY nth)
  FROM generate_series(0, (SELECT max(partition) FROM holdfast.stream_progress WHERE topic = $1)) AS nth
    LEFT JOIN (${FURTHEST}) AS p ON p.partition = nth)`

/**
 * One pass over the root table: as many values as the ledger explains, and none from an offset that is not settled. As many rows in each
 * table that holds one for each value. And values that were stored since have their rows in the other tables, numbered from 0 on; their keys
 * are taken along in an array, because a second pass would cost as much as the first.
 */
function rootRows({ stream, root, children, key }: StreamPlan, since: string): Check {
  const own = identifier(key.column)
  const one = children.filter(child => child.kind === 'one' && isAlwaysThere(child))
  const tables = one.map(({ sqlName }, nth) => `CROSS JOIN (SELECT count(*) AS rows FROM ${sqlName}) AS child_${nth}`)
  const differ = one.map((_, nth) => ` OR child_${nth}.rows <> root.rows`).join('')
  const said = [
    `${literal(`${root.name} `)} || root.rows`,
    ...one.map(({ name }, nth) => `${literal(`${name} `)} || child_${nth}.rows`),
  ]
  const lacking = children.map(child => {
    const name = literal(child.name)
    if (child.kind !== 'many') {
      return isAlwaysThere(child)
        ? `SELECT NULL::bigint, key, ${name} FROM recent
            WHERE NOT EXISTS (SELECT FROM ${child.sqlName} AS c WHERE c.${own} = recent.key)`
        : ''
    }
    const nth = `c.${identifier(child.position)}`
    const least = isAlwaysThere(child) ? `coalesce(min(${nth}), -1)` : `coalesce(min(${nth}), 0)`
    return `SELECT NULL::bigint, key, ${name} FROM recent LEFT JOIN ${child.sqlName} AS c ON c.${own} = recent.key
      GROUP BY key HAVING ${least} <> 0 OR coalesce(max(${nth}), -1) <> count(${nth}) - 1`
  })
  const counts = `SELECT root.beyond, concat_ws(', ', ${said.join(', ')}), NULL
    FROM root CROSS JOIN (${counted(literal(stream))}) AS counted ${tables.join(' ')}
    WHERE root.beyond > 0 OR root.rows NOT BETWEEN counted.least AND counted.least + counted.unsure${differ}`
  return {
    text: `WITH root AS MATERIALIZED (
        SELECT count(*) AS rows, array_agg(${own}) FILTER (WHERE stored_at >= ${literal(since)}::timestamptz) AS recent,
          count(*) FILTER (WHERE source_topic = $1 AND source_offset >= coalesce((${ENDS})[source_partition + 1], 0)) AS beyond
        FROM ${root.sqlName}
      ), recent AS MATERIALIZED (SELECT unnest(recent) AS key FROM root)
      SELECT NULL::integer AS partition, beyond::text AS position, detail, name AS other
      FROM (${[counts, ...lacking.filter(text => text !== '')].join(' UNION ALL ')}) AS found (beyond, detail, name)`,
    parameters: 1,
    what: ({ position, detail, other }) =>
      other === null
        ? `rows that are not what the ledger counts, or that come from offsets which are not settled (${position}): ${detail}`
        : `value ${detail} of ${stream} lacks rows in ${other}, or they are not numbered from 0 on`,
  }
}
