import { lookup } from 'node:dns/promises'
import {
  addressOf,
  advertised,
  type BrokerLine,
  type Cause,
  type CauseKind,
  causeOf,
  causeOfEnd,
  isMistake,
  readBrokerLine,
  refined,
  type Security,
} from './causes.ts'
import type { Logins } from './logins.ts'
import type { TokenSource } from './tokens.ts'

/** What one client has recently reported about its brokers. */
export interface Causes {
  /** Resolves once the client has what it needs to authenticate. @throws BrokerUnavailableError where it gets no token */
  token(): Promise<void>
  /** Notes that a broker has answered, so that earlier reports no longer apply. */
  heard(): void
  /** Notes a cause that the client does not report itself. */
  note(cause: Cause): void
  /** The latest report. */
  latest(): Cause | undefined
  /** Resolves once the client has reported why it fails permanently; its calls may fail for that reason slightly earlier. */
  readonly end: Promise<void>
  /** Resolves once no probe for the cause of a report is running. */
  settled(): Promise<void>
  /** Each broker of KAFKA_BROKERS has a fault that is unlikely to pass without a change. */
  hopeless(): boolean
  /** The cluster has given out a name that cannot be resolved here, and nothing has answered since. */
  stranded(): boolean
}

interface Said {
  readonly line: BrokerLine
  /** What the client itself has reported. */
  readonly kind: CauseKind
  /** The same, or what a probe has found out about it. */
  cause: Cause
  atMs: number
}

/** librdkafka repeats a message at most every 30 s. */
const FRESH_MS = 70_000

const UNRESOLVED = /^Failed to resolve/

const CAUSES = new WeakMap<object, Causes>()

interface Connection {
  readonly brokers: readonly string[]
  readonly security: Security
  readonly logins?: Logins | undefined
  readonly tokens?: TokenSource | undefined
}

interface Speaking {
  on(event: 'event.log', listener: (line: { readonly fac?: string; readonly message?: string }) => void): void
}

/** Subscribes to all log lines and errors of a client, from its creation on. */
export function listen(client: object, connection: Connection): void {
  const said = new Map<string, Said>()
  const asking = new Set<Promise<void>>()
  let reached = false
  let noted: Cause | undefined
  let ended: Cause | undefined
  const end = Promise.withResolvers<void>()

  function hear(message: string): void {
    const line = readBrokerLine(message)
    const cause = line === undefined ? undefined : causeOf(line, connection.security)
    if (line === undefined || cause === undefined) return
    // The password may have been exchanged a moment ago, and the file not been looked at since.
    if (cause.kind === 'credentials') connection.logins?.renew()
    // Brokers close what idles, and when they restart: it points to settings only if no request was ever answered.
    if (cause.kind === 'closed' && reached) return
    // So a broker answers on a connection whose token has expired, or which it could not authenticate again.
    if (cause.kind === 'sasl_not_offered' && reached) return
    const key = `${addressOf(line.place)} ${line.bootstrap}`
    const known = said.get(key)
    const nowMs = performance.now()
    const { kind } = cause
    const isVague = kind === 'certificate' || kind === 'closed'
    // The client words one failure in several ways, in turn: what was found out about it stays with it.
    if (isVague && known?.kind === kind) {
      known.atMs = nowMs
      return
    }
    // Between two attempts that fail for a reason, it also reports that the connection was closed.
    if (kind === 'closed' && known !== undefined && nowMs - known.atMs < FRESH_MS) return
    const entry: Said = { line, kind, cause, atMs: nowMs }
    said.set(key, entry)
    if (!isVague) return
    const question = refined(cause, line, connection.security)
      .then(better => {
        entry.cause = better
      })
      .catch(() => {})
      .finally(() => asking.delete(question))
    asking.add(question)
  }

  const causes: Causes = {
    async token() {
      await connection.tokens?.get()
    },
    heard() {
      reached = true
      said.clear()
      noted = undefined
    },
    note(cause) {
      noted = cause
    },
    latest() {
      const fresh = [...said.values()].filter(({ atMs }) => performance.now() - atMs < FRESH_MS)
      // A closed connection is the least specific report, so any other takes precedence.
      fresh.sort((a, b) => Number(a.cause.kind !== 'closed') - Number(b.cause.kind !== 'closed') || a.atMs - b.atMs)
      return ended ?? noted ?? fresh.at(-1)?.cause
    },
    end: end.promise,
    async settled() {
      await Promise.all(asking)
    },
    hopeless() {
      const given = new Set(connection.brokers)
      const hopeless = [...said.values()].filter(
        ({ line, cause }) => line.bootstrap && (isMistake(cause) || cause.kind === 'unresolved'),
      )
      return hopeless.length >= given.size
    },
    stranded: () => [...said.values()].some(({ line }) => !line.bootstrap && UNRESOLVED.test(line.text)),
  }
  CAUSES.set(client, causes)
  const speaking = client as Speaking
  speaking.on('event.log', ({ fac, message }) => {
    if (message === undefined) return
    if (fac === 'FAIL') hear(message)
    if (fac !== 'FATAL') return
    ended = causeOfEnd(message)
    end.resolve()
  })
}

/** `undefined` for a client that a test plays. */
export function causesOf(client: object): Causes | undefined {
  return CAUSES.get(client)
}

const LOOKUP_MS = 2_000

/**
 * A cluster that was reached, and none of whose brokers can be found under the name that it gives out: no call that comes
 * after the first will ever be answered.
 */
export async function unresolvedCluster(
  brokers: readonly { readonly host?: string; readonly port?: number }[],
): Promise<Cause | undefined> {
  const places = brokers.flatMap(({ host, port }) => (host === undefined ? [] : [{ host, port: port ?? 0 }]))
  if (places.length === 0) return undefined
  const late = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => late.resolve(true), LOOKUP_MS)
  try {
    const found = await Promise.all(
      places.map(({ host }) =>
        Promise.race([
          late.promise,
          lookup(host).then(
            () => true,
            () => false,
          ),
        ]),
      ),
    )
    const [place] = places
    if (found.includes(true) || place === undefined) return undefined
    return advertised(addressOf(place), `the name ${place.host} cannot be resolved here`)
  } finally {
    clearTimeout(timer)
  }
}
