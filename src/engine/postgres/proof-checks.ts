import type { StreamPlan, TablePlan } from '../definition/plan.ts'
import { grouped } from '../grouped.ts'
import { identifier, literal } from './identifiers.ts'

/** A row that some check found: where, and two details for its sentence. */
export interface CheckRow {
  readonly partition: number | null
  /** An offset, as text. */
  readonly position: string | null
  readonly detail: string
  readonly other: string | null
}

export interface Check {
  /** Finds what does not add up: no row is good. Answers {@link CheckRow}s; a LIMIT is put behind it. */
  readonly text: string
  /** How many of `$1` (the topic), `$2` (the group) and `$3` (what the checkpoint knows of the ledger) it uses. */
  readonly parameters: 0 | 1 | 2 | 3
  readonly what: (row: CheckRow) => string
}

/**
 * Ranges of the ledger in the order in which they were written, each with the end of the one before it. (Not in the order
 * of offsets: an operator may have moved the partition back.)
 */
const CHAIN = `
  SELECT partition, from_offset, to_offset,
    lag(to_offset) OVER (PARTITION BY partition ORDER BY id) AS before,
    row_number() OVER (PARTITION BY partition ORDER BY id DESC) AS from_the_end
  FROM holdfast.stream_ledger WHERE topic = $1 AND group_id = $2`

function orphans({ key, root }: StreamPlan, child: TablePlan): Check {
  const own = identifier(key.column)
  return {
    text: `SELECT NULL::integer AS partition, NULL AS position, c.${own} AS detail, NULL AS other FROM ${child.sqlName} AS c
      WHERE NOT EXISTS (SELECT FROM ${root.sqlName} AS o WHERE o.${own} = c.${own})`,
    parameters: 0,
    what: row => `${child.name} holds a row for ${row.detail}, which is not in ${root.name}`,
  }
}

function childless({ stream, key, root }: StreamPlan, child: TablePlan): Check {
  const own = identifier(key.column)
  return {
    text: `SELECT CASE WHEN o.source_topic = $1 THEN o.source_partition END AS partition,
        CASE WHEN o.source_topic = $1 THEN o.source_offset END AS position, o.${own} AS detail, NULL AS other
      FROM ${root.sqlName} AS o
      WHERE NOT EXISTS (SELECT FROM ${child.sqlName} AS c WHERE c.${own} = o.${own})`,
    parameters: 1,
    what: row => `value ${row.detail} of ${stream} has no row in ${child.name}`,
  }
}

/** Entries of an array count from 0. */
function unnumbered({ stream, key }: StreamPlan, child: TablePlan): Check {
  const own = identifier(key.column)
  const position = identifier(child.position)
  return {
    text: `SELECT NULL::integer AS partition, NULL AS position, ${own} AS detail, count(*) AS other FROM ${child.sqlName}
      GROUP BY ${own} HAVING min(${position}) <> 0 OR max(${position}) <> count(*) - 1 ORDER BY 3`,
    parameters: 0,
    what: row =>
      `the ${grouped(row.other ?? 0)} rows of value ${row.detail} of ${stream} in ${child.name} are not numbered from 0 on`,
  }
}

/**
 * Values that claim to come from an offset of `$1` that is not settled. Progress is that of all groups, because a row does not say which
 * group wrote it; and as far as each has ever been, because an operator may have moved it back. A repaired value stands before every
 * offset (`verify --repair`).
 */
export function beyondProgress({ root }: StreamPlan): string {
  return `FROM ${root.sqlName} AS o LEFT JOIN (${FURTHEST}) AS p ON p.partition = o.source_partition
      WHERE o.source_topic = $1 AND o.source_offset >= coalesce(p.next_offset, 0)`
}

/** By partition of `$1`: how far any group has ever been. */
export const FURTHEST = `
  SELECT p.partition, max(greatest(p.next_offset, l.to_offset)) AS next_offset
  FROM holdfast.stream_progress AS p LEFT JOIN (
    SELECT partition, group_id, max(to_offset) AS to_offset FROM holdfast.stream_ledger WHERE topic = $1 GROUP BY 1, 2
  ) AS l USING (partition, group_id)
  WHERE p.topic = $1 GROUP BY p.partition`

