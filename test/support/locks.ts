import pg from 'pg'
import { onTestFinished } from 'vitest'
import { eventually } from './service.ts'
import type { Stream } from './stream.ts'

export interface Lock {
  /** How many rows it holds, where it is one of rows. */
  readonly rows: number
  /** Safe twice. It goes with the test anyway. */
  release(): Promise<void>
}

/** Keeps every transaction from writing any order, until it is released. */
export function lockOrders(stream: Stream): Promise<Lock> {
  return lock(stream, 'LOCK TABLE orders IN ACCESS EXCLUSIVE MODE')
}

/** Keeps every transaction from writing that one order, which must be stored already. */
export function lockOrder(stream: Stream, uid: string): Promise<Lock> {
  return lock(stream, 'SELECT 1 FROM orders WHERE order_uid = $1 FOR UPDATE', [uid])
}

/** Keeps the worker of a redrive from noting what it has sent of the page in hand, when there is one. In the order in which it locks. */
export function lockPageInHand(stream: Stream): Promise<Lock> {
  return lock(stream, `SELECT 1 FROM holdfast.replay_items WHERE state = 'claimed' ORDER BY dead_letter_id FOR UPDATE`)
}

/** Ends the sessions of a killed process, because the server would otherwise continue with its last statement. */
export async function endSessions(stream: Stream, applicationName: string): Promise<void> {
  const ask = 'FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE $1'
  await stream.query(`SELECT pg_terminate_backend(pid) ${ask}`, [`${applicationName}/%`])
  await eventually(
    async () => (await stream.query(`SELECT 1 ${ask}`, [`${applicationName}/%`])).length === 0,
    'their end',
  )
}

async function lock({ databaseUrl }: Stream, statement: string, values: unknown[] = []): Promise<Lock> {
  const client = new pg.Client({ connectionString: databaseUrl })
  client.on('error', () => {})
  await client.connect()
  onTestFinished(() => client.end())
  await client.query('BEGIN')
  const { rowCount } = await client.query(statement, values)
  return { rows: rowCount ?? 0, release: async () => void (await client.query('ROLLBACK')) }
}

/** How many transactions that settle batches are in that state: held up by a lock, or open and waiting for their process. */
export function settling(stream: Stream, state: State): Promise<number> {
  return connections(stream, 'lanes', state)
}

/** The same of what reads orders, for answers and to warm the cache. */
export function reading(stream: Stream, state: State): Promise<number> {
  return connections(stream, 'read', state)
}

type State = 'waits for a lock' | 'idle'

/** Connections of that pool, of all processes. */
export async function connections(stream: Stream, pool: 'lanes' | 'read' | 'jobs', state: State): Promise<number> {
  const rows = await stream.query(
    `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'holdfast-${pool}/%'
       AND ${state === 'idle' ? "state = 'idle in transaction'" : "wait_event_type = 'Lock'"}`,
  )
  return rows.length
}
