import type pg from 'pg'
import type { Violation } from '../../engine/dead-letter.ts'
import { query } from '../../engine/postgres/pool.ts'

/** What lists leave out. @returns those of these letters, by id. @throws StoreUnavailableError */
export async function readViolations(
  pool: pg.Pool,
  ids: readonly string[],
): Promise<Map<string, readonly Violation[]>> {
  const rows = await query<{ id: string; violations: readonly Violation[] }>(pool, {
    text: 'SELECT id, violations FROM holdfast.dead_letters WHERE id = ANY ($1::text[])',
    values: [ids],
  })
  return new Map(rows.map(({ id, violations }) => [id, violations]))
}
