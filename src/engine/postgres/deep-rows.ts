import type pg from 'pg'
import {
  type DeepRange,
  type DeepRows,
  FORMER_LETTER,
  type LetterFacts,
  type RowPosition,
} from '../proof/deep-proof.ts'
import type { Origin } from '../record.ts'
import type { Stream } from '../stream.ts'
import type { StoredValue } from '../value-sql.ts'
import { identifier } from './identifiers.ts'
import { query } from './pool.ts'
import { statementName } from './statement-name.ts'

const PAGE_ROWS = 5_000

/**
 * What the deep proof asks of the tables.
 * @param redrives facts about the redrives that records claim to come from
 * @throws StoreUnavailableError, StoreContendedError, StoreMisconfiguredError
 */
export function createDeepRows(
  pool: pg.Pool,
  { name, topic, groupId, queries, plan }: Pick<Stream, 'name' | 'topic' | 'groupId' | 'queries' | 'plan'>,
  redrives: DeepRows['redrives'],
): DeepRows {
  const root = plan.root.sqlName
  const own = identifier(plan.key.column)
  return {
    async positions(keys) {
      const rows = await query<Record<string, unknown> & { key: string }>(pool, {
        name: statementName(name, 'deep_positions'),
        text: `SELECT ${own} AS key, source_topic, source_partition, source_offset, source_timestamp FROM ${root}
          WHERE ${own} = ANY ($1::text[])`,
        values: [keys],
      })
      return new Map(rows.map((row): [string, Origin] => [row.key, queries.toOrigin(row)]))
    },

    async values(keys) {
      const rows = await query<Record<string, unknown>>(pool, { ...queries.many, values: [keys] })
      return new Map(
        rows.map((row): [string, StoredValue] => {
          const { stored } = queries.toValue(row)
          return [stored.key, stored]
        }),
      )
    },

    async letters(keys) {
      const facts = await query<{ key: string; id: string; kind: LetterFacts['kind'] }>(pool, {
        // A purged letter does not say in which topic it counted.
        text: `WITH wanted AS (SELECT asked, rtrim(asked, '${FORMER_LETTER}') AS id FROM unnest($1::text[]) AS asked)
          SELECT asked AS key, id, CASE state WHEN 'resolved' THEN 'applied' ELSE 'set_aside' END AS kind
            FROM wanted JOIN holdfast.dead_letters USING (id) WHERE (former_topic_id IS NOT NULL) = (asked <> id)
          UNION ALL SELECT asked, id, 'purged' FROM wanted JOIN holdfast.dead_letters_purged USING (id)`,
        values: [keys],
      })
      const applied = facts.filter(({ kind }) => kind === 'applied').map(({ id }) => id)
      const edits = applied.length === 0 ? [] : await editsOf(applied)
      return new Map(
        facts.map(({ key, id, kind }): [string, LetterFacts] => [
          key,
          { kind, edits: edits.filter(edit => edit.id === id).map(({ value }) => value) },
        ]),
      )
    },

    redrives,

    async erased(keys) {
      const rows = await query<{ key: string }>(pool, {
        text: 'SELECT DISTINCT key FROM holdfast.value_count_changes WHERE stream = $2 AND values < 0 AND key = ANY ($1::text[])',
        values: [keys, name],
      })
      return new Set(rows.map(({ key }) => key))
    },

    async *pages() {
      const moves = await query<{ partition: number; at: string }>(pool, {
        text: `SELECT partition, max(settled_at)::text AS at FROM holdfast.stream_ledger
          WHERE topic = $1 AND group_id = $2 AND skipped < 0 GROUP BY partition`,
        values: [topic, groupId],
      })
      for (let after = ''; ; ) {
        const rows = await query<{ key: string; partition: number; position: string; before_move: boolean }>(pool, {
          name: statementName(name, 'deep_page'),
          text: `SELECT ${own} AS key, source_partition AS partition, source_offset AS position,
              coalesce(stored_at < moved.at, false) AS before_move
            FROM ${root} LEFT JOIN unnest($4::int4[], $5::timestamptz[]) AS moved (partition, at)
              ON moved.partition = source_partition
            WHERE source_topic = $1 AND ${own} > $2 ORDER BY ${own} LIMIT $3`,
          values: [topic, after, PAGE_ROWS, moves.map(({ partition }) => partition), moves.map(({ at }) => at)],
        })
        yield rows.map(({ key, partition, position, before_move: beforeMove }): RowPosition => {
          return { key, partition, offset: BigInt(position), beforeMove }
        })
        if (rows.length < PAGE_ROWS) return
        after = rows.at(-1)?.key ?? ''
      }
    },

    async foreign() {
      const text = `SELECT count(*) AS rows FROM ${root} WHERE source_topic <> $1`
      const [row] = await query<{ rows: string }>(pool, { text, values: [topic] })
      return Number(row?.rows ?? 0)
    },
  }

  async function editsOf(ids: readonly string[]): Promise<{ id: string; value: Buffer }[]> {
    return await query<{ id: string; value: Buffer }>(pool, {
      text: `SELECT dead_letter_id AS id, edited_value AS value FROM holdfast.replay_items
        WHERE dead_letter_id = ANY ($1::text[]) AND edited_value IS NOT NULL`,
      values: [ids],
    })
  }
}

/** By partition: ranges that were skipped and not read since. */
export async function passedOver(
  pool: pg.Pool,
  topic: string,
  groupId: string,
): Promise<ReadonlyMap<number, DeepRange['passedOver']>> {
  const rows = await query<{ partition: number; from: string; to: string }>(pool, {
    text: `SELECT partition, lower(part) AS "from", upper(part) AS "to" FROM (
        SELECT partition, unnest(
          coalesce(range_agg(int8range(from_offset, to_offset)) FILTER (WHERE skipped > 0), '{}')
          - coalesce(range_agg(int8range(from_offset, to_offset)) FILTER (WHERE skipped = 0 AND to_offset > from_offset), '{}')
        ) AS part
        FROM holdfast.stream_ledger WHERE topic = $1 AND group_id = $2 GROUP BY partition
      ) AS parts`,
    values: [topic, groupId],
  })
  const found = new Map<number, { from: bigint; to: bigint }[]>()
  for (const { partition, from, to } of rows) {
    const known = found.get(partition) ?? []
    found.set(partition, [...known, { from: BigInt(from), to: BigInt(to) }])
  }
  return found
}
