import type pg from 'pg'
import { type BackoffPolicy, backoffMs } from '../backoff.ts'
import { StoreUnavailableError } from '../errors.ts'
import { runningLifecycle } from '../lifecycle.ts'
import type { Clock } from '../ports.ts'
import type { SettlementJoin } from '../settlement.ts'
import type { Statement } from '../value-sql.ts'
import { pipelined, withClient } from './pool.ts'

/** One for each schema of our tables, whose name its connections put in (schema.ts): each notice names its stream. */
export const CHANNEL = 'holdfast_written'

/** NOTIFY takes payloads shorter than 8,000 bytes (PostgreSQL manual, NOTIFY). */
const PAYLOAD_MAX_BYTES = 7_999

/**
 * Notifies all listeners, when the enclosing transaction commits, that these keys have a new version. When the
 * transaction rolls back, no notice is sent; and none is sent before the new version can be read.
 *
 * Only keys that *replaced* a version are sent: no cache holds an older version of a new value. That matters,
 * because NOTIFY makes the commits of notifying transactions wait for one another, flush to disk included (a lock of
 * the whole server, held from before the commit to after it): a stream of new orders never takes that lock.
 *
 * @param sender distinguishes our own notices from those of others
 */
export function noticeOf(sender: string, stream: string, replaced: readonly { readonly key: string }[]): Statement {
  const keys = replaced.map(({ key }) => key)
  return {
    name: 'notify_written',
    text: `SELECT pg_notify('${CHANNEL}', payload) FROM unnest($1::text[]) AS payload`,
    columns: [{ type: 'text', values: payloadsOf(sender, stream, keys) }],
  }
}

/** Notifies other replicas, under this name, which values of the stream have a new version. */
export function noticeJoin<T>(sender: string, stream: string): SettlementJoin<T> {
  return ({ replaced }) => (replaced.length === 0 ? [] : [{ statement: noticeOf(sender, stream, replaced) }])
}

/**
 * As JSON: the sender, the stream, and as many keys as fit. A key that is too long for a notice becomes "anything may have changed".
 * A version before this one sends an array and reads an object as "anything may have changed", and so does this one the other
 * way round: while both run, caches are emptied more often than they need be, and nothing stale is served.
 */
export function payloadsOf(sender: string, stream: string, keys: readonly string[]): string[] {
  const head = `{"sender":${JSON.stringify(sender)},"stream":${JSON.stringify(stream)},"keys":[`
  const payloads: string[] = []
  let payload = head
  let bytes = Buffer.byteLength(head) + END.length
  for (const key of keys) {
    const part = JSON.stringify(key)
    const partBytes = Buffer.byteLength(part) + 1
    if (Buffer.byteLength(head) + END.length + partBytes > PAYLOAD_MAX_BYTES) return ['']
    if (bytes + partBytes > PAYLOAD_MAX_BYTES) {
      payloads.push(payload + END)
      payload = head
      bytes = Buffer.byteLength(head) + END.length
    }
    payload += payload === head ? part : `,${part}`
    bytes += partBytes
  }
  if (payload !== head) payloads.push(payload + END)
  return payloads
}

const END = ']}'

export interface Notice {
  /** `undefined`: not a replica, a person at a prompt for example. */
  readonly sender: string | undefined
  /** `undefined`: any. */
  readonly stream: string | undefined
  readonly keys: readonly string[] | 'all'
}

/** What we cannot read may concern any value of any stream: `NOTIFY holdfast_written` by hand empties the caches of all replicas. */
export function readNotice(payload: string): Notice {
  try {
    const parsed: unknown = JSON.parse(payload)
    if (isNotice(parsed)) return parsed
  } catch {}
  return { sender: undefined, stream: undefined, keys: 'all' }
}

function isNotice(parsed: unknown): parsed is { sender: string; stream: string; keys: string[] } {
  if (typeof parsed !== 'object' || parsed === null) return false
  const { sender, stream, keys } = parsed as Readonly<Record<string, unknown>>
  if (typeof sender !== 'string' || typeof stream !== 'string' || !Array.isArray(keys)) return false
  return keys.length > 0 && keys.every(key => typeof key === 'string')
}

