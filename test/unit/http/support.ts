import { createCache } from '#src/cache/cache.ts'
import type { StoredValue } from '#src/core/ports.ts'
import type { ReadFact } from '#src/core/read-side.ts'
import type { HealthCheck } from '#src/core/status.ts'
import { type HttpServer, startHttp } from '#src/http/server.ts'

export const UID = 'b563feb7b2b84b6test'
export const ORDER: StoredValue = {
  uid: UID,
  json: Buffer.from(`{"order_uid":"${UID}","delivery":{"name":"Тест Тестов"}}`),
  origin: { topic: 'orders', partition: 0, offset: 7n, timestampMs: 1_700_000_000_000 },
}

export interface Service extends AsyncDisposable {
  readonly url: string
  readonly server: HttpServer
  /** Uids that the store was asked for. */
  readonly asked: string[]
  readonly facts: ReadFact[]
  /** Resolves with the first request that was told as served. */
  readonly firstServed: Promise<ReadFact>
  /** Puts an order into memory, as a commit does. */
  put(value: StoredValue): void
  get(path: string, init?: RequestInit): Promise<Response>
}

/** The server on a free port over a real cache; the store is a function. */
export async function startService(
  options: {
    read?: (uid: string) => Promise<StoredValue | undefined>
    live?: readonly HealthCheck[]
    ready?: readonly HealthCheck[]
    render?: () => Promise<string>
    drainTimeoutMs?: number
    port?: number
  } = {},
): Promise<Service> {
  const asked: string[] = []
  const facts: ReadFact[] = []
  const firstServed = Promise.withResolvers<ReadFact>()
  const cache = createCache({
    maxBytes: 1 << 20,
    ttlMs: 3_600_000,
    // Time stands still, so that a TTL reads the same each time.
    clock: { monotonic: () => 0 },
    reader: {
      read: uid => {
        asked.push(uid)
        return options.read?.(uid) ?? Promise.resolve(uid === UID ? ORDER : undefined)
      },
      async *newest() {},
    },
  })
  const server = await startHttp({
    host: '127.0.0.1',
    port: options.port ?? 0,
    cache,
    live: options.live ?? [],
    ready: options.ready ?? [],
    metrics: {
      contentType: 'text/plain; version=0.0.4; charset=utf-8',
      render: options.render ?? (async () => 'up 1\n'),
    },
    observer: {
      observe: fact => {
        facts.push(fact)
        if (fact.kind === 'http_served') firstServed.resolve(fact)
      },
    },
    ...(options.drainTimeoutMs === undefined ? {} : { drainTimeoutMs: options.drainTimeoutMs }),
  })
  return {
    url: server.url,
    server,
    asked,
    facts,
    firstServed: firstServed.promise,
    put: value => cache.put([value]),
    get: (path, init) => fetch(server.url + path, init),
    [Symbol.asyncDispose]: () => server.close(),
  }
}
