import pg from 'pg'
import { StoreMisconfiguredError, StoreUnavailableError } from '../errors.ts'
import { urlsOfHosts } from './database-url.ts'
import { toStoreError } from './errors.ts'

/** The servers of one database, and what is known of them. Pools that share one share what any of them has learned. */
export interface Hosts {
  /** One URL for each, in the order of the setting, with the login as it is now. */
  readonly urls: () => readonly string[]
  /** Whether the login is in a file that is read again. */
  readonly loginMayChange: boolean
  /** `host:port` of the server that took writes when it was last asked. */
  current: string | undefined
  /**
   * The highest timeline that was met. A promotion begins a new one, so a server on a lower one that takes writes is a primary of
   * before, that came back: what is written there is not in the database that everybody else uses.
   */
  timeline: number
  /** Whether any connection was made. */
  wasReached: boolean
}

export interface HostState {
  readonly takesWrites: boolean
  /** 0 where the server has none, or does not say. */
  readonly timeline: number
}

/** How long a server may take to be connected to, and then to answer. Together less than a pool waits for a connection. */
const PROBE_CONNECT_MS = 2_000
const PROBE_ANSWER_MS = 1_000

/** @param currentUrl is asked before each connection: user and password in it may change, and nothing else */
export function createHosts(currentUrl: () => string, { loginMayChange = false } = {}): Hosts {
  const urls = () => urlsOfHosts(currentUrl())
  return { urls, loginMayChange, current: undefined, timeline: 0, wasReached: false }
}

/** `host:port`, without user and password. */
export function hostName(url: string): string {
  const { hostname, port } = new URL(url)
  return `${hostname}:${port || '5432'}`
}

async function hostState(client: pg.ClientBase): Promise<HostState> {
  const { rows } = await client.query<{ takes_writes: boolean }>(
    `SELECT NOT pg_is_in_recovery() AND NOT current_setting('transaction_read_only')::boolean AS takes_writes`,
  )
  const takesWrites = rows[0]?.takes_writes === true
  return { takesWrites, timeline: takesWrites ? await timelineOf(client) : 0 }
}

/** Servers that are made differently inside (Aurora) have no such files, and do without this check. */
async function timelineOf(client: pg.ClientBase): Promise<number> {
  try {
    const { rows } = await client.query<{ timeline: string }>(
      'SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline',
    )
    return Number.parseInt(rows[0]?.timeline ?? '0', 16)
  } catch (error) {
    if (error instanceof pg.DatabaseError) return 0
    throw error
  }
}

/** What each server said, in order of the URL; never rejects. */
export async function askHosts(
  urls: readonly string[],
  options: pg.ClientConfig = {},
): Promise<PromiseSettledResult<HostState>[]> {
  return await Promise.allSettled(urls.map(url => probe(url, options)))
}

async function probe(url: string, options: pg.ClientConfig): Promise<HostState> {
  const client = new pg.Client({
    ...options,
    connectionString: url,
    connectionTimeoutMillis: PROBE_CONNECT_MS,
    query_timeout: PROBE_ANSWER_MS,
  })
  client.on('error', () => {}) // the query rejects with it
  try {
    await client.connect()
    const state = await hostState(client)
    void client.end().catch(() => {})
    return state
  } catch (error) {
    abandon(client)
    throw error
  }
}

/** A server that did not answer would not answer a goodbye either: the socket would stay open for as long as it is frozen. */
function abandon(client: pg.Client): void {
  client.connection.stream.destroy()
}

/**
 * The server to connect to. Of several that take writes, as after a failover whose old primary came back: the one on the highest
 * timeline, and among equals the first.
 * @param options for the connections: all that is not in the URL
 * @throws StoreUnavailableError, which says of each server why not; StoreMisconfiguredError when waiting cures none of them
 */
