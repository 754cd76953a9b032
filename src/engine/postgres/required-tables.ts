import type pg from 'pg'
import type { StreamPlan } from '../definition/plan.ts'
import { StoreMisconfiguredError } from '../errors.ts'
import { perhapsMeant, readLiveTables, tableDifferences } from './live-tables.ts'
import { query } from './pool.ts'

/**
 * Compares the tables of a stream with its definition before anything is written. A column that is narrower than the definition's, or
 * NOT NULL where the schema allows null, would reject single records, which would then be dead-lettered.
 * @returns what to know although they fit: which other tables of these names the search path finds, a clause for each schema
 * @throws StoreMisconfiguredError naming every difference that keeps values from being written or read back; StoreUnavailableError
 */
export async function requireTables(pool: pg.Pool, stream: string, plan: StreamPlan): Promise<readonly string[]> {
  // A missing index keeps nothing from being written, and a table that another session has locked must not keep a stream from starting.
  const live = await readLiveTables((text, values) => query(pool, { text, values: [...values] }), plan, {
    indexes: false,
  })
  const differences = tableDifferences(plan, live).filter(({ blocks }) => blocks)
  if (differences.length === 0) return perhapsMeant(plan, live)
  const what = differences.map(difference => difference.what).join('; ')
  throw new StoreMisconfiguredError(
    `the tables of the stream ${stream} are not as its definition needs them: ${what}`,
    {
      remedy: `holdfast migrate up, where their migration is missing; holdfast stream check ${stream} shows the SQL for each difference`,
    },
  )
}
