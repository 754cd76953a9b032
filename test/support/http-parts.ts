import type { LetterOfKey } from '#src/engine/dead-letter-hint.ts'
import type { Origin } from '#src/engine/record.ts'
import type { PageQuery, Place, StoredValue } from '#src/engine/value-sql.ts'
import type { HttpOptions } from '#src/http/server.ts'
import { createLiveFeed } from '#src/read/http/live-feed.ts'
import type { StreamReading } from '#src/read/http/stream-reading.ts'
import type { Intake } from '#src/read/intake.ts'
import type { RecordOutcomes, ValueCatalog } from '#src/read/ports.ts'
import type { ValueCache } from '#src/read/read-side.ts'
import { adminStandIn } from './admin-stand-in.ts'
import { createOrderJudge, type Order, orderJson } from './order.ts'
import { createOrderStream } from './order-stream.ts'

/** Orders in memory as the API sees them: a catalog, and an intake whose records are stored at once. */
export interface MemoryOrders {
  readonly stored: Map<string, StoredValue>
  /** What was published, in order. */
  readonly published: { readonly uid: string; readonly value: Buffer }[]
  readonly catalog: ValueCatalog
  readonly outcomes: RecordOutcomes
  readonly intake: Intake
}

export const UPLOAD_BYTES = 64 * 1024
const judge = createOrderJudge({ maxBytes: UPLOAD_BYTES })

export function memoryOrders(): MemoryOrders {
  const stored = new Map<string, StoredValue>()
  const published: { uid: string; value: Buffer }[] = []
  return {
    stored,
    published,
    catalog: {
      page: async query => pageOf([...stored.values()], query),
    },
    outcomes: { outcomeOf: async uid => ({ kind: stored.has(uid) ? 'stored' : 'pending' }) },
    intake: {
      maxBytes: UPLOAD_BYTES,
      judge: value => judge({ key: null, value }),
      async publish(uid, value) {
        const origin: Origin = { topic: 'orders', partition: 0, offset: BigInt(published.length), timestampMs: 0 }
        published.push({ uid, value })
        const verdict = judge({ key: null, value })
        if (verdict.ok) stored.set(uid, { key: uid, json: orderJson(verdict.value), origin })
        return origin
      },
    },
  }
}

function pageOf(values: readonly StoredValue[], query: PageQuery) {
  const isBelow = (a: Place, b: Place) => a[0] < b[0] || (a[0] === b[0] && a[1] < b[1])
  const rows = values
    .map(value => ({ value, order: JSON.parse(value.json.toString()) as Order }))
    .map(({ value, order }) => ({ value, order, place: [order.date_created, value.key] as const }))
    .filter(({ order }) => Object.entries(query.by).every(([name, value]) => Reflect.get(order, name) === value))
    .filter(({ place: [date] }) => query.from === undefined || date >= query.from)
    .filter(({ place: [date] }) => query.to === undefined || date < query.to)
    .filter(({ place }) => query.after === undefined || isBelow(place, query.after))
    .sort((a, b) => (isBelow(a.place, b.place) ? 1 : -1))
  const page = rows.slice(0, query.limit)
  return { values: page.map(({ value }) => value), next: rows.length > page.length ? page.at(-1)?.place : undefined }
}

/** Time that passes only for those who sleep. */
export function patientClock(): { monotonic(): number; sleep(ms: number, signal?: AbortSignal): Promise<void> } {
  let now = 0
  return {
    monotonic: () => now,
    async sleep(ms) {
      now += ms
      // A turn of the loop, in which requests and answers go on.
      await new Promise<void>(resolve => setImmediate(resolve))
    },
  }
}

/** When orders in memory were stored. */
const STORED_AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5)

/** A dead letter that was resolved; its events are left to the test. */
export const RESOLVED_LETTER: LetterOfKey = {
  id: 'orders-0-3',
  reason: 'schema_violation',
  error: 'required',
  pointer: '/payment/bank',
  state: 'resolved',
  failed_at: '2026-01-01T00:00:00.000Z',
  events: [],
}

/** Where a value in memory stands. */
export function positionOf(value: StoredValue | undefined) {
  return value === undefined ? undefined : { origin: value.origin, storedAtMs: STORED_AT_MS }
}

/** The stream of orders under its usual names. */
export const orderStream = createOrderStream({
  topic: 'orders',
  dlqTopic: 'orders.dlq',
  groupId: 'holdfast',
  maxBytes: UPLOAD_BYTES,
})

/** What `startHttp` needs of the stream of orders: `orders` are all there is. */
export function orderReading(orders: MemoryOrders, cache: ValueCache): StreamReading {
  return {
    stream: orderStream,
    cache,
    catalog: orders.catalog,
    outcomes: orders.outcomes,
    deadLetters: { ofKey: async () => undefined, allOfKey: async () => [] },
    positions: {
      of: async key => positionOf(orders.stored.get(key)),
    },
    intake: orders.intake,
    // Time stands still, so that watchers get the first order at once, and no further one.
    feed: createLiveFeed({ clock: { sleep: (_ms, signal) => aborted(signal) }, names: orderStream.http }),
  }
}

/** What `startHttp` needs besides its streams: this machine may read and write. */
export function httpParts() {
  return {
    host: '127.0.0.1',
    port: 0,
    allowedHosts: [],
    auth: { keys: [], keyless: 'loopback' },
    limits: { writesPerMinute: 1_000, badKeysPerMinute: 1_000 },
    admin: [adminStandIn()],
    clock: patientClock(),
    live: [],
    ready: [],
    metrics: {
      contentType: {
        text: 'text/plain; version=0.0.4; charset=utf-8',
        openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
      },
      render: async format => (format === 'text' ? 'up 1\n' : 'up 1\n# EOF\n'),
    },
    observer: { observe: () => {} },
  } satisfies Omit<HttpOptions, 'streams'>
}

async function aborted(signal?: AbortSignal): Promise<void> {
  await new Promise<void>(resolve => signal?.addEventListener('abort', () => resolve()))
}
