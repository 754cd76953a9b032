import { createHosts } from '../engine/postgres/hosts.ts'
import { createPool, type PoolSettings, poolStatus } from '../engine/postgres/pool.ts'
import type { PoolName, PoolStatus } from '../engine/status.ts'
import type { Config } from '../settings/config.ts'

export type Pool = ReturnType<typeof createPool>

/** The connections of this process: each kind of work has a pool of its own, so that none keeps another waiting. */
export interface Pools extends AsyncDisposable {
  /** Several may have one name, as the lanes of each stream do. */
  open(name: PoolName, max: number): Pool
  /** Past a pooler: a borrowed connection keeps its session. */
  openDirect(name: PoolName, max: number, statementTimeoutMs: number): Pool
  /** One for each name. */
  statuses(): readonly PoolStatus[]
}

/** @param onLent is called with the time that a caller waited for a connection, in seconds */
export function createPools(
  { postgres: settings, files }: Pick<Config, 'postgres' | 'files'>,
  onLent: (pool: PoolName, seconds: number) => void,
): Pools {
  const opened: { readonly name: PoolName; readonly pool: Pool }[] = []
  const mayChange = (name: string) => ({ loginMayChange: files.names.includes(name) })
  const hosts = createHosts(settings.currentUrl, mayChange('DATABASE_URL'))
  const isDirect = settings.direct.url === settings.url
  const directHosts = isDirect ? hosts : createHosts(settings.direct.currentUrl, mayChange('DATABASE_DIRECT_URL'))

  function open(name: PoolName, max: number, over: Partial<PoolSettings>): Pool {
    const pool = createPool({ ...settings, hosts, ...over, max, name, onLent: seconds => onLent(name, seconds) })
    opened.push({ name, pool })
    return pool
  }

  return {
    open: (name, max) => open(name, max, {}),
    openDirect: (name, max, statementTimeoutMs) =>
      open(name, max, { ...settings.direct, hosts: directHosts, statementTimeoutMs }),
    statuses() {
      const byName = new Map<PoolName, PoolStatus>()
      for (const { name, pool } of opened) byName.set(name, sum(poolStatus(name, pool), byName.get(name)))
      return [...byName.values()]
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(opened.splice(0).map(({ pool }) => pool.end()))
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