/** What must hold of a stream's ledger, and of its tables. */
export function checksOf(plan: StreamPlan): readonly Check[] {
  return [...LEDGER_CHECKS, deadLetterCounts(plan), ...tableChecks(plan)]
}

/** Checks of the ledger of one topic and group. */
export const LEDGER_CHECKS: readonly Check[] = [
  {
    text: `SELECT l.partition, l.from_offset AS position, coalesce(l.before, p.first_offset) AS detail, NULL AS other
      FROM (${CHAIN}) AS l JOIN holdfast.stream_progress AS p ON p.topic = $1 AND p.group_id = $2 AND p.partition = l.partition
      WHERE l.from_offset <> coalesce(l.before, p.first_offset) ORDER BY 1, 2`,
    parameters: 2,
    what: ({ position, detail }) => {
      const hole = BigInt(position ?? 0) > BigInt(detail)
      return hole ? `the ledger has a hole: [${detail}, ${position})` : `the ledger overlaps: [${position}, ${detail})`
    },
  },
  {
    text: `SELECT p.partition, coalesce(l.to_offset, p.first_offset) AS position, p.next_offset AS detail, NULL AS other
      FROM holdfast.stream_progress AS p LEFT JOIN (${CHAIN}) AS l ON l.partition = p.partition AND l.from_the_end = 1
      WHERE p.topic = $1 AND p.group_id = $2 AND p.next_offset <> coalesce(l.to_offset, p.first_offset) ORDER BY 1`,
    parameters: 2,
    what: row => `the ledger ends at ${row.position}, but progress is at ${row.detail}`,
  },
  {
    text: `SELECT l.partition, min(l.from_offset) AS position, count(*) AS detail, NULL AS other FROM holdfast.stream_ledger AS l
      WHERE l.topic = $1 AND l.group_id = $2 AND NOT EXISTS (SELECT FROM holdfast.stream_progress AS p
        WHERE p.topic = $1 AND p.group_id = $2 AND p.partition = l.partition) GROUP BY l.partition ORDER BY 1`,
    parameters: 2,
    what: row => `the ledger has ${grouped(row.detail)} rows of a partition that has no progress`,
  },
  {
    text: `SELECT partition, from_offset AS position, records + gaps + expired + skipped AS detail,
        to_offset - from_offset AS other
      FROM holdfast.stream_ledger WHERE topic = $1 AND group_id = $2
        AND records + gaps + expired + skipped <> to_offset - from_offset ORDER BY 1, 2`,
    parameters: 2,
    what: row =>
      `${grouped(row.other ?? 0)} offsets are said to hold ${grouped(row.detail)} (records, gaps, expired, skipped)`,
  },
  {
    text: `SELECT partition, from_offset AS position, written + duplicate + stale + superseded + dead_lettered AS detail,
        records AS other
      FROM holdfast.stream_ledger WHERE topic = $1 AND group_id = $2
        AND written + duplicate + stale + superseded + dead_lettered <> records ORDER BY 1, 2`,
    parameters: 2,
    what: row => `${grouped(row.other ?? 0)} records are said to have ended in ${grouped(row.detail)} ways`,
  },
]

/** Rows of values that the ledger explains: between `least` and `least + unsure`. */
export function counted(stream: string): string {
  // Over every topic and group of the stream, because a row does not say which group stored it first. Ledger rows without a
  // count come from a version that did not count new keys.
  return `SELECT coalesce(sum(inserted), 0)
        + (SELECT coalesce(sum(values), 0) FROM holdfast.value_count_changes WHERE stream = ${stream}) AS least,
      coalesce(sum(written) FILTER (WHERE inserted IS NULL), 0) AS unsure
    FROM holdfast.stream_ledger WHERE stream = ${stream}`
}

