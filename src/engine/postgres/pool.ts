import pg from 'pg'
import { VERSION } from '../../version.ts'
import { StoreMisconfiguredError, StoreUnavailableError } from '../errors.ts'
import type { PoolName, PoolStatus } from '../status.ts'
import type { CopyStatement } from '../value-sql.ts'
import { copyIn } from './copy-in.ts'
import { toStoreError } from './errors.ts'
import { clientOf, createHosts, type Hosts } from './hosts.ts'
import { DEFAULT_SCHEMA, inSchema } from './schema.ts'
import { asPrepared, readySession, settingsOfTransaction } from './session.ts'

export interface PoolSettings {
  readonly url: string
  /** What pools of the same URL know of its servers. Default: what this pool alone learns. */
  readonly hosts?: Hosts
  /** The URL with the login as it is now, asked before each connection, where `hosts` is absent. */
  readonly currentUrl?: () => string
  /** Where our own tables stand. */
  readonly schema: string
  /** Connections at most. */
  readonly max: number
  readonly statementTimeoutMs: number
  /** Default: true. Behind a pooler that lends sessions by the transaction and keeps no account of statements it must be false. */
  readonly preparedStatements?: boolean
  /** Shown by the server as `holdfast-<name>/<version>`. Lanes, API and jobs have pools of their own, so that none starves another. */
  readonly name: string
  /** Is called with how long each caller waited for a connection, also if it got none. */
  readonly onLent?: (waitedSeconds: number) => void
}

/** Above this a connection that cannot be made, or had from the pool, counts as an outage. */
const CONNECT_TIMEOUT_MS = 5_000
/** How much longer than the server we wait for an answer: beyond it, the server does not answer (a black hole). */
const READ_MARGIN_MS = 2_000

/**
 * A pool whose waits all end: for a connection, for a lock, for a statement, for an answer. An outage never kills the
 * process: a client whose connection breaks emits `error`, in the pool and while it is checked out.
 *
 * Clients pipeline (pg 8.23): statements that are sent without waiting go out at once, each with a Sync of its own, and are
 * answered in order; after an error inside a transaction the rest of them fail with 25P02. See {@link pipelined}.
 */
export function createPool(settings: PoolSettings): pg.Pool {
  const { url, currentUrl = () => url, hosts = createHosts(currentUrl) } = settings
  const { schema, max, statementTimeoutMs, preparedStatements = true, name, onLent } = settings
  const place = inSchema(schema)
  // A waiting query is rejected with the error; these handlers only keep the process from ending.
  const ignoreError = () => {}
  const pool = new pg.Pool({
    connectionString: hosts.urls()[0],
    Client: clientOf(hosts),
    max,
    application_name: `holdfast-${name}/${VERSION}`,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: statementTimeoutMs + READ_MARGIN_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    pipeline: true,
    // Awaited before the connection is lent; one that cannot be readied is closed.
    onConnect: client => {
      client.on('error', ignoreError)
      if (schema !== DEFAULT_SCHEMA) placeTexts(client, place)
      return readySession(client, { statementTimeoutMs, preparedStatements })
    },
  })
  pool.on('error', ignoreError)
  schemas.set(pool, schema)
  if (onLent !== undefined) timeWaits(pool, onLent)
  return pool
}

const schemas = new WeakMap<pg.Pool, string>()

/** Where our own tables stand for whoever uses this pool. @throws RangeError for one that {@link createPool} did not make */
export function schemaOf(pool: pg.Pool): string {
  const schema = schemas.get(pool)
  if (schema === undefined) throw new RangeError('createPool did not make this pool')
  return schema
}

/** Changes the text of each statement before it is sent. A COPY, the only other thing that is sent, names tables of a stream alone. */
function placeTexts(client: pg.ClientBase, place: (sql: string) => string): void {
  const send = client.query.bind(client) as (statement: unknown, ...rest: unknown[]) => unknown
  const placed = (statement: unknown) => {
    if (typeof statement === 'string') return place(statement)
    if (typeof statement !== 'object' || statement === null || 'submit' in statement || !('text' in statement))
      return statement
    return { ...statement, text: place(String(statement.text)) }
  }
  Object.assign(client, { query: (statement: unknown, ...rest: unknown[]) => send(placed(statement), ...rest) })
}

type Lent = Parameters<Parameters<pg.Pool['connect']>[0]>

/** Wraps `pool.connect`, which `pool.query` uses as well. */
function timeWaits(pool: pg.Pool, onLent: (waitedSeconds: number) => void): void {
  const connect = pool.connect.bind(pool) as pg.Pool['connect']
  function timed(): Promise<pg.PoolClient>
  function timed(callback: (...lent: Lent) => void): void
  function timed(callback?: (...lent: Lent) => void): Promise<pg.PoolClient> | undefined {
    const askedAtMs = performance.now()
    const reportWait = () => onLent((performance.now() - askedAtMs) / 1000)
    if (callback === undefined) return connect().finally(reportWait)
    connect((...lent: Lent) => {
      reportWait()
      callback(...lent)
    })
    return undefined
  }
  pool.connect = timed
}

/** A connection counts as used from the moment at which it is being made. */
export function poolStatus(name: PoolName, pool: pg.Pool): PoolStatus {
  const { totalCount, idleCount, waitingCount } = pool
  return { name, max: pool.options.max, used: totalCount - idleCount, idle: idleCount, waiting: waitingCount }
}

/**
 * Lends a connection. One that is not known to be in step afterwards (the server went away, or stopped answering; a
 * transaction is still open) is destroyed and not lent again. So is one that is merely read-only (25006), which counts
 * as away: the next connection finds the new primary.
 * @throws what `work` throws; StoreUnavailableError, StoreMisconfiguredError when there is no connection to be had
 */
