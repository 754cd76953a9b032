import type { Origin } from '#src/core/record.ts'
import type { Intake } from '#src/core/write-side.ts'
import type { PageQuery, Place, StoredValue } from '#src/engine/value-sql.ts'
import { createLiveFeed } from '#src/http/live-feed.ts'
import type { HttpOptions } from '#src/http/server.ts'
import { canonicalInstant, createOrderJudge, isInstant, type Order, orderJson } from '#src/orders/order.ts'
import type { RecordOutcomes, ValueCatalog } from '#src/read/ports.ts'
import { memoryDesk } from './memory-desk.ts'

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

/** What `startHttp` needs besides a cache: this machine may read and write, and `orders` are all there is. */
export function httpParts(orders: MemoryOrders = memoryOrders()) {
  return {
    host: '127.0.0.1',
    port: 0,
    allowedHosts: [],
    auth: { keys: [], keyless: 'loopback' },
    limits: { writesPerMinute: 1_000, badKeysPerMinute: 1_000 },
    catalog: orders.catalog,
    outcomes: orders.outcomes,
    deadLetters: { ofOrder: async () => undefined },
    intake: orders.intake,
    admin: memoryDesk(),
    canonicalInstant: text => (isInstant(text) ? canonicalInstant(text) : undefined),
    // Whoever watches is told at once of the first order, and then of nothing: no time passes between two.
    feed: createLiveFeed({ clock: { sleep: (_ms, signal) => aborted(signal) } }),
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
  } satisfies Omit<HttpOptions, 'cache'>
}

async function aborted(signal?: AbortSignal): Promise<void> {
  await new Promise<void>(resolve => signal?.addEventListener('abort', () => resolve()))
}
