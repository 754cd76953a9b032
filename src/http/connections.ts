import { readFileSync } from 'node:fs'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { HttpRefusal } from '../read/read-side.ts'
import { addressOf } from './address.ts'

export interface ConnectionLimits {
  /** Connections in all, and from one address. At the limit, the one that has been idle for longest makes way. */
  readonly total: number
  readonly perAddress: number
  /** Further ones, taken while all of the others are at work. They may ask the probes alone. */
  readonly reserved: number
  /** How long a connection that asked only once may stay idle, while a quarter of the total is open. */
  readonly askedOnceMs: number
  /** How long an answer may lie unread before its connection is cut. */
  readonly unreadMs: number
  /** How often idle and unread ones are looked for. */
  readonly sweepMs: number
}

export const CONNECTION_LIMITS: ConnectionLimits = {
  total: Math.min(2_000, openFiles() / 2),
  perAddress: Math.min(1_000, openFiles() / 4),
  reserved: 16,
  askedOnceMs: 15_000,
  unreadMs: 30_000,
  sweepMs: 1_000,
}

export interface Connections {
  /** False: this connection is one of the reserved, which are for probes alone, or it is gone. */
  mayAsk(req: IncomingMessage): boolean
}

interface Connection {
  readonly socket: Socket
  readonly address: string
  readonly isReserved: boolean
  idleSinceMs: number
  requests: number
  /** Requests that are not answered yet: a client may send several without waiting. */
  underWay: number
  /** Bytes that have left for the client when they were looked at last, and since when they are so many. */
  sentBytes: number
  sentSinceMs: number
}

/** The connections of one address. */
interface Caller {
  open: number
  /** Those with nothing under way, the one that has been so for longest first. */
  readonly idle: Set<Connection>
}

/**
 * Bounds what connections can hold without a key: silent ones, ones that asked once, answers that are not read. Node's own
 * `maxConnections` refuses the next connection, so that 2,000 silent sockets shut the probes out and an orchestrator restarts a
 * healthy process; here the longest idle connection of the address with the most makes way instead.
 */
export function boundConnections(
  server: Server,
  limits: ConnectionLimits,
  onClosed: (cause: HttpRefusal) => void,
  now: () => number = () => performance.now(),
): Connections {
  const callers = new Map<string, Caller>()
  const connections = new Map<Socket, Connection>()
  let reserved = 0

  server.on('connection', (socket: Socket) => {
    const address = addressOf({ socket })
    const caller = callers.get(address) ?? { open: 0, idle: new Set() }
    const isOver = caller.open >= limits.perAddress || connections.size - reserved >= limits.total
    const hasRoom = !isOver || makeWay(caller.open >= limits.perAddress ? caller : undefined)
    if (!hasRoom && reserved >= limits.reserved) {
      onClosed('no_connection_left')
      socket.destroy()
      return
    }
    const sinceMs = now()
    const connection: Connection = {
      ...{ socket, address, isReserved: !hasRoom },
      ...{ idleSinceMs: sinceMs, requests: 0, underWay: 0, sentBytes: 0, sentSinceMs: sinceMs },
    }
    callers.set(address, caller)
    connections.set(socket, connection)
    caller.open += 1
    caller.idle.add(connection)
    if (connection.isReserved) reserved += 1
    socket.once('close', () => forget(connection))
  })

  server.on('request', (req: IncomingMessage, res: ServerResponse) => {
    const connection = connections.get(req.socket)
    if (connection === undefined) return
    connection.requests += 1
    connection.underWay += 1
    connection.sentSinceMs = now()
    callers.get(connection.address)?.idle.delete(connection)
    res.once('close', () => {
      connection.underWay -= 1
      if (connection.underWay > 0 || !connections.has(connection.socket)) return
      connection.idleSinceMs = now()
      callers.get(connection.address)?.idle.add(connection)
    })
  })

  const timer = setInterval(sweep, limits.sweepMs)
  // The timer must not keep the process alive.
  timer.unref()
  server.once('close', () => clearInterval(timer))

  return {
    mayAsk(req) {
      const connection = connections.get(req.socket)
      return connection !== undefined && (!connection.isReserved || isProbe(req))
    },
  }

  /** @param of whose connection must go; `undefined`: that of the address that has the most idle ones. @returns whether one went */
  function makeWay(of: Caller | undefined): boolean {
    const caller =
      of ?? [...callers.values()].reduce((most, other) => (other.idle.size > most.idle.size ? other : most))
    const [longest] = caller.idle
    if (longest === undefined) return false
    close(longest, 'connection_idle')
    return true
  }

  function close(connection: Connection, cause: HttpRefusal): void {
    onClosed(cause)
    forget(connection)
    connection.socket.destroy()
  }

  function forget(connection: Connection): void {
    if (!connections.delete(connection.socket)) return
    if (connection.isReserved) reserved -= 1
    const caller = callers.get(connection.address)
    if (caller === undefined) return
    caller.open -= 1
    caller.idle.delete(connection)
    if (caller.open === 0) callers.delete(connection.address)
  }

  function sweep(): void {
    const nowMs = now()
    const isCrowded = connections.size * 4 > limits.total
    for (const connection of [...connections.values()]) {
      if (connection.underWay > 0) {
        if (isUnread(connection, nowMs)) close(connection, 'answer_unread')
      } else if (isCrowded && connection.requests === 1 && nowMs - connection.idleSinceMs > limits.askedOnceMs) {
        close(connection, 'connection_idle')
      }
    }
  }

  /** Something lies here for the client, and for a while nothing of it has left. */
  function isUnread(connection: Connection, nowMs: number): boolean {
    const { socket } = connection
    const sentBytes = socket.bytesWritten - socket.writableLength
    if (socket.writableLength === 0 || sentBytes !== connection.sentBytes) {
      connection.sentBytes = sentBytes
      connection.sentSinceMs = nowMs
      return false
    }
    return nowMs - connection.sentSinceMs > limits.unreadMs
  }
}

function isProbe({ url = '' }: IncomingMessage): boolean {
  return /^\/(?:livez|readyz|metrics)(?:\?|$)/.test(url)
}

/** The fewest that common systems give a process. With fewer it has too few for itself as well, and waits until some are free. */
const USUAL_OPEN_FILES = 1_024

/** How many files, connections among them, this process may have open; infinite where that cannot be asked. */
function openFiles(): number {
  try {
    const limit = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    if (limit !== undefined && Number(limit) >= USUAL_OPEN_FILES) return Number(limit)
  } catch {
    // Not a Linux.
  }
  return Number.POSITIVE_INFINITY
}
