import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'vitest'

/** A feed behind a bare server: 503 when it takes no more. */
export async function serveFeed(feed: { watch(res: ServerResponse): boolean; close(): void }) {
  let onClosed = () => {}
  const server = createServer((_req, res) => {
    res.once('close', () => onClosed())
    if (!feed.watch(res)) res.writeHead(503).end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}/`
  /** Resolves when the next answer has ended. */
  const closed = () => new Promise<void>(resolve => (onClosed = resolve))
  return {
    port,
    url,
    closed,
    watch: () => watch(url, closed),
    close() {
      feed.close()
      server.closeAllConnections()
      server.close()
    },
  }
}

/** Reads server-sent events as they come. */
export async function watch(url: string, closed: () => Promise<void>, init: RequestInit = {}) {
  const gone = new AbortController()
  const response = await fetch(url, { ...init, signal: gone.signal })
  expect(response.headers.get('content-type')).toContain('text/event-stream')
  let text = ''
  let wake = () => {}
  const ended = (async () => {
    for await (const chunk of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
      text += chunk
      wake()
    }
  })().catch(() => {})
  async function until(found: (text: string) => boolean): Promise<void> {
    while (!found(text)) {
      await new Promise<void>(resolve => {
        wake = resolve
        // Some conditions are about the server, which tells us nothing: they are looked at in each turn of the loop.
        setImmediate(resolve)
      })
    }
  }
  return {
    ended,
    until,
    text: () => text,
    async next(event: string): Promise<unknown> {
      const pattern = new RegExp(`event: ${event}\ndata: (.*)\n\n`)
      await until(text => pattern.test(text))
      return JSON.parse(pattern.exec(text)?.[1] ?? '')
    },
    async leave() {
      const left = closed()
      gone.abort()
      await left
    },
  }
}

/** A clock that stands still until it is told. */
export function createTime() {
  let now = 0
  const sleepers = new Set<{ at: number; wake: () => void }>()
  return {
    sleep(ms: number, signal?: AbortSignal): Promise<void> {
      return new Promise(resolve => {
        function wake(): void {
          signal?.removeEventListener('abort', wake)
          resolve()
        }
        sleepers.add({ at: now + ms, wake })
        signal?.addEventListener('abort', wake)
      })
    },
    pass(ms: number): void {
      now += ms
      for (const sleeper of sleepers) {
        if (sleeper.at > now) continue
        sleepers.delete(sleeper)
        sleeper.wake()
      }
    },
  }
}
