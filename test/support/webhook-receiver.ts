import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a receiver of messages does with a request. */
export type Reaction = { readonly status: number; readonly headers?: Readonly<Record<string, string>> } | 'silence'

/** A receiver of messages, on a real port. */
export interface WebhookReceiver extends AsyncDisposable {
  readonly url: string
  /** Bodies that it took: those answered with 2xx, in their order. */
  readonly taken: string[]
  /** Requests of any kind. */
  readonly asked: { readonly path: string; readonly body: string }[]
  /** From now on. */
  reacts(reaction: Reaction): void
  /** Nothing listens on its port until it is back. */
  away(): Promise<void>
  back(): Promise<void>
}

export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const taken: string[] = []
  const asked: { path: string; body: string }[] = []
  const silent = new Set<ServerResponse>()
  let reaction: Reaction = { status: 200 }
  let port = 0
  let server: Server | undefined

  async function back(): Promise<void> {
    const made = createServer((req, res) => {
      const chunks: Buffer[] = []
      req.on('data', chunk => chunks.push(chunk))
      req.on('end', () => {
        const body = Buffer.concat(chunks).toString()
        asked.push({ path: req.url ?? '', body })
        if (reaction === 'silence') return void silent.add(res)
        if (reaction.status < 300) taken.push(body)
        res.writeHead(reaction.status, reaction.headers).end('thank you')
      })
    })
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    made.once('error', reject)
    made.listen(port, '127.0.0.1', resolve)
    await promise
    port = (made.address() as AddressInfo).port
    server = made
  }

  async function away(): Promise<void> {
    const closing = server
    server = undefined
    for (const res of silent) res.destroy()
    silent.clear()
    closing?.closeAllConnections()
    await new Promise<void>(resolve => (closing === undefined ? resolve() : closing.close(() => resolve())))
  }

  await back()
  return {
    url: `http://127.0.0.1:${port}/hook/secret-part`,
    taken,
    asked,
    reacts: next => {
      reaction = next
    },
    away,
    back,
    [Symbol.asyncDispose]: away,
  }
}
