import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { VERSION } from '../../version.ts'
import { StoreMisconfiguredError } from '../errors.ts'
import { toStoreError } from './errors.ts'
import { onPrimary } from './hosts.ts'
import { announcedPid } from './session.ts'

/** Who has a session of the server, and for how long. A pooler that lends it for a single statement takes no transactions at all. */
export interface Pooling {
  /** `none`: no pooler is in between. `session`: a connection keeps its session. `transaction`: each transaction gets one that is free. */
  readonly lends: 'none' | 'session' | 'transaction'
  /** Whether a statement prepared by name is found again in whichever session the next transaction gets. */
  readonly keepsStatements: boolean
}

export interface PoolingSettings {
  readonly url: string
  readonly direct: { readonly url: string }
  readonly preparedStatements: boolean
}

const TIMEOUT_MS = 5_000
/** Clients that take sessions at the right moment make a single look miss it: under full load one of three. */
const LOOKS = 20

/**
 * Whether this program works through the pooler that `url` leads through, if any, with these settings. Transaction pooling without them
 * loses notices and mixes up statements, so it is refused before anything is written.
 * @returns what was found in the way of `url`
 * @throws StoreMisconfiguredError that names the settings to set; StoreUnavailableError
 */
export async function requireSupportedPooling(settings: PoolingSettings): Promise<Pooling> {
  const { url, direct, preparedStatements } = settings
  const directUrl = direct.url
  const pooling = await findPooling(url)
  if (directUrl !== url) await requireDirect(url, directUrl)
  if (pooling.lends !== 'transaction') return pooling
  const needed = [
    ...(directUrl === url ? ['DATABASE_DIRECT_URL to the URL of the same database past the pooler'] : []),
    ...(preparedStatements && !pooling.keepsStatements
      ? ['PG_PREPARED_STATEMENTS=off (or max_prepared_statements in PgBouncer, from 1.21 on)']
      : []),
  ]
  if (needed.length === 0) return pooling
  throw new StoreMisconfiguredError(
    'DATABASE_URL leads through a pooler that lends sessions by the transaction, for which settings are missing',
    { remedy: `set ${needed.join(' and ')}; docs/postgres.md has the whole set-up` },
  )
}

/** @throws StoreMisconfiguredError unless the direct way is one, and leads to the same database; StoreUnavailableError */
async function requireDirect(url: string, directUrl: string): Promise<void> {
  const { lends } = await findPooling(directUrl)
  if (lends === 'transaction') {
    throw new StoreMisconfiguredError(
      'DATABASE_DIRECT_URL leads through a pooler that lends sessions by the transaction as well',
      { remedy: 'name the server itself in it, or a pooler in session mode' },
    )
  }
  const [pooled, direct] = [await databaseAt(url), await databaseAt(directUrl)]
  if (pooled === undefined || direct === undefined || pooled === direct) return
  throw new StoreMisconfiguredError('DATABASE_URL and DATABASE_DIRECT_URL lead to two different databases', {
    remedy: 'name the same one in both',
  })
}

/**
 * Finds out by what a pooler cannot hide: whether two clients that are connected at the same time get the same session, and whether one
 * client gets another session while its last one is taken.
 * @throws StoreMisconfiguredError, also for a pooler that takes no transactions; StoreUnavailableError
 */
export async function findPooling(url: string): Promise<Pooling> {
  return await connected(url, async client => {
    if ((await pidOf(client)) === announcedPid(client)) return { lends: 'none', keepsStatements: true }
    return await connected(url, async other => {
      for (let look = 0; look < LOOKS; look++) {
        const pid = await pidOf(client)
        await other.query('BEGIN')
        const isLentOn = (await pidOf(other)) === pid || (await pidOf(client)) !== pid
        await other.query('COMMIT')
        if (isLentOn) return { lends: 'transaction', keepsStatements: await keepsStatements(client) }
      }
      return { lends: 'session', keepsStatements: true }
    })
  })
}

/**
 * A pooler that keeps account of statements prepares them under names of its own in each session. Where ours is found, it only passes
 * the messages on.
 */
async function keepsStatements(client: pg.Client): Promise<boolean> {
  const name = `holdfast_${randomUUID()}`
  await client.query('BEGIN')
  const { rows } = await client.query({
    name,
    text: 'SELECT name FROM pg_prepared_statements WHERE name = $1',
    values: [name],
  })
  if (rows.length > 0) await client.query(`DEALLOCATE ${pg.escapeIdentifier(name)}`)
  await client.query('COMMIT')
  return rows.length === 0
}

async function pidOf(client: pg.Client): Promise<number | undefined> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  return rows[0]?.pid
}

/** Distinguishes a database from others, also from those of other servers. `undefined`: this user may not know. */
async function databaseAt(url: string): Promise<string | undefined> {
  return await connected(url, async client => {
    const { rows } = await client
      .query<{ id: string }>(
        `SELECT system_identifier || ' ' || (SELECT oid FROM pg_database WHERE datname = current_database()) AS id
         FROM pg_control_system()`,
      )
      .catch(error => {
        if (error instanceof pg.DatabaseError && error.code === '42501') return { rows: [] }
        throw error
      })
    return rows[0]?.id
  })
}

async function connected<R>(url: string, work: (client: pg.Client) => Promise<R>): Promise<R> {
  const options = {
    application_name: `holdfast-check/${VERSION}`,
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
  }
  try {
    return await onPrimary(url, options, work)
  } catch (error) {
    throw toStoreError(error)
  }
}
