import { connect, createServer, type Socket } from 'node:net'

/** A TCP proxy on the loopback interface: the wire between a client and a real server, for tests to cut. */
export interface Proxy extends AsyncDisposable {
  readonly port: number
  /** From now on nothing moves in either direction, on open connections and new ones; none is closed. */
  blackhole(): void
  /** The next time the client sends these bytes they arrive, and the connection dies before any answer gets back. */
  loseAnswerTo(text: string): void
  /** As before any of it. */
  heal(): void
}

export async function startProxy(target: { readonly host: string; readonly port: number }): Promise<Proxy> {
  const sockets = new Set<Socket>()
  let dark = false
  let fatal: Buffer | undefined

  const server = createServer(client => {
    const upstream = connect(target)
    let deaf = false
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', chunk => {
      if (dark) return
      if (fatal !== undefined && chunk.includes(fatal)) {
        fatal = undefined
        deaf = true
      }
      upstream.write(chunk)
    })
    upstream.on('data', chunk => {
      if (dark) return
      // The server has answered, so it has done what it was told; only now is the connection cut.
      if (deaf) client.resetAndDestroy()
      else client.write(chunk)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')

  return {
    port: address.port,
    blackhole() {
      dark = true
    },
    loseAnswerTo(text) {
      fatal = Buffer.from(text)
    },
    heal() {
      dark = false
      fatal = undefined
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>(resolve => server.close(() => resolve()))
    },
  }
}