export async function findPrimary(hosts: Hosts, options: pg.ClientConfig = {}): Promise<string> {
  const urls = hosts.urls()
  const [only] = urls
  if (only !== undefined && urls.length === 1) return only
  const answers = await askHosts(urls, options)
  const best = answers.reduce<{ url: string; timeline: number } | undefined>((found, answer, at) => {
    if (answer.status === 'rejected' || !answer.value.takesWrites) return found
    const { timeline } = answer.value
    const url = urls[at] ?? ''
    return timeline >= hosts.timeline && (found === undefined || timeline > found.timeline) ? { url, timeline } : found
  }, undefined)
  if (best !== undefined) {
    hosts.timeline = best.timeline
    return best.url
  }
  const failures = answers.map(answer => (answer.status === 'rejected' ? toStoreError(answer.reason) : undefined))
  const [mistake] = failures
  if (failures.every(failure => failure instanceof StoreMisconfiguredError) && mistake !== undefined) throw mistake
  const reasons = answers.map((answer, at) => {
    const why =
      answer.status === 'rejected' ? failures[at]?.message : (refusalOf(answer.value, hosts) ?? 'it takes writes')
    return `${hostName(urls[at] ?? '')} (${why})`
  })
  throw new StoreUnavailableError(`no server of DATABASE_URL takes our writes: ${reasons.join(', ')}`)
}

function refusalOf({ takesWrites, timeline }: HostState, hosts: Hosts): string | undefined {
  if (!takesWrites) return 'a standby, or read-only'
  if (timeline >= hosts.timeline) return undefined
  return `a primary of before the failover: it is on timeline ${timeline}, and timeline ${hosts.timeline} has begun`
}

/**
 * A client of `pg` with the login as it is now, that connects to the server that takes writes. Where there are several it is asked on
 * each connection before that is lent: the one that was known may have become a standby, or have come back as what it was.
 */
export function clientOf(hosts: Hosts): new (options?: pg.ClientConfig) => pg.Client {
  return class PrimaryClient extends pg.Client {
    readonly #options: pg.ClientConfig
    constructor(options: pg.ClientConfig = {}) {
      super({ ...options, connectionString: hosts.urls()[0] })
      this.#options = options
    }

    override connect(): Promise<pg.Client>
    override connect(callback: (error: Error) => void): void
    override connect(callback?: (error: Error) => void): Promise<pg.Client> | undefined {
      const connected = this.#connect()
      if (callback === undefined) return connected
      connected.then(() => (callback as (error?: Error) => void)(), callback)
      return undefined
    }

    async #connect(): Promise<pg.Client> {
      // A session may be ended in the very moment in which it is ready: nothing else listens before the pool is told of it.
      this.on('error', () => {})
      try {
        if (hosts.urls().length === 1) await super.connect()
        else await this.#connectToPrimary()
        hosts.wasReached = true
        return this
      } catch (error) {
        throw loginFailed(error) && hosts.loginMayChange && hosts.wasReached ? exchanged(error) : error
      }
    }

    async #connectToPrimary(): Promise<void> {
      const name = hosts.current
      const known = hosts.urls().find(url => hostName(url) === name)
      const url = known ?? (await findPrimary(hosts, this.#options))
      const { hostname, port } = new URL(url)
      const at = { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || 5432) }
      Object.assign(this, at)
      // What traces name as the server.
      Object.assign((this as { readonly connectionParameters?: object }).connectionParameters ?? {}, at)
      try {
        await super.connect()
        const state = await hostState(this)
        const refusal = refusalOf(state, hosts)
        if (refusal !== undefined) throw new StoreUnavailableError(`Postgres is away: ${hostName(url)} is ${refusal}`)
        hosts.current = hostName(url)
        hosts.timeline = Math.max(hosts.timeline, state.timeline)
      } catch (error) {
        hosts.current = undefined
        abandon(this)
        throw error
      }
    }
  }
}

function loginFailed(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '28P01'
}

/** Server and file are not changed in the same moment: sessions that are open go on, and a new one waits for the file. */
function exchanged(cause: unknown): StoreUnavailableError {
  return new StoreUnavailableError(
    'Postgres is away: it refuses a password that it took before (SQLSTATE 28P01); the file of DATABASE_URL is read again before each attempt',
    { cause, sqlState: '28P01' },
  )
}

/**
 * Works on a connection of its own to the server that takes writes.
 * @param options for the connection: all that is not in the URL
 * @throws what {@link findPrimary}, the client and the work throw
 */
export async function onPrimary<R>(
  url: string,
  options: pg.ClientConfig,
  work: (client: pg.Client) => Promise<R>,
): Promise<R> {
  const client = new pg.Client({ ...options, connectionString: await findPrimary(createHosts(() => url)) })
  client.on('error', () => {}) // the current query rejects with it
  try {
    await client.connect()
    return await work(client)
  } finally {
    await client.end().catch(() => {})
  }
}