export interface WriteListenerOptions {
  /** Lends one connection, which is kept; its statement timeout bounds how long a dead one goes unnoticed. */
  readonly pool: pg.Pool
  /** Notices of this sender are our own, and are left out. */
  readonly self: string
  readonly clock: Clock
  readonly random: () => number
  /** From now on notices arrive. Those before this moment, if any, were missed. */
  readonly onConnected: () => void
  /** Another process has written these values of the stream; `undefined`: of any stream. */
  readonly onWritten: (keys: readonly string[] | 'all', stream: string | undefined) => void
  /** Every notice of a commit before this moment (of the monotonic clock) has arrived. More than twice a second while it is wanted. */
  readonly onCurrent: (asOfMs: number) => void
  /** Whether `onCurrent` is of use to anything at present. Default: always. */
  readonly isWanted?: () => boolean
  /** Nothing arrives until `onConnected`. Called for each attempt that fails. */
  readonly onLost: (error: unknown, attempt: number, delayMs: number) => void
}

export interface WriteListener extends AsyncDisposable {
  /** Resolves once it is connected for the first time, or has stopped. */
  readonly connected: Promise<void>
  /** It is wanted again: `onCurrent` comes as soon as the server answers. */
  hurry(): void
  /** Safe twice. */
  stop(): Promise<void>
}

/** Between two questions whether the session is alive. Each costs 0.3 ms on either side, and an answer is good for nearly a second. */
const HEARTBEAT_INTERVAL_MS = 400
/** Where no answer is of use, only a dead session has to be found. */
const QUIET_INTERVAL_MS = 3_000
const RECONNECT: BackoffPolicy = { initialMs: 100, maxMs: 5_000 }

/**
 * The question also asks whether this very session listens: behind a pooler that lends sessions by the transaction
 * (PgBouncer), LISTEN succeeds and then belongs to a session of another client.
 */
const HEARTBEAT: pg.QueryConfig = {
  name: 'listen_heartbeat',
  text: `SELECT EXISTS (SELECT FROM pg_listening_channels() AS channel WHERE channel = '${CHANNEL}') AS listening`,
}

/**
 * Receives notices of what other replicas write; reconnects indefinitely after any error. A heartbeat on the same session is
 * the proof that nothing was missed: the server delivers notices before it answers, so an answer to a query sent
 * at t implies that every notice of a commit before t has arrived. A connection into a black hole answers nothing, and neither
 * does a server that stalls: silence needs no other detection than the missing of `onCurrent`.
 */
export function startWriteListener(options: WriteListenerOptions): WriteListener {
  const { pool, self, clock } = options
  const connected = Promise.withResolvers<void>()
  const { stop, stopping } = runningLifecycle(() => running)
  const running = run()
  let quiet: AbortController | undefined
  return { connected: connected.promise, hurry: () => quiet?.abort(), stop, [Symbol.asyncDispose]: stop }

  async function run(): Promise<void> {
    let attempt = 1
    while (!stopping.aborted) {
      try {
        await withClient(pool, client =>
          listen(client, () => {
            attempt = 1
            connected.resolve()
          }),
        )
      } catch (error) {
        // The first attempt after a loss comes at once.
        const delayMs = attempt === 1 ? 0 : backoffMs(RECONNECT, attempt, options.random())
        if (!stopping.aborted) options.onLost(error, attempt, delayMs)
        attempt += 1
        await clock.sleep(delayMs, stopping)
      }
    }
    connected.resolve()
  }

  async function listen(client: pg.PoolClient, onListening: () => void): Promise<void> {
    const ended = new AbortController()
    const onEnd = () => ended.abort()
    const wake = AbortSignal.any([stopping, ended.signal])
    // The session listens to nothing else.
    const onNotification = ({ payload }: pg.Notification) => {
      const { sender, stream, keys } = readNotice(payload ?? '')
      if (sender !== self) options.onWritten(keys, stream)
    }
    client.on('end', onEnd)
    client.on('notification', onNotification)
    try {
      await pipelined(client, [`LISTEN ${CHANNEL}`])
      options.onConnected()
      onListening()
      while (!stopping.aborted) {
        const askedAt = clock.monotonic()
        const [answer] = await pipelined(client, [HEARTBEAT])
        if (answer?.rows[0]?.listening !== true) {
          throw new StoreUnavailableError('the session that listens was exchanged for another one')
        }
        options.onCurrent(askedAt)
        if (options.isWanted?.() === false) {
          quiet = new AbortController()
          await clock.sleep(QUIET_INTERVAL_MS, AbortSignal.any([wake, quiet.signal]))
          quiet = undefined
        } else await clock.sleep(HEARTBEAT_INTERVAL_MS, wake)
      }
    } finally {
      client.off('end', onEnd)
      client.off('notification', onNotification)
    }
  }
}
