import type pg from 'pg'
import { VERSION } from '../../version.ts'
import { identifier } from './identifiers.ts'
import { type Ask, hasTable } from './migration-home.ts'
import { query } from './pool.ts'

/** How often a process says that it runs, and how long it counts as running after it last did. */
export const PROCESS_BEAT_MS = 10_000
const GONE_AFTER_SECONDS = 35

/** A process of the service, as it stands in the database. */
export interface ServiceProcess {
  readonly id: string
  /** The newest of Holdfast's migrations that it knows, and so needs. */
  readonly migration: string
  readonly roles: readonly string[]
  readonly host: string
  readonly pid: number
}

/** Who runs on the database at this moment. */
export interface RunningProcess {
  readonly version: string
  /** The newest of Holdfast's migrations that it knows, and so needs. */
  readonly migration: string
  /** As `0.2.0 on web-1, pid 4711 (consumer, api, jobs)`. */
  readonly what: string
}

/** A process runs. To be repeated every {@link PROCESS_BEAT_MS}; by the clock of the database. @throws StoreUnavailableError, StoreMisconfiguredError */
export async function noteProcess(pool: pg.Pool, { id, migration, roles, host, pid }: ServiceProcess): Promise<void> {
  await query(pool, {
    text: `WITH old AS (DELETE FROM holdfast.processes WHERE seen_at < now() - interval '1 day' AND id <> $1)
      INSERT INTO holdfast.processes (id, version, migration, roles, host, pid) VALUES ($1, $2, $3, $4, $5, $6)
      ON CONFLICT (id) DO UPDATE SET seen_at = now()`,
    values: [id, VERSION, migration, roles, host, pid],
  })
}

/** It has ended. One that could not say so counts for a little while longer. @throws as {@link noteProcess} */
export async function forgetProcess(pool: pg.Pool, id: string): Promise<void> {
  await query(pool, { text: 'DELETE FROM holdfast.processes WHERE id = $1', values: [id] })
}

/** What version 0.1.0 brings, the only one that does not say that it runs. Its sessions have no version in their names. */
const FIRST = { version: '0.1.0', migration: '0021_operator_requests' } as const
const SESSIONS_OF_FIRST = '^holdfast-(lanes|read|check|jobs|operators|listen|notify)$'

/**
 * Those that have said so lately, and version 0.1.0, whose sessions tell of it.
 * @param home the schema of our own tables
 */
export async function runningProcesses(ask: Ask, home: string): Promise<RunningProcess[]> {
  const noted = (await hasTable(ask, home, 'processes'))
    ? ((await ask(
        `SELECT version, migration, roles, host, pid FROM ${identifier(home)}.processes
          WHERE seen_at > now() - $1 * interval '1 second' ORDER BY version, host, pid`,
        [GONE_AFTER_SECONDS],
      )) as (Omit<ServiceProcess, 'id'> & { readonly version: string })[])
    : []
  // Other users' sessions show their names and the address of nobody.
  const sessions = (await ask(
    `SELECT host(client_addr) AS host, count(*)::int AS count FROM pg_stat_activity
      WHERE datname = current_database() AND application_name ~ $1 GROUP BY client_addr ORDER BY client_addr`,
    [SESSIONS_OF_FIRST],
  )) as { readonly host: string | null; readonly count: number }[]
  return [
    ...sessions.map(({ host, count }) => ({
      ...FIRST,
      what: `${FIRST.version}${host === null ? '' : ` on ${host}`} (${count} ${count === 1 ? 'session' : 'sessions'})`,
    })),
    ...noted.map(({ version, migration, roles, host, pid }) => ({
      version,
      migration,
      what: `${version} on ${host}, pid ${pid} (${roles.join(', ')})`,
    })),
  ]
}
