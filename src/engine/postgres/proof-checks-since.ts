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

/**
 * One pass over the root table: as many values as the ledger explains, and none from an offset that is not settled. And as many rows in each
 * table that holds one for each value.
 */
function rowCounts({ stream, root, children }: StreamPlan): Check {
  const one = children.filter(child => child.kind === 'one' && isAlwaysThere(child)).map(({ name }) => name)
  const tables = one.map((name, nth) => `CROSS JOIN (SELECT count(*) AS rows FROM ${identifier(name)}) AS child_${nth}`)
  const differ = one.map((_, nth) => ` OR child_${nth}.rows <> root.rows`).join('')
  const said = [`'${root.name} ' || root.rows`, ...one.map((name, nth) => `'${name} ' || child_${nth}.rows`)]
  return {
    text: `SELECT NULL::integer AS partition, NULL AS position, concat_ws(', ', ${said.join(', ')}) AS detail, root.beyond AS other
      FROM (
        SELECT count(*) AS rows, count(*) FILTER (WHERE o.source_topic = $1 AND o.source_offset >= coalesce(p.next_offset, 0)) AS beyond
        FROM ${identifier(root.name)} AS o LEFT JOIN (${FURTHEST}) AS p ON p.partition = o.source_partition
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
  const lacking = children.filter(isAlwaysThere).map(
    ({ name }) => `SELECT recent.key, ${literal(name)} AS name FROM recent
      WHERE NOT EXISTS (SELECT FROM ${identifier(name)} AS c WHERE c.${own} = recent.key)`,
  )
  const unnumbered = children
    .filter(({ kind }) => kind === 'many')
    .map(({ name, position }) => {
      const nth = `c.${identifier(position)}`
      return `SELECT recent.key, ${literal(name)} AS name FROM recent JOIN ${identifier(name)} AS c ON c.${own} = recent.key
        GROUP BY recent.key HAVING min(${nth}) <> 0 OR max(${nth}) <> count(*) - 1`
    })
  const nothing = 'SELECT key, NULL AS name FROM recent WHERE false'
  return {
    text: `WITH recent AS MATERIALIZED (
        SELECT ${own} AS key FROM ${identifier(root.name)} WHERE stored_at >= ${literal(since)}::timestamptz
      )
      SELECT NULL::integer AS partition, NULL AS position, key AS detail, name AS other
      FROM (${[nothing, ...lacking, ...unnumbered].join(' UNION ALL ')}) AS found`,
    parameters: 0,
    what: row => `value ${row.detail} of ${stream} lacks rows in ${row.other}, or they are not numbered from 0 on`,
  }
}