export function deadLetterCounts(plan: StreamPlan): Check {
  const stream = literal(plan.stream)
  return {
    // Ranges that lack dead letters, when the sums differ. Only the sums over the whole stream are exact: a redriven record
    // counts in the ledger where it was read, and in the index where it first stood. Those of other programs are in no
    // ledger, and so count nothing in the index.
    text: `WITH sums AS (
      SELECT (SELECT coalesce(sum(dead_lettered), 0) FROM holdfast.stream_ledger WHERE stream = ${stream}) AS ledger,
        (SELECT coalesce(sum(failures), 0) FROM holdfast.dead_letters WHERE stream = ${stream})
        + (SELECT coalesce(sum(failures), 0) FROM holdfast.dead_letters_purged_counts WHERE stream = ${stream}) AS index
    ), places AS (
      SELECT source_topic, source_partition, source_offset FROM holdfast.dead_letters WHERE failures > 0 AND stream = ${stream}
      UNION ALL
      SELECT place[1], place[2]::integer, place[3]::bigint
      FROM holdfast.dead_letters_purged, regexp_match(id, '^(.+)-([0-9]+)-([0-9]+)$') AS place
    ), lacking AS (
      SELECT l.partition, l.from_offset, l.dead_lettered,
        (SELECT count(*) FROM places AS d WHERE d.source_topic = $1 AND d.source_partition = l.partition
          AND d.source_offset >= l.from_offset AND d.source_offset < l.to_offset) AS indexed
      FROM holdfast.stream_ledger AS l CROSS JOIN sums
      WHERE sums.ledger <> sums.index AND l.topic = $1 AND l.group_id = $2 AND l.dead_lettered > 0
    )
    SELECT partition, from_offset AS position, dead_lettered AS detail, indexed AS other
    FROM lacking WHERE indexed < dead_lettered
    UNION ALL
    SELECT NULL, NULL, ledger, index FROM sums WHERE ledger <> index`,
    parameters: 2,
    what: row =>
      `${grouped(row.detail)} dead letters are in the ledger, ${grouped(row.other ?? 0)} in the index${row.partition === null ? `, in all of ${plan.stream}` : ''}`,
  }
}

function tableChecks(plan: StreamPlan): readonly Check[] {
  const { root, children, key } = plan
  const stream = literal(plan.stream)
  return [
    {
      text: `SELECT o.source_partition AS partition, o.source_offset AS position, o.${identifier(key.column)} AS detail,
        p.next_offset AS other ${beyondProgress(plan)} ORDER BY 1, 2`,
      parameters: 1,
      what: row =>
        `value ${row.detail} of ${plan.stream} comes from an offset that is not settled (progress: ${row.other ?? 'none'})`,
    },
    {
      text: `SELECT NULL::integer AS partition, NULL AS position, stored.rows AS detail,
        CASE WHEN stored.rows < counted.least THEN counted.least ELSE counted.least + counted.unsure END AS other
      FROM (SELECT count(*) AS rows FROM ${root.sqlName}) AS stored CROSS JOIN (${counted(stream)}) AS counted
      WHERE stored.rows NOT BETWEEN counted.least AND counted.least + counted.unsure`,
      parameters: 0,
      what: ({ detail, other }) => {
        const lacking = BigInt(other ?? 0) - BigInt(detail)
        const rest = lacking > 0n ? `${grouped(lacking)} are missing` : `${grouped(-lacking)} came from elsewhere`
        return `${root.name} holds ${grouped(detail)} rows, but the ledger counts ${grouped(other ?? 0)} new keys: ${rest}`
      },
    },
    ...children.filter(isAlwaysThere).map(child => childless(plan, child)),
    ...children.map(child => orphans(plan, child)),
    ...children.filter(({ kind }) => kind === 'many').map(child => unnumbered(plan, child)),
  ]
}

/** Whether each value has a row in it. */
export function isAlwaysThere({ kind, optional, mayBeEmpty }: TablePlan): boolean {
  return kind === 'many' ? !mayBeEmpty : !optional
}
