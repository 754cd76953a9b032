/**
 * The load generator of `bench/read.ts`, a process of its own: `node bench/read-load.ts '{"port":…}'`, one JSON result on
 * stdout. Plain sockets and answers of known shape, so that it costs a fraction of what the server does.
 */
import { connect, type Socket } from 'node:net'

export interface LoadOptions {
  readonly port: number
  readonly connections: number
  readonly seconds: number
  /** Answers before this moment are not counted. */
  readonly warmupSeconds: number
  /** Requests a second over all connections; undefined: each connection asks again as soon as it is answered. */
  readonly rate?: number | undefined
  readonly uids: readonly string[]
}

export interface LoadResult {
  readonly requests: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Answers other than 200. */
  readonly failed: number
  readonly bytes: number
}

const HEADER_END = Buffer.from('\r\n\r\n')
/** Latencies are counted in classes of 10 µs; those of 1 s and more share the last. */
const CLASS_MS = 0.01
const CLASSES = 100_000

if (import.meta.main) console.log(JSON.stringify(await load(JSON.parse(process.argv[2] ?? '{}'))))

export async function load(options: LoadOptions): Promise<LoadResult> {
  const requests = options.uids.map(uid => Buffer.from(`GET /order/${uid} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`))
  const classes = new Uint32Array(CLASSES)
  let [counted, failed, bytes, maxMs] = [0, 0, 0, 0]
  const beganAt = performance.now()
  const countFrom = beganAt + options.warmupSeconds * 1000
  const endAt = countFrom + options.seconds * 1000
  const sockets = await Promise.all(Array.from({ length: options.connections }, () => open(options.port)))
  await Promise.all(sockets.map(converse))
  return { requests: counted, seconds: options.seconds, p50Ms: at(0.5), p99Ms: at(0.99), maxMs, failed, bytes }

  /** One request after the other on one connection, until the time is over. */
  function converse(socket: Socket, number: number): Promise<void> {
    const { rate } = options
    const intervalMs = rate === undefined ? undefined : (options.connections / rate) * 1000
    // At a rate, latency counts from when the request was due: a server that stalls cannot hide what it delayed.
    let dueAt = beganAt + (intervalMs ?? 0) * (number / options.connections)
    let next = Math.floor((number / options.connections) * requests.length)
    let pending: Buffer | undefined
    return new Promise((resolve, reject) => {
      const ask = () => {
        const nowMs = performance.now()
        if (nowMs >= endAt) {
          socket.destroy()
          resolve()
          return
        }
        // A timer may also come a little early.
        if (intervalMs === undefined || nowMs < dueAt) dueAt = nowMs
        next = (next + 1) % requests.length
        socket.write(requests[next] ?? '')
      }
      const answered = (ok: boolean, size: number) => {
        const nowMs = performance.now()
        if (nowMs >= countFrom && nowMs < endAt) {
          const tookMs = nowMs - dueAt
          counted += 1
          bytes += size
          maxMs = Math.max(maxMs, tookMs)
          const index = Math.min(CLASSES - 1, Math.floor(tookMs / CLASS_MS))
          classes[index] = (classes[index] ?? 0) + 1
          if (!ok) failed += 1
        }
        if (intervalMs === undefined) return ask()
        dueAt += intervalMs
        const waitMs = dueAt - nowMs
        if (waitMs > 0) setTimeout(ask, waitMs)
        else ask()
      }
      socket.on('data', chunk => {
        const data = pending === undefined ? chunk : Buffer.concat([pending, chunk])
        const headerEnd = data.indexOf(HEADER_END)
        const length =
          headerEnd < 0 ? undefined : /content-length: (\d+)/i.exec(data.toString('latin1', 0, headerEnd))?.[1]
        const size = length === undefined ? Number.POSITIVE_INFINITY : headerEnd + 4 + Number(length)
        pending = data.length < size ? data : undefined
        // "HTTP/1.1 200": a 2 in the tenth place.
        if (pending === undefined) answered(data[9] === 0x32, size)
      })
      socket.on('error', reject)
      socket.on('close', () => resolve())
      ask()
    })
  }

  function at(share: number): number {
    let seen = 0
    const index = classes.findIndex(count => {
      seen += count
      return seen >= counted * share
    })
    return Math.round(index * CLASS_MS * 100) / 100
  }
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  return socket
}
