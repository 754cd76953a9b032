import type pg from 'pg'
import { createPool } from '#src/engine/postgres/pool.ts'
import { freshDatabase } from './stack.ts'

export interface MigratedDatabase extends AsyncDisposable {
  readonly url: string
  readonly pool: pg.Pool
}

/** A database of its own with all migrations, and a pool on it. */
export async function migratedDatabase(statementTimeoutMs = 30_000): Promise<MigratedDatabase> {
  const url = await freshDatabase({ migrated: true })
  const pool = createPool({ url, schema: 'holdfast', max: 4, statementTimeoutMs, name: 'test' })
  return { url, pool, [Symbol.asyncDispose]: () => pool.end() }
}

/** Resolves once some session of the pool's database waits for a lock: a signal to wait on, instead of a sleep. */
export async function someoneWaitsForALock(pool: pg.Pool): Promise<void> {
  for (;;) {
    const { rows } = await pool.query(
      `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    )
    if (rows.length > 0) return
  }
}