export async function withClient<R>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<R>): Promise<R> {
  let client: pg.PoolClient
  try {
    client = await pool.connect()
  } catch (error) {
    throw toStoreError(error)
  }
  let away = false
  try {
    return await work(client)
  } catch (error) {
    away = error instanceof StoreUnavailableError
    throw error
  } finally {
    client.release(away || client.getTransactionStatus() !== 'I')
  }
}

/**
 * Sends statements in one go and awaits all answers, so that together they cost one round trip. Only a BEGIN costs one of its own: where it
 * fails (it may be cancelled like any statement, also by a time limit that was that of the statement before), what was sent behind it would
 * be carried out without a transaction, each for itself, and progress would be stored without its rows.
 *
 * Behind a pooler a transaction begins with the settings that are ours (see {@link readySession}); and statements outside of one are put
 * into one, because they need them as well.
 * @throws the first failure in order, which is the cause of those behind it, as {@link toStoreError} translates it
 */
export async function pipelined(
  client: pg.ClientBase,
  statements: readonly (string | pg.QueryConfig | CopyStatement)[],
): Promise<pg.QueryResult[]> {
  const [begin, ...rest] = statements
  if (typeof begin === 'string' && begin.startsWith('BEGIN')) {
    const begun = await answersOf(client, [withSettings(client, begin)])
    return [...begun, ...(await answersOf(client, rest))]
  }
  const settings = settingsOfTransaction(client)
  if (settings === undefined || client.getTransactionStatus() !== 'I') return await answersOf(client, statements)
  return (await answersOf(client, [`BEGIN; ${settings}`, ...statements, 'COMMIT'])).slice(1, -1)
}

/**
 * Begins a transaction in the round trip of its first statements: only for those that change nothing, also where BEGIN fails.
 * @returns their answers
 * @throws as {@link pipelined}
 */
export async function beginLooking(
  client: pg.ClientBase,
  begin: string,
  looks: readonly (string | pg.QueryConfig)[],
): Promise<pg.QueryResult[]> {
  return (await answersOf(client, [withSettings(client, begin), ...looks])).slice(1)
}

function withSettings(client: pg.ClientBase, begin: string): string {
  const settings = settingsOfTransaction(client)
  return settings === undefined ? begin : `${begin}; ${settings}`
}

async function answersOf(
  client: pg.ClientBase,
  statements: readonly (string | pg.QueryConfig | CopyStatement)[],
): Promise<pg.QueryResult[]> {
  const answers = await Promise.allSettled(statements.map(statement => sent(client, statement)))
  return answers.map(answer => {
    if (answer.status === 'rejected') throw toStoreError(answer.reason)
    return answer.value
  })
}

function sent(client: pg.ClientBase, statement: string | pg.QueryConfig | CopyStatement): Promise<pg.QueryResult> {
  if (typeof statement === 'object' && 'bytes' in statement) return copyIn(client, statement)
  return client.query(asPrepared(client, statement))
}

/**
 * A statement of another library, which reads the errors of `pg` and begins and ends transactions within one text. Behind a pooler a text
 * without values goes as it is: it may be one that cannot stand in a transaction.
 * @throws what `pg` throws
 */
export async function queryAsGiven(
  pool: pg.Pool,
  text: string,
  values: readonly unknown[] = [],
): Promise<pg.QueryResult> {
  const client = await pool.connect()
  let failed = true
  try {
    const given = { text, values: [...values] }
    const settings = values.length === 0 ? undefined : settingsOfTransaction(client)
    const statements: readonly (string | pg.QueryConfig)[] =
      settings === undefined ? [given] : [`BEGIN; ${settings}`, given, 'COMMIT']
    const answers = await Promise.allSettled(statements.map(statement => client.query(statement)))
    const results = answers.map(answer => {
      if (answer.status === 'rejected') throw answer.reason
      return answer.value
    })
    const result = results[settings === undefined ? 0 : 1]
    if (result === undefined) throw new RangeError('a statement without an answer')
    failed = false
    return result
  } finally {
    client.release(failed)
  }
}

/** One statement outside a transaction. @throws as {@link withClient} and {@link pipelined} */
export async function query<R extends pg.QueryResultRow>(pool: pg.Pool, statement: pg.QueryConfig): Promise<R[]> {
  return await withClient(pool, async client => {
    const [answer] = await pipelined(client, [statement])
    return answer?.rows ?? []
  })
}

/**
 * Runs `work`, which begins and commits; whatever else it does, no transaction stays open behind it.
 * @throws what `work` throws
 */
export async function transaction<R>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<R>): Promise<R> {
  return await withClient(pool, async client => {
    try {
      return await work(client)
    } finally {
      // A broken connection needs no rollback and cannot take one; withClient destroys it.
      if (client.getTransactionStatus() !== 'I') await client.query('ROLLBACK').catch(() => {})
    }
  })
}

/**
 * The last statements and COMMIT, in one round trip; answers what the statements did. After a failed statement COMMIT
 * answers `ROLLBACK` and no error, so its command tag is checked.
 */
export async function finish(
  client: pg.PoolClient,
  statements: readonly pg.QueryConfig[],
): Promise<readonly pg.QueryResult[]> {
  const answers = await pipelined(client, [...statements, 'COMMIT'])
  const tag = answers.at(-1)?.command
  if (tag !== 'COMMIT') throw new StoreMisconfiguredError(`COMMIT was answered with ${tag}: nothing was written`)
  return answers.slice(0, -1)
}
