/** A TCP proxy whose wire can be made bad: what stands between a client and a real server. See `startWire` for its process. */
import { connect, createServer, type Socket } from 'node:net'
import { createBrokerRemover, createCoordinatorSilencer, type KafkaFilter } from './kafka-filters.ts'

export type WireMode =
  | { readonly kind: 'pass' }
  /** Everything arrives, so many milliseconds late, in both directions. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Connections stay open and nothing moves. What was held back goes on afterwards, as a network's retransmissions do. */
  | { readonly kind: 'black-hole' }
  /** Requests arrive and answers do not. Who missed one is reset afterwards: its stream has a hole. */
  | { readonly kind: 'drop-replies' }
  /** Every connection is reset, and every new one. */
  | { readonly kind: 'reset' }
  /**
   * When a client sends `request`, it gets no more answers; once the server has sent `reply`, so that the work is done,
   * the connection is reset. On every connection, for as long as the mode lasts.
   */
  | { readonly kind: 'lose-reply'; readonly request: string; readonly reply: string }
  /** To a Kafka client only: every connection is reset, and on new ones the broker reports that the cluster has no brokers. */
  | { readonly kind: 'no-brokers' }
  /** To a Kafka client only: every connection is reset, and on new ones the coordinator of its group does not answer, while the broker does. */
  | { readonly kind: 'silent-coordinator' }

export interface Wire extends AsyncDisposable {
  readonly port: number
  set(mode: WireMode): void
}

export interface WireOptions {
  /** 0 or none takes a free one. */
  readonly port?: number
  /** Port of the server on 127.0.0.1. */
  readonly targetPort: number
}

/** A delayed direction holds at most this; then its sender has to wait, as on a slow link. */
const MAX_HELD_BYTES = 1024 * 1024
/** A server that does not send the reply that is waited for (its transaction failed) has answered something else by then. */
const REPLY_WAIT_MS = 1_000

export async function createWire({ port = 0, targetPort }: WireOptions): Promise<Wire> {
  let mode: WireMode = { kind: 'pass' }
  const connections = new Set<Connection>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, client => {
    if (mode.kind === 'reset') {
      client.on('error', () => {})
      client.resetAndDestroy()
      return
    }
    const connection = createConnection(client, targetPort, () => mode)
    connections.add(connection)
    client.once('close', () => connections.delete(connection))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the wire has no port')

  return {
    port: address.port,
    set(next) {
      mode = next
      for (const connection of connections) connection.modeChanged()
    },
    async [Symbol.asyncDispose]() {
      for (const connection of connections) connection.reset()
      await new Promise<void>(resolve => server.close(() => resolve()))
    },
  }
}

const FILTERS: ReadonlyMap<WireMode['kind'], () => KafkaFilter> = new Map([
  ['no-brokers', createBrokerRemover],
  ['silent-coordinator', createCoordinatorSilencer],
])

interface Connection {
  modeChanged(): void
  reset(): void
}

function createConnection(client: Socket, targetPort: number, mode: () => WireMode): Connection {
  const upstream = connect({ host: '127.0.0.1', port: targetPort, allowHalfOpen: true, noDelay: true })
  /** An answer was thrown away. */
  let holed = false
  let awaited: { readonly seen: (chunk: Buffer) => boolean; readonly timer: NodeJS.Timeout } | undefined
  let requested: { readonly text: string; readonly seen: (chunk: Buffer) => boolean } | undefined
  const filter = FILTERS.get(mode().kind)?.()

  function reset(): void {
    clearTimeout(awaited?.timer)
    if (!client.destroyed) client.resetAndDestroy()
    upstream.destroy()
  }
  for (const socket of [client, upstream]) socket.on('error', reset).on('close', reset)

  function request(chunk: Buffer): Buffer {
    const now = mode()
    if (now.kind !== 'lose-reply' || awaited !== undefined) return filter === undefined ? chunk : filter.request(chunk)
    if (requested?.text !== now.request) requested = { text: now.request, seen: finder(now.request) }
    if (requested.seen(chunk)) awaited = { seen: finder(now.reply), timer: setTimeout(reset, REPLY_WAIT_MS) }
    return chunk
  }

  function reply(chunk: Buffer): Buffer | undefined {
    if (awaited !== undefined) {
      holed = true
      if (awaited.seen(chunk)) reset()
      return undefined
    }
    if (mode().kind !== 'drop-replies') return filter === undefined ? chunk : filter.reply(chunk)
    holed = true
    return undefined
  }

  const directions = [createDirection(client, upstream, mode, request), createDirection(upstream, client, mode, reply)]
  return {
    modeChanged() {
      const { kind } = mode()
      if (holed || kind === 'reset' || FILTERS.has(kind)) reset()
      else for (const direction of directions) direction.modeChanged()
    },
    reset,
  }
}

/** Moves bytes one way, in order, at the pace of the mode. `filter` sees each chunk first, and may take it away. */
function createDirection(
  from: Socket,
  to: Socket,
  mode: () => WireMode,
  filter: (chunk: Buffer) => Buffer | undefined,
): { modeChanged(): void } {
  const held: { readonly chunk: Buffer | 'end'; readonly at: number }[] = []
  let heldBytes = 0
  let timer: NodeJS.Timeout | undefined
  let blocked = false

  function hold(chunk: Buffer | 'end'): void {
    const now = mode()
    const at = performance.now() + (now.kind === 'delay' ? now.ms : 0)
    // Never before what came earlier, also when the delay has just become shorter.
    held.push({ chunk, at: Math.max(at, held.at(-1)?.at ?? 0) })
    if (chunk !== 'end') heldBytes += chunk.length
    flush()
  }

  function flush(): void {
    clearTimeout(timer)
    if (mode().kind !== 'black-hole') {
      for (let next = held[0]; next !== undefined && !blocked && !to.destroyed; next = held[0]) {
        const waitMs = next.at - performance.now()
        if (waitMs > 0) {
          timer = setTimeout(flush, Math.ceil(waitMs))
          break
        }
        held.shift()
        if (next.chunk === 'end') to.end()
        else {
          heldBytes -= next.chunk.length
          blocked = !to.write(next.chunk)
        }
      }
    }
    if (mode().kind === 'black-hole' || blocked || heldBytes > MAX_HELD_BYTES) from.pause()
    else from.resume()
  }

  from.on('data', (chunk: Buffer) => {
    const kept = filter(chunk)
    if (kept !== undefined) hold(kept)
  })
  from.on('end', () => hold('end'))
  from.on('close', () => clearTimeout(timer))
  to.on('drain', () => {
    blocked = false
    flush()
  })
  if (mode().kind === 'black-hole') from.pause()
  return { modeChanged: flush }
}

/** Detects a text in the chunks that pass through, also when it is split over two of them. */
function finder(text: string): (chunk: Buffer) => boolean {
  let tail = Buffer.alloc(0)
  return chunk => {
    const seen = Buffer.concat([tail, chunk])
    tail = Buffer.from(seen.subarray(Math.max(0, seen.length - text.length + 1)))
    return seen.includes(text)
  }
}
