import type pg from 'pg'

/**
 * What every transaction of ours must run under, whatever an administrator has set for database, user or pooler, and whether or not
 * the session belongs to us. Limits: all waits end, and a process that stopped inside a transaction (SIGSTOP, a frozen machine) does
 * not hold its row locks for ever. Formats: times, numbers and names of types come as text, and are read in the usual form only.
 */
function settingsOf(statementTimeoutMs: number): readonly (readonly [name: string, value: string])[] {
  return [
    ['statement_timeout', String(statementTimeoutMs)],
    // It distinguishes a held lock from a slow statement, which is cancelled later.
    ['lock_timeout', String(Math.max(1, Math.floor(statementTimeoutMs / 2)))],
    ['idle_in_transaction_session_timeout', String(statementTimeoutMs)],
    ['datestyle', 'ISO'],
    ['extra_float_digits', '1'],
    ['quote_all_identifiers', 'off'],
  ]
}

/** A pooler takes the question at once, and answers when it has a session to lend. */
const READY_TIMEOUT_MS = 5_000

const QUERY_CANCELED = '57014'
const STRANGE_LIMIT_TRIES = 10

/** Connections through a pooler, with the statements that each of their transactions begins with. */
const pooled = new WeakMap<pg.ClientBase, string>()
/** Connections whose statements are not prepared by name. */
const unnamed = new WeakSet<pg.ClientBase>()

export interface SessionOptions {
  readonly statementTimeoutMs: number
  /** Whether statements that have a name are prepared under it, once for each connection. */
  readonly preparedStatements: boolean
}

/**
 * Readies a new connection. None of this is asked for in the start-up message: a pooler refuses it there, or drops it without a word.
 *
 * Without a pooler the settings are made once, for the session. Behind one they would be made in a session that the next transaction may
 * not get, and that others get after us; so there each transaction brings its own (`SET LOCAL`, in the round trip of its BEGIN). That
 * holds in session pooling as in transaction pooling: nobody has to say which of the two it is, and a change of it is harmless.
 * @throws what `pg` throws; the connection must not be used then
 */
export async function readySession(
  client: pg.ClientBase,
  { statementTimeoutMs, preparedStatements }: SessionOptions,
): Promise<void> {
  if (!preparedStatements) unnamed.add(client)
  const settings = settingsOf(statementTimeoutMs)
  const isPooled = `pg_backend_pid() <> ${announcedPid(client)}`
  const made = settings.map(([name, value]) => `set_config('${name}', '${value}', ${isPooled})`)
  const question = { text: `SELECT ${isPooled} AS pooled, ${made.join(', ')}`, query_timeout: READY_TIMEOUT_MS }
  const { rows } = await uncancelled(STRANGE_LIMIT_TRIES, () => client.query(question)).catch(error => {
    if (!(error instanceof Error && error.message === 'Query read timeout')) throw error
    const seconds = READY_TIMEOUT_MS / 1_000
    throw new Error(
      `no answer within ${seconds} s of connecting: a pooler may have no session to lend (default_pool_size)`,
    )
  })
  if (rows[0]?.pooled === true) {
    pooled.set(client, settings.map(([name, value]) => `SET LOCAL ${name} = '${value}'`).join('; '))
  }
}

/** Again where the server cancels the question: the limits of a statement are not ours yet, and an administrator's may be a millisecond. */
async function uncancelled<R>(tries: number, ask: () => Promise<R>): Promise<R> {
  try {
    return await ask()
  } catch (error) {
    const isCancelled = error instanceof Error && 'code' in error && error.code === QUERY_CANCELED
    if (!isCancelled || tries <= 1) throw error
    return await uncancelled(tries - 1, ask)
  }
}

/**
 * The process that the server named when the connection was made. A pooler names one that does not exist: it needs the number only to
 * find the client again whose statement is to be cancelled.
 */
export function announcedPid(client: pg.ClientBase): number {
  const { processID } = client as unknown as { readonly processID: number | null }
  return processID ?? 0
}

/** What a transaction on this connection begins with, besides BEGIN; `undefined`: nothing. */
export function settingsOfTransaction(client: pg.ClientBase): string | undefined {
  return pooled.get(client)
}

/** The statement as it is sent on this connection. */
export function asPrepared(client: pg.ClientBase, statement: string | pg.QueryConfig): string | pg.QueryConfig {
  if (typeof statement === 'string' || statement.name === undefined || !unnamed.has(client)) return statement
  const { name: _, ...rest } = statement
  return rest
}
