import { createPool, poolStatus } from '../engine/postgres/pool.ts'
import type { PoolName, PoolStatus } from '../engine/status.ts'
import type { Config } from '../settings/config.ts'

export type Pool = ReturnType<typeof createPool>

/** The connections of this process: each kind of work has a pool of its own, so that none keeps another waiting. */
export interface Pools extends AsyncDisposable {
  /** Several may have one name, as the lanes of each stream do. */
  open(name: PoolName, max: number, statementTimeoutMs?: number): Pool
  /** One for each name. */
  statuses(): readonly PoolStatus[]
}

/** @param onLent is called with the time that a caller waited for a connection, in seconds */
export function createPools(
  { url, currentUrl, statementTimeoutMs: presetMs }: Config['postgres'],
  onLent: (pool: PoolName, seconds: number) => void,
): Pools {
  const open: { readonly name: PoolName; readonly pool: Pool }[] = []
  return {
    open(name, max, statementTimeoutMs = presetMs) {
      const pool = createPool({ url, currentUrl, max, name, statementTimeoutMs, onLent: s => onLent(name, s) })
      open.push({ name, pool })
      return pool
    },
    statuses() {
      const byName = new Map<PoolName, PoolStatus>()
      for (const { name, pool } of open) byName.set(name, sum(poolStatus(name, pool), byName.get(name)))
      return [...byName.values()]
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(open.splice(0).map(({ pool }) => pool.end()))
    },
  }
}

function sum(one: PoolStatus, other: PoolStatus | undefined): PoolStatus {
  if (other === undefined) return one
  return {
    name: one.name,
    max: one.max + other.max,
    used: one.used + other.used,
    idle: one.idle + other.idle,
    waiting: one.waiting + other.waiting,
  }
}
