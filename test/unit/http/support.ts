import type { DeadLetterIndex } from '#src/engine/dead-letter-hint.ts'
import type { Clock } from '#src/engine/ports.ts'
import type { HealthCheck } from '#src/engine/status.ts'
import type { StoredValue } from '#src/engine/value-sql.ts'
import { type HttpOptions, type HttpServer, startHttp } from '#src/http/server.ts'
import type { AdminParts } from '#src/inbox/http/admin.ts'
import { createCache } from '#src/read/cache/cache.ts'
import type { LiveFeed } from '#src/read/http/live-feed.ts'
import type { StreamReading } from '#src/read/http/stream-reading.ts'
import type { Intake } from '#src/read/intake.ts'
import type { StoredPositions } from '#src/read/ports.ts'
import type { ReadFact } from '#src/read/read-side.ts'
import type { ApiKey, Keyless } from '#src/settings/access.ts'
import { httpParts, type MemoryOrders, memoryOrders, orderReading } from '../../support/http-parts.ts'
import { expectDocumented } from '../../support/openapi.ts'
import { orderJson } from '../../support/order.ts'
import { modelOrder } from '../../support/orders.ts'

export const UID = modelOrder.order_uid
export const ORDER: StoredValue = {
  key: UID,
  json: orderJson({ ...modelOrder, delivery: { ...modelOrder.delivery, name: 'Тест Тестов' } }),
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
  /** What the list shows, and where written orders go. */
  readonly orders: MemoryOrders
  /** What `/orders/live` tells. */
  readonly feed: LiveFeed
  /** Puts an order into memory, as a commit does. */
  put(value: StoredValue): void
  /** Asks, and holds the answer against the OpenAPI document. */
  get(path: string, init?: RequestInit): Promise<Response>
  /** The same with `POST /orders/create`. */
  create(body: RequestInit['body'], headers?: Readonly<Record<string, string>>): Promise<Response>
}

/** The server on a free port over a real cache; the store is a function. */
export async function startService(
  options: {
    read?: (uid: string) => Promise<StoredValue | undefined>
    live?: readonly HealthCheck[]
    ready?: readonly HealthCheck[]
    render?: () => Promise<string>
    keys?: readonly ApiKey[]
    keyless?: Keyless
    allowedHosts?: readonly string[]
    limits?: { writesPerMinute?: number; badKeysPerMinute?: number }
    work?: HttpOptions['work']
    connections?: HttpOptions['connections']
    orders?: Partial<Pick<MemoryOrders, 'catalog' | 'outcomes'>> & { intake?: Partial<Intake> }
    deadLetterOf?: DeadLetterIndex['ofKey']
    lettersOf?: DeadLetterIndex['allOfKey']
    positionOf?: StoredPositions['of']
    admin?: readonly AdminParts[]
    /** Besides orders. */
    streams?: readonly StreamReading[]
    clock?: Pick<Clock, 'monotonic' | 'sleep'>
    drainTimeoutMs?: number
    port?: number
  } = {},
): Promise<Service> {
  const asked: string[] = []
  const facts: ReadFact[] = []
  const firstServed = Promise.withResolvers<ReadFact>()
  // Time stands still, so that a TTL reads the same each time.
  const cacheClock = { monotonic: () => 0, sleep: async () => {} }
  const cache = createCache({
    maxBytes: 1 << 20,
    ttlMs: 3_600_000,
    clock: cacheClock,
    reader: {
      read: uid => {
        asked.push(uid)
        return options.read?.(uid) ?? Promise.resolve(uid === UID ? ORDER : undefined)
      },
      async *newest() {},
    },
  })
  const orders = memoryOrders()
  const parts = httpParts()
  const reading = orderReading(orders, cache)
  const server = await startHttp({
    ...parts,
    port: options.port ?? 0,
    allowedHosts: options.allowedHosts ?? [],
    auth: { keys: options.keys ?? [], keyless: options.keyless ?? 'loopback' },
    limits: { ...parts.limits, ...options.limits },
    work: options.work,
    connections: options.connections,
    streams: [
      {
        ...reading,
        catalog: options.orders?.catalog ?? reading.catalog,
        outcomes: options.orders?.outcomes ?? reading.outcomes,
        positions: { of: options.positionOf ?? reading.positions.of },
        deadLetters: {
          ofKey: options.deadLetterOf ?? reading.deadLetters.ofKey,
          allOfKey: options.lettersOf ?? reading.deadLetters.allOfKey,
        },
        intake: { ...reading.intake, ...options.orders?.intake },
      },
      ...(options.streams ?? []),
    ],
    admin: options.admin ?? parts.admin,
    clock: options.clock ?? parts.clock,
    live: options.live ?? [],
    ready: options.ready ?? [],
    metrics: { ...parts.metrics, ...(options.render === undefined ? {} : { render: options.render }) },
    observer: {
      observe: fact => {
        facts.push(fact)
        if (fact.kind === 'http_served') firstServed.resolve(fact)
      },
    },
    ...(options.drainTimeoutMs === undefined ? {} : { drainTimeoutMs: options.drainTimeoutMs }),
  })
  async function get(path: string, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(server.url + path, init)
    await expectDocumented(init.method ?? 'GET', new URL(server.url + path), response)
    return response
  }
  return {
    url: server.url,
    server,
    asked,
    facts,
    firstServed: firstServed.promise,
    orders,
    feed: reading.feed,
    put: value => cache.put([value]),
    get,
    create: (body = null, headers = {}) => get('/orders/create', { method: 'POST', body, headers }),
    [Symbol.asyncDispose]: () => server.close(),
  }
}
