import type { StreamPlan } from '../engine/definition/plan.ts'
import { StreamError } from '../engine/errors.ts'
import { createInParts, divideTable } from '../engine/postgres/hash-partitions.ts'
import {
  type LiveTables,
  readLiveTables,
  type TableDifference,
  tableDifferences,
} from '../engine/postgres/live-tables.ts'
import { createPool, type PoolSettings, query } from '../engine/postgres/pool.ts'
import {
  createSchema,
  createTable,
  type MigrationSql,
  type WantedTable,
  wantedTables,
} from '../engine/postgres/wanted-tables.ts'

/** The tables of a stream beside what its definition needs. */
export interface ComparedTables {
  /** Whether the database has any of them. */
  readonly exist: boolean
  readonly differences: readonly TableDifference[]
  readonly live: LiveTables
}

/**
 * Compares the tables of the database with the plan of a definition.
 * @returns the error when the database could not be asked
 */
export async function compareTables(
  postgres: Pick<PoolSettings, 'url' | 'schema' | 'statementTimeoutMs'>,
  plan: StreamPlan,
): Promise<ComparedTables | StreamError> {
  await using parts = new AsyncDisposableStack()
  const pool = createPool({ ...postgres, max: 1, name: 'stream' })
  parts.defer(() => pool.end())
  try {
    const live = await readLiveTables((text, values) => query(pool, { text, values: [...values] }), plan)
    return { exist: live.tables.size > 0, differences: tableDifferences(plan, live), live }
  } catch (error) {
    if (error instanceof StreamError) return error
    throw error
  }
}

/**
 * SQL of all tables of a plan, for a database that has none of them.
 * @param parts divides each by a hash of the key. Default: they are whole
 */
export function allTables(plan: StreamPlan, parts?: number): MigrationSql {
  const create = (table: WantedTable) =>
    parts === undefined ? createTable(table) : createInParts(table, plan.key.column, parts)
  const schema = createSchema(plan)
  return joined([...(schema === undefined ? [] : [schema]), ...wantedTables(plan).map(create)])
}

/** SQL that divides those tables of a plan which are whole. `undefined`: all are divided. */
export function dividedTables(plan: StreamPlan, { tables }: LiveTables, parts: number): MigrationSql | undefined {
  const whole = wantedTables(plan).flatMap(wanted => {
    const table = tables.get(wanted.name)
    return table === undefined || table.partitioned ? [] : [divideTable(wanted, table, plan.key.column, parts)]
  })
  return whole.length === 0 ? undefined : joined(whole)
}

/** SQL that removes the differences, and SQL that brings them back. */
export function joined(parts: readonly MigrationSql[]): MigrationSql {
  return {
    up: parts.map(({ up }) => up).join('\n\n'),
    down: parts
      .map(({ down }) => down)
      .filter(text => text !== '')
      .reverse()
      .join('\n'),
  }
}

/** A file of `migrations/`. */
export function migrationFile({ up, down }: MigrationSql): string {
  return `-- Up Migration\n\n${up}\n\n-- Down Migration\n\n${down}\n`
}
